"""Suspend and resume: the pods go, another job uses the room, then the first runs to its end. No retry is spent.

python examples/suspend_resume.py    on a cluster of its own (or the one that KUBECONFIG names; 8 cpu expected)
"""

import contextlib
import os

from flowbatch_dsl import Job, LocalCluster, Resources, Task

big = Resources(cpu=2, memory="64Mi")
long = Job("long", tasks=[Task("cruncher", ["sleep", "4"], replicas=4, resources=big)])
urgent = Job("urgent", tasks=[Task("cruncher", ["sleep", "1"], replicas=4, resources=big)])


def main() -> None:
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        run = long.submit()
        run.wait_for("Running", timeout=60)
        print(f"long:   {run.why()}")
        run.suspend()
        run.wait_for("Aborted", timeout=60)
        print(f"long:   {run.why()}")
        assert not run.pods(), "a suspended job holds pods"
        print(f"urgent: {urgent.submit().wait(timeout=60).phase} in the room of the suspended job")
        run.resume()
        status = run.wait(timeout=60)
        print(f"long:   {status.phase} after {status.retries} retries")
        assert status.retries == 0, "resuming is no retry"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
