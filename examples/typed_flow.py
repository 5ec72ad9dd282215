"""A flow of typed functions: each step is a pod, what one returns is what the next one takes; six pods at a time.

    python examples/typed_flow.py            on a cluster of its own (or the one that KUBECONFIG names)
    flowbatch run examples/typed_flow.py     on a cluster that runs already

The same function, called, is plain Python: the example checks that both give the same.
"""

import contextlib
import os
import random
from pathlib import Path

from flowbatch_dsl import LocalCluster, Resources, flow, step, when

small = Resources(cpu="200m", memory="64Mi")


@step(resources=small)
def seeds(count: int) -> list[int]:
    return [7919 * (i + 1) for i in range(count)]


@step(resources=small, retries=2)
def inside(seed: int, throws: int = 1000) -> int:
    dice = random.Random(seed)
    return sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(throws))


@step(resources=small)
def estimate(hits: list[int], throws: int) -> float:
    return 4 * sum(hits) / (throws * len(hits))


@step(resources=small)
def praise(pi: float) -> str:
    return f"{pi} is close enough"


@flow
def pi(count: int = 8, throws: int = 20_000) -> tuple[float, str | None]:
    found = estimate(inside.map(seeds(count), max_parallel=6, throws=throws), throws)
    good = (when(found) > 3.1) & (when(found) < 3.2)
    return found, good.then(praise, found)


bound = pi.bind(count=8)


def main() -> None:
    os.chdir(Path(__file__).parents[1])  # pods start where the cluster was started, and import this file from there
    with contextlib.nullcontext() if "KUBECONFIG" in os.environ else LocalCluster(nodes=4, cpus=2):
        run = bound.submit()
        result = run.result(timeout=120)
        print(result)
        assert result == pi(count=8), "the cluster and plain Python differ"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
