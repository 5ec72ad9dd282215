"""Parameter servers: 2 servers hold the parameters, 4 workers train on handwritten digits; real data, real TCP.

    python examples/ps_worker.py            on a cluster of its own (or the one that KUBECONFIG names)
    flowbatch run examples/ps_worker.py     on a cluster that runs already

The job completes when the workers have; the servers, which would serve for ever, are stopped then.
"""

import contextlib
import os
from pathlib import Path

from flowbatch_dsl import LocalCluster, Resources, ps

digits = ps(
    "digits",
    ["python", "examples/programs/ps_train.py"],
    servers=2,
    workers=4,
    resources=Resources(cpu=1, memory="256Mi"),
)


def main() -> None:
    os.chdir(Path(__file__).parents[1])  # commands in pods start where the cluster was started
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        run = digits.submit()
        for line in run.logs("worker", 0, follow=True):
            print(line.text)
        print(run.wait(timeout=120).phase)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
