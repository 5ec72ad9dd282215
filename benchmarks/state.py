"""How much memory a large cluster takes: `python -m benchmarks state`.

state_mib: 5,000 nodes, 100,000 running pods in 20,000 gangs. Each object goes the way it goes in the scheduler: as a
line of a watch (pods of 5 kB) through the reflector into the informer's store, by its handler into the mailbox, from
there into an engine, which has then decided that there is nothing to do. What the process has grown by counts.
"""

import gc
from collections.abc import Iterator
from typing import Any

import orjson

from benchmarks.decode import resident_bytes
from benchmarks.figure import Figure
from benchmarks.podfactory import line, pod
from flowbatch.api.kinds import NODE, POD, POD_GROUP, QUEUE, Kind
from flowbatch.engine.decisions import Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Synced
from flowbatch.informer.interning import parts_of
from flowbatch.informer.reflector import Reflector
from flowbatch.informer.store import Handler, Store
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig
from flowbatch.kube.watch import LineFramer
from flowbatch.model.ids import Instant
from flowbatch.scheduler.feed import Feed
from flowbatch.scheduler.mailbox import Mailbox

NODES, PODS, SIZE = 5_000, 100_000, 5
BLOCK = 250
MIB = 1 << 20


class World:
    """Stores, feed, mailbox and engine, without a network."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.engine = Engine()
        self._feed = Feed(self.mailbox, ("volcano",), lambda _object, reason: print(reason))
        self.stores: list[Store[Any]] = []

    def take(self, kind: Kind[Any], handler: Handler[Any], lines: Iterator[bytes]) -> None:
        """List objects of one kind."""
        store: Store[Any] = Store({}, parts_of(kind))
        self.stores.append(store)
        store.subscribe(handler)
        reflector = Reflector(Client(ClusterConfig("http://127.0.0.1")), kind, store)
        framer = LineFramer()
        for each in lines:
            reflector._apply(framer.feed(each + b"\n"), None)  # noqa: SLF001  (all of it but its socket)
            if len(self.mailbox) >= BLOCK:
                self.engine.observe(self.mailbox.drain(BLOCK))
        self.engine.observe(self.mailbox.drain(BLOCK))

    def fill(self) -> None:
        """The whole cluster."""
        self.take(QUEUE, self._feed.queue, queues())
        self.take(NODE, self._feed.node, nodes())
        self.take(POD_GROUP, self._feed.gang, groups())
        self.take(POD, self._feed.pod, (line(number, size=SIZE) for number in range(PODS)))
        self.engine.observe([Synced()])
        self.engine.cycle(Tick(Instant(1), PODS))


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": "ADDED", "object": value})


def queues() -> Iterator[bytes]:
    for name in ("root", "default", "vision"):
        yield _line(
            {"kind": "Queue", "metadata": _metadata(name, ""), "spec": {"weight": 1}, "status": {"state": "Open"}}
        )


def nodes() -> Iterator[bytes]:
    """With what kubelets report of themselves."""
    amounts = {"cpu": "192", "memory": "2Ti", "pods": "110", "nvidia.com/gpu": "32", "ephemeral-storage": "1Ti"}
    for number in range(NODES):
        name = f"gpu-node-{number:05d}"
        metadata = _metadata(name, "")
        metadata["labels"] = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": f"z{number % 3}",
            "pool": "train",
            "accelerator": "a100",
        }
        status = {"allocatable": amounts, "capacity": amounts, "conditions": [{"type": "Ready", "status": "True"}]}
        yield _line({"kind": "Node", "metadata": metadata, "spec": {}, "status": status})


def groups() -> Iterator[bytes]:
    """One PodGroup for each gang of the pods."""
    for number in range(0, PODS, SIZE):
        metadata = pod(number, size=SIZE)["metadata"]
        name = metadata["annotations"]["scheduling.k8s.io/group-name"]
        least = {"cpu": str(8 * SIZE), "memory": f"{64 * SIZE}Gi", "nvidia.com/gpu": str(SIZE)}
        value = {
            "kind": "PodGroup",
            "metadata": {**_metadata(name, "team-vision"), "ownerReferences": metadata["ownerReferences"]},
            "spec": {"minMember": SIZE, "minTaskMember": {"worker": SIZE}, "queue": "vision", "minResources": least},
            "status": {"phase": "Running", "running": SIZE},
        }
        yield _line(value)


def _metadata(name: str, namespace: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "resourceVersion": "1",
        "creationTimestamp": "2026-11-01T00:00:00Z",
    }


def figures() -> Iterator[Figure]:
    """The growth of the resident set."""
    gc.collect()
    before = resident_bytes()
    world = World()
    world.fill()
    gc.collect()
    grown = (resident_bytes() - before) / MIB
    state = world.engine.state
    assert (len(state.nodes), len(state.tasks), len(state.gangs)) == (NODES, PODS, PODS // SIZE)
    world.stores.clear()
    gc.collect()
    note = f"of it about {(resident_bytes() - before) / MIB:.0f} stay when the stores are gone"
    yield Figure("state_mib", grown, "MiB", 400, "lower", note=note)
