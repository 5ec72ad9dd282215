"""A workflow of jobs: data is prepared, two gangs work on it side by side, and a report is written if it was enough.

    python examples/workflow.py            on a cluster of its own (or the one that KUBECONFIG names)
    flowbatch run examples/workflow.py     on a cluster that runs already

Edges are between jobs and live in the workflow; the jobs are the same values as in the other examples.
"""

import contextlib
import os
from pathlib import Path

from flowbatch_dsl import Job, LocalCluster, Node, Resources, Task, When, Workflow, mpi, ps

small = Resources(cpu="100m", memory="64Mi")
core = Resources(cpu="500m", memory="256Mi")

prepare = Job(
    "prepare",
    tasks=[Task("main", ["sh", "-c", """echo '{"rows": 1797}' > /dev/termination-log"""], resources=small)],
)
pi = mpi("pi", ["python", "examples/programs/pi.py"], workers=2, slots=2, resources=core)
digits = ps("digits", ["python", "examples/programs/ps_train.py"], servers=1, workers=2, resources=core)
report = Job("report", tasks=[Task("main", ["sh", "-c", 'echo "$ROWS rows were enough"'], resources=small)])

nightly = Workflow(
    "nightly",
    Node(prepare, outputs=["rows"], retries=2)
    >> [pi, digits]
    >> Node(report, inputs={"ROWS": "prepare.rows"}, when=[When("prepare.rows", "Gt", [1000])]),
)


def main() -> None:
    os.chdir(Path(__file__).parents[1])  # commands in pods start where the cluster was started
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        run = nightly.submit()
        print(run.why())
        status = run.wait(timeout=120)
        for step in status.steps:
            print(step)
        for line in run.logs("report"):
            print(line.text)
        print(status.phase)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
