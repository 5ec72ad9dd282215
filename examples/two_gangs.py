"""Two gangs that cannot run together: the second waits whole, says what it lacks, and starts when the first ends.

    python examples/two_gangs.py         on a cluster of its own (or the one that KUBECONFIG names; 8 cpu expected)

Without gangs, each would get some of its pods, and neither would ever have all of them.
"""

import contextlib
import os
import time

from flowbatch_dsl import Job, LocalCluster, Resources, Run, Task

one_cpu = Resources(cpu=1, memory="64Mi")
first = Job("first", tasks=[Task("walker", ["sleep", "5"], replicas=6, resources=one_cpu)])
second = first.but(name="second", tasks=[Task("walker", ["sleep", "2"], replicas=6, resources=one_cpu)])


def reason(run: Run) -> str:
    """What `why` says once the scheduler has looked at the job and found no room."""
    deadline = time.monotonic() + 30
    while "unschedulable" not in run.why() and time.monotonic() < deadline:
        time.sleep(0.1)
    return run.why()


def main() -> None:
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        ahead = first.submit()
        ahead.wait_for("Running", timeout=60)
        print(f"first:  {ahead.why()}")
        behind = second.submit()
        print(f"second: {reason(behind)}")
        assert not [pod for pod in behind.pods() if pod.node], "part of a gang was placed"
        print(f"first:  {ahead.wait(timeout=60).phase}")
        behind.wait_for("Running", timeout=60)
        print(f"second: {behind.why()}")
        print(f"second: {behind.wait(timeout=60).phase}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
