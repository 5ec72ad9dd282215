"""Steps that pods of the embedded cluster run for real; some share a directory of this machine with the test."""

import os
import time
from pathlib import Path

import msgspec

from flowbatch_dsl import Resources, flow, step, when

#: The shared directory, as the test knows it and as pods see it.
FOLDER = Path(os.environ.get("FLOWBATCH_TEST_FOLDER", "/nowhere"))
SHARED = Path("/shared")

small = Resources(cpu="100m", memory="32Mi")
sharing = {
    "spec": {
        "volumes": [{"name": "shared", "hostPath": {"path": str(FOLDER)}}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "shared", "mountPath": str(SHARED)}]}],
    }
}


class Part(msgspec.Struct):
    name: str
    size: int


@step(resources=small)
def split(text: str, parts: int) -> list[Part]:
    words = text.split()
    return [Part(word, len(word)) for word in words[:parts]]


@step(resources=small)
def weigh(part: Part, factor: float = 1.0) -> float:
    return part.size * factor


@step(resources=small)
def total(weights: list[float], label: str) -> dict[str, float]:
    print(f"{label}: {len(weights)} weights")
    return {label: sum(weights)}


@step(resources=small)
def praise(sums: dict[str, float]) -> str:
    return f"heavy: {sorted(sums)}"


@step(resources=small)
def closing(sums: dict[str, float], praised: str | None, scolded: str | None) -> tuple[float, str | None, str | None]:
    return sum(sums.values()), praised, scolded


@step(resources=small)
def size_of(sums: dict[str, float]) -> float:
    return sum(sums.values())


@step(resources=small)
def whole(number: float) -> int:
    return round(number)


@step(resources=small)
def told(number: int) -> str:
    return f"n is {number}"


@flow
def weighing(text: str, parts: int = 3) -> tuple[float, str | None, str | None]:
    weights = weigh.map(split(text, parts=parts), max_parallel=2, factor=0.5)
    sums = total(weights, label="$(HOME) $$")
    size = size_of(sums)
    praised = (when(size) > 3).then(praise, sums)
    scolded = (when(size) < 3).then(praise, sums)
    return closing(sums, praised, scolded)


@step(resources=small, pod=sharing, retries=2)
def flaky(name: str) -> int:
    """Fails at the first attempt."""
    tries = _tries(name)
    if tries < 2:
        raise RuntimeError(f"attempt {tries} of {name} is unlucky")
    return tries


@step(resources=small, pod=sharing)
def needs_file(name: str, before: int) -> str:
    print(f"looking for {name}")
    return (SHARED / name).read_text() + str(before)


@step(resources=small, pod=sharing)
def counted(name: str) -> int:
    return _tries(name)


@step(resources=small)
def shout(text: str) -> str:
    return text.upper()


@flow
def retried() -> int:
    return flaky("retried")


@flow
def broken() -> str:
    return shout(needs_file("missing", counted("counted")))


@step(resources=small, pod=sharing)
def hold(name: str) -> str:
    """Runs until the file is there."""
    (SHARED / f"{name}.begun").touch()
    while not (SHARED / name).exists():
        time.sleep(0.05)
    return (SHARED / name).read_text()


@flow
def held() -> str:
    return shout(hold("gate"))


def _tries(name: str) -> int:
    path = SHARED / f"{name}.tries"
    tries = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(tries))
    return tries
