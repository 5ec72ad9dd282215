"""Restart policies: what happens when pods fail, and how they are tried again.

Exit code 3 restarts the worker's task, a moment later each time, away from nodes where it failed, with more memory if
that was the cause; any other failure ends the job at once, and an eviction by the cluster costs no retry.

python examples/restart_policy.py    on a cluster of its own (or the one that KUBECONFIG names)
"""

import contextlib
import os

from flowbatch_dsl import Job, LocalCluster, On, Resources, Retry, Task

WORK = """\
import os, sys
tries = int(os.environ["RETRY"])
print(f"try {tries + 1}", flush=True)
sys.exit(3 if tries < 2 else 0)
"""
#: How often the job has been tried again, as the controller notes it on each pod.
RETRY = {
    "name": "RETRY",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['volcano.sh/job-retry-count']"}},
}

worker = Task(
    "worker",
    ["python", "-c", WORK],
    resources=Resources(cpu="500m", memory="64Mi"),
    on=[On(exit_code=3, do="RestartTask"), On("PodEvicted", do="RestartPod"), On("PodFailed", do="TerminateJob")],
    pod={"spec": {"containers": [{"name": "main", "env": [RETRY]}]}},
)
stubborn = Job(
    "stubborn",
    tasks=[worker],
    retries=5,
    retry=Retry(backoff_s=1, max_backoff_s=60, avoid_failed_nodes=True, memory_percent=50, memory_limit="1Gi"),
    deadline_s=600,
)


def main() -> None:
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=1):
        run = stubborn.submit()
        status = run.wait(timeout=120)
        (pod,) = run.pods()
        print(f"{status.phase} on {pod.node} after {status.retries} retries")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
