"""How well GPUs are filled: `python -m benchmarks.quality [--traces default,gpuspec33,multigpu50] [--seeds 10]`.

The clusters of Alibaba's openb trace (Weng et al., "Beware of Fragmentation", USENIX ATC 2023) are filled with pods
drawn from its shapes, one after the other, until the GPUs asked for equal the GPUs there are. Pods share GPUs by
thousandths, nodes have their models, and pods go only where their `gpu_spec` lets them. Every policy gets the same pods
in the same order through the same engine (events in, bindings out); they differ only in scores. What is counted is the
share of all GPUs that is allocated in the end: pods that found no place wait, and nothing ever ends.

Nodes are `openb_node_list_gpu_node.csv`, as in the paper's artefact. `fgd` is the paper's own method and is told the
distribution of shapes; flowbatch's learns it from the pods it has seen. The traces lie outside the repository; without
them there is nothing to measure.
"""

import argparse
import csv
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure
from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangSeen, LabelTest, NodeSeen, PodSeen, QueueSeen, ShapeSpec, Synced
from flowbatch.model.asks import WHOLE, Device, DeviceAsk
from flowbatch.model.devices import Bank
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid, QueueName
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Floats, Ints
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend
from flowbatch.policy.fragmentation import Fragmentation
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import FIFO

TRACES = ("default", "gpuspec33", "multigpu50")
POLICIES = ("random", "firstfit", "bestfit", "dotprod", "gpupacking", "flowbatch", "fgd")
SEEDS = 10
#: Differences below this many points are called equal.
EQUAL = 0.2
#: Two-sided 95 % point of Student's t, by degrees of freedom.
STUDENT = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
MODEL, GPU, MIB = "gpu-model", "gpu-milli", 1 << 20
#: What the paper's artefact divides by: the largest node.
MOST_CPU, MOST_GPU = 128_000.0, 8_000.0


def folder() -> Path | None:
    """Where the traces are, if they are."""
    around = Path(__file__).resolve().parents
    places = [*(each / "shared" / "traces" for each in around), Path("../shared/traces")]
    return next((each for each in places if (each / "openb_node_list_gpu_node.csv").exists()), None)


def read(name: str) -> list[dict[str, str]]:
    """One table of the trace."""
    place = folder()
    assert place is not None
    with (place / f"openb_{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@cache
def nodes() -> tuple[NodeSeen, ...]:
    """All nodes with GPUs, in the order of the file."""
    seen: list[NodeSeen] = []
    for row in read("node_list_gpu_node"):
        gpus = int(row["gpu"])
        has = {"cpu": int(row["cpu_milli"]), "memory": int(row["memory_mib"]) * MIB, GPU: gpus * WHOLE, "pods": 1_000}
        devices = tuple(Device(str(index), model=row["model"]) for index in range(gpus))
        seen.append(
            NodeSeen(NodeName(row["sn"]), tuple(sorted(has.items())), ((MODEL, row["model"]),), devices=devices)
        )
    return tuple(seen)


@cache
def shapes(trace: str) -> tuple[ShapeSpec, ...]:
    """The shape of every pod of the trace; equal ones are one object."""
    known: dict[ShapeSpec, ShapeSpec] = {}
    return tuple(known.setdefault(shape, shape) for shape in map(shape_of, read(f"pod_list_{trace}")))


def shape_of(row: dict[str, str]) -> ShapeSpec:
    """A pod's demand; a list of models is a required node affinity."""
    gpus, milli = int(row["num_gpu"]), int(row["gpu_milli"] or 0)
    asked = {"cpu": int(row["cpu_milli"]), "memory": int(row["memory_mib"]) * MIB, GPU: gpus * milli, "pods": 1}
    requests = tuple(sorted((name, units) for name, units in asked.items() if units))
    models = tuple(dict.fromkeys((row.get("gpu_spec") or "").split("|"))) if row.get("gpu_spec") else ()
    required = ((LabelTest(MODEL, "In", models),),) if models else ()
    if not gpus:
        return ShapeSpec(requests, required=required)
    ask = DeviceAsk(count=gpus, whole=True) if milli == WHOLE else DeviceAsk(count=gpus, milli=milli)
    return ShapeSpec(requests, required=required, devices=(ask,))


def milli_of(shape: ShapeSpec) -> int:
    """Thousandths of GPUs it asks for in all."""
    return dict(shape.requests).get(GPU, 0)


# -- the others


def of(shape: Shape, rows: Rows, view: ClusterView) -> tuple[Ints, Floats, Floats, int, int]:
    """Devices, free cpu and free GPU of `rows`, and what the shape asks for of both."""
    index = np.arange(view.table.size)[rows] if isinstance(rows, slice) else rows
    asked = dict(shape.spec.requests)
    left = view.devices.parts(index)
    cpu = view.table.free[1, index].astype(np.float64)
    return left, cpu, left.sum(axis=1).astype(np.float64), asked.get("cpu", 0), asked.get(GPU, 0)


@dataclass(frozen=True)
class Scored:
    """Base of the baselines: they look at one pod at a time."""

    weight: float = 1.0
    trend: Trend = field(default="any", init=False)


@dataclass(frozen=True)
class RandomNode(Scored):
    """Any node, and any device of it."""

    luck: np.random.Generator = field(default_factory=np.random.default_rng, compare=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        size = view.table.size if isinstance(rows, slice) else rows.size
        return self.luck.random(size)

    def key(self, shape: Shape, ask: DeviceAsk, bank: Bank, view: ClusterView) -> Floats:
        return self.luck.random(bank.milli.shape)


@dataclass(frozen=True)
class FirstFit(Scored):
    """The first node, and the first device of it."""

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        return np.zeros(view.table.size if isinstance(rows, slice) else rows.size)

    def key(self, shape: Shape, ask: DeviceAsk, bank: Bank, view: ClusterView) -> Floats:
        return np.zeros(bank.milli.shape)


@dataclass(frozen=True)
class BestFit(Scored):
    """The least left of cpu and GPUs together, in parts of the largest node; the fullest device."""

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        _, cpu, gpu, cpu_asked, gpu_asked = of(shape, rows, view)
        return np.clip(1.0 - ((cpu - cpu_asked) / MOST_CPU + (gpu - gpu_asked) / MOST_GPU) / 2, 0.0, 1.0)


@dataclass(frozen=True)
class DotProduct(Scored):
    """The smallest product of what is asked and what is free (the paper's reading of Tetris); the fullest device."""

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        _, cpu, gpu, cpu_asked, gpu_asked = of(shape, rows, view)
        product = cpu / MOST_CPU * cpu_asked / MOST_CPU + gpu / MOST_GPU * gpu_asked / MOST_GPU
        return np.clip(1.0 - product / 2, 0.0, 1.0)


@dataclass(frozen=True)
class GpuPacking(Scored):
    """Shared devices before free ones on used nodes, those before free nodes (the paper's GPU packing)."""

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        left, _, _, _, asked = of(shape, rows, view)
        if not asked:
            return np.zeros(left.shape[0])
        index = np.arange(view.table.size)[rows] if isinstance(rows, slice) else rows
        whole, there = (left == WHOLE).sum(axis=1), view.table.capacity[view.axes.axis(GPU), index] // WHOLE
        ask = shape.spec.devices[0]
        tightest = np.where(left >= ask.milli, left, WHOLE).min(axis=1) if not ask.whole else np.full(whole.size, WHOLE)
        opened = np.where(tightest == WHOLE, ask.count, 0)
        shared = np.maximum(100 - tightest * 100 // WHOLE // 10, 50)
        used = np.where(opened > 0, np.maximum(50 - opened, 33), shared)
        points: Floats = np.where(whole == there, 33 - whole, used) / 100.0
        return points


def policy(name: str, trace: str, seed: int) -> Policy:
    """A policy of that name: first come, first served, no queues to mind, and its own scores."""
    match name:
        case "random":
            score = RandomNode(luck=np.random.default_rng(seed))
        case "firstfit":
            score = FirstFit()
        case "bestfit":
            score = BestFit()
        case "dotprod":
            score = DotProduct()
        case "gpupacking":
            score = GpuPacking()
        case "fgd":
            score = Paper(scarcity=0.0, strand=0.0, memory=False, trace=trace)
        case _:
            score = Fragmentation()
    order = score if hasattr(score, "key") else None
    return replace(FIFO, name=name, enqueue=(), admission=(), limits=(), scores=(score,), devices=order)


@dataclass(frozen=True)
class Paper(Fragmentation):
    """Fragmentation gradient descent as published, knowing how often each shape comes."""

    trace: str = ""

    def expected(self, view: ClusterView) -> Mapping[ShapeSpec, float]:
        return frequencies(self.trace)


@cache
def frequencies(trace: str) -> Mapping[ShapeSpec, float]:
    """Shapes that ask for GPUs, by how often they come."""
    return Counter(shape for shape in shapes(trace) if shape.devices)


# -- one run


def fill(name: str, trace: str, seed: int) -> float:
    """Per cent of all GPUs that are allocated once as many have been asked for."""
    engine = Engine(policy(name, trace, seed))
    engine.observe([QueueSeen(QueueName("root")), QueueSeen(QueueName("default")), *nodes(), Synced()])
    capacity = sum(dict(node.allocatable)[GPU] for node in nodes())
    choices, luck = shapes(trace), random.Random(seed)
    asked = given = number = 0
    while asked < capacity:
        shape = luck.choice(choices)
        asked += milli_of(shape)
        number += 1
        engine.observe(pod(number, shape))
        plan = engine.cycle(Tick(Instant(number)))
        given += sum(milli_of(shape) for each in plan.decisions if isinstance(each, Bind))
    assert not engine.guard.failures, engine.guard.failures
    return 100.0 * given / capacity


def pod(number: int, shape: ShapeSpec) -> list[Event]:
    """A gang of one."""
    gang = GangId(f"openb/{number}")
    return [
        GangSeen(gang, f"gang-{number}", QueueName("default"), Instant(number), phase="Inqueue"),
        PodSeen(PodUid(f"pod-{number}"), "openb", f"pod-{number}", shape, gang, "task"),
    ]


class Kept:
    """Results of runs that have ended, in a file: whoever is interrupted goes on where he was."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, float] = json.loads(path.read_text()) if path is not None and path.exists() else {}

    def fill(self, name: str, trace: str, seed: int) -> float:
        """As `fill`, or what it gave before."""
        key = f"{trace} {name} {seed}"
        if key not in self._known:
            self._known[key] = fill(name, trace, seed)
            if self._path is not None:
                self._path.write_text(json.dumps(self._known, indent=0))
        return self._known[key]


def measured(traces: tuple[str, ...], names: tuple[str, ...], seeds: int, kept: Kept) -> Iterator[Figure]:
    """Mean share by trace and policy, then what flowbatch's has more than each other, with its interval."""
    for trace in traces:
        found: dict[str, Floats] = {}
        for name in names:
            found[name] = np.array([kept.fill(name, trace, seed) for seed in range(seeds)])
            note = f"{seeds} seeds, {found[name].min():.2f} to {found[name].max():.2f}"
            yield Figure(f"gpu_alloc_pct_{trace}_{name}", float(found[name].mean()), "%", note=note)
        for name in names if "flowbatch" in names and seeds > 1 else ():
            if name != "flowbatch":
                yield lead(trace, name, found["flowbatch"] - found[name])


def lead(trace: str, name: str, differences: Floats) -> Figure:
    """The lower end of the paired 95 % interval; above zero is better, within `EQUAL` around zero is equal."""
    mean, count = float(differences.mean()), differences.size
    half = STUDENT.get(count - 1, 1.96) * float(differences.std(ddof=1)) / count**0.5
    equal = ", equal within 0.2" if mean - half <= 0 and abs(mean) <= EQUAL else ""
    note = f"mean {mean:+.2f}, 95 % interval {mean - half:+.2f} to {mean + half:+.2f}{equal}"
    return Figure(f"gpu_alloc_lead_{trace}_{name}", mean - half, "points", -EQUAL if equal else 0.0, note=note)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--traces", default=",".join(TRACES))
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--resume", type=Path, help="a file that keeps the results of single runs")
    told = parser.parse_args(arguments)
    if folder() is None:
        print("no traces in ../shared/traces: nothing is measured")
        return 0
    traces, policies = tuple(told.traces.split(",")), tuple(told.policies.split(","))
    for each in measured(traces, policies, told.seeds, Kept(told.resume)):
        print(f"figure {each.name} {each.value:.3f} {each.unit}    # {each.note}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
