"""Data that comes and goes with its jobs: what one job stores, the next ones fetch, each with its size and digest.

    python examples/staged_data.py            on a cluster of its own (or the one that KUBECONFIG names)

The urls are of files of this machine; `https://...` and `s3://...` are written in the same places.
"""

import contextlib
import os
from pathlib import Path

from flowbatch_dsl import Fetch, Job, LocalCluster, Resources, Store, Task, Workflow

PLACE = Path("/tmp/flowbatch-staged")
small = Resources(cpu="100m", memory="64Mi")

split = Job(
    "split",
    tasks=[
        Task(
            "main",
            ["sh", "-c", "head -n 50 /raw/numbers > /parts/0; tail -n 50 /raw/numbers > /parts/1"],
            resources=small,
            inputs=[Fetch(f"file://{PLACE}/numbers", "/raw/numbers")],
            outputs=[Store("/parts/", f"file://{PLACE}/parts/")],
        )
    ],
)
# Every pod fetches its own part, and stores to a place of its own.
add = Job(
    "add",
    tasks=[
        Task(
            "adder",
            ["sh", "-c", "awk '{sum += $1} END {print sum}' /part/numbers | tee /sums/sum"],
            replicas=2,
            resources=small,
            inputs=[Fetch(f"file://{PLACE}/parts/{{index}}", "/part/numbers")],
            outputs=[Store("/sums/sum", f"file://{PLACE}/sums/{{index}}")],
        )
    ],
)
pipeline = Workflow("staged", split >> add)


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    (PLACE / "numbers").write_text("\n".join(map(str, range(1, 101))) + "\n")
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=2, cpus=2):
        run = pipeline.submit()
        status = run.wait(timeout=120)
        sums = [int((PLACE / "sums" / str(index)).read_text()) for index in range(2)]
        print(f"{' + '.join(map(str, sums))} = {sum(sums)}")
        print(status.phase)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
