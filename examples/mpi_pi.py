"""MPI: 8 ranks on 4 worker pods, started by mpiexec over ssh, all placed as one gang.

    python examples/mpi_pi.py            on a cluster of its own (or the one that KUBECONFIG names)
    flowbatch run examples/mpi_pi.py     on a cluster that runs already

On a real cluster, give `image=` an image with mpich, mpi4py, sshd and this repository.
"""

import contextlib
import os
from pathlib import Path

from flowbatch_dsl import LocalCluster, Resources, mpi

pi = mpi(
    "pi",
    ["python", "examples/programs/pi.py"],
    workers=4,
    slots=2,
    resources=Resources(cpu=1, memory="256Mi"),
)


def main() -> None:
    os.chdir(Path(__file__).parents[1])  # commands in pods start where the cluster was started
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        run = pi.submit()
        print(run.why())
        for line in run.logs("launcher", follow=True):
            print(line.text)
        print(run.wait(timeout=120).phase)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
