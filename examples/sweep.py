"""A sweep: one job for each point of a grid, three at a time, and the best of what they found.

python examples/sweep.py            on a cluster of its own (or the one that KUBECONFIG names)
flowbatch run examples/sweep.py     on a cluster that runs already
"""

import contextlib
import os
from pathlib import Path

from flowbatch_dsl import Job, LocalCluster, Resources, Task, sweep

PROGRAM = "examples/programs/descend.py"


def trial(rate: float, momentum: float) -> Job:
    command = ["python", PROGRAM, "--rate", str(rate), "--momentum", str(momentum)]
    return Job("trial", tasks=[Task("main", command, resources=Resources(cpu="200m", memory="64Mi"))])


grid = sweep("grid", trial, rate=[0.02, 0.1, 0.4], momentum=[0.0, 0.8], max_parallel=3, outputs=["loss"])


def main() -> None:
    os.chdir(Path(__file__).parents[1])  # commands in pods start where the cluster was started
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        losses = grid.submit().result(timeout=120)
        for name, loss in losses.items():
            print(f"{name}: {loss:.3g}")
        best = min(losses, key=losses.__getitem__)
        print(f"best: {best.removesuffix('.loss')}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
