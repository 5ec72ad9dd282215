"""An elastic job: two workers are enough to start, four are better, and it takes the room as it comes.

python examples/elastic.py    on a cluster of its own (or the one that KUBECONFIG names; 8 cpu expected)
"""

import contextlib
import os
import time

from flowbatch_dsl import Job, LocalCluster, Resources, Run, Task

one_node = Resources(cpu=2, memory="64Mi")
filler = Job("filler", tasks=[Task("holder", ["sleep", "600"], replicas=2, resources=one_node)])
elastic = Job(
    "elastic",
    min_available=2,
    tasks=[Task("worker", ["sleep", "600"], replicas=4, min=2, resources=one_node)],
)


def until_running(run: Run, count: int) -> None:
    """Wait until so many pods of the job run."""
    deadline = time.monotonic() + 60
    while sum(pod.phase == "Running" for pod in run.pods()) != count:
        if time.monotonic() > deadline:
            raise TimeoutError(run.why())
        time.sleep(0.1)
    print(f"elastic: {count} workers")


def main() -> None:
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        held = filler.submit()
        held.wait_for("Running", timeout=60)
        run = elastic.submit()
        until_running(run, 2)
        held.delete()
        until_running(run, 4)
        run.delete()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
