"""What one core decodes into a store, what a pod costs in memory there, and how long a full collection takes.

The events are those of pods' lives: added (pending), running, touched twice (updates of nothing we read), deleted; in
lines of 4.4 to 5.9 kB as an API server sends them, cut from chunks, through the path of the reflector. Times are of the
CPU: other programs on the machine count less.

The ceiling is msgspec alone on the same lines, turn by turn in the same run: it decodes the same Struct and
keeps it in a dict by key, no more. (Decoding and dropping each object at once is also shown: it always writes to the
same hot kilobytes, which no store can do.)
"""

import gc
import resource
import sys
import time
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.podfactory import line
from flowbatch.api.core import Pod
from flowbatch.api.kinds import POD
from flowbatch.informer.interning import parts_of
from flowbatch.informer.reflector import Reflector
from flowbatch.informer.store import Store
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig
from flowbatch.kube.watch import EventDecoder, LineFramer

PODS = 50_000
LIVES = 20_000
TOGETHER = 2_000
BLOCK = 250


class Feed:
    """Bytes of a watch into a store, as the reflector does it, without the network."""

    def __init__(self) -> None:
        self.store: Store[Pod] = Store({"node": lambda pod: (pod.spec.node_name,)}, parts_of(POD))
        reflector = Reflector(Client(ClusterConfig("http://127.0.0.1")), POD, self.store)
        self._apply = reflector._apply  # noqa: SLF001  (all of the reflector but its socket)
        self._framer = LineFramer()

    def take(self, chunk: bytes) -> None:
        self._apply(self._framer.feed(chunk), None)


class Keeper:
    """msgspec alone: the same Struct, kept by key; or dropped at once."""

    def __init__(self, *, keep: bool) -> None:
        self.kept: dict[str, Pod] = {}
        self._keep = keep
        self._decode = EventDecoder(POD).fast

    def take(self, lines: list[bytes]) -> None:
        decode, kept = self._decode, self.kept
        if not self._keep:
            for each in lines:
                decode(each)
            return
        for each in lines:
            event = decode(each)
            key = event.object.metadata.key
            if event.type == "DELETED":
                kept.pop(key, None)
            else:
                kept[key] = event.object


def lives(first: int) -> list[bytes]:
    """Chunks of lines: twenty gangs are added, run, are touched twice and deleted, all their pods at each stage."""
    stages = (("ADDED", "Pending"), *[("MODIFIED", "Running")] * 3, ("DELETED", "Running"))
    return [
        b"".join(line(number, kind, phase, version) + b"\n" for number in range(start, start + BLOCK))
        for version, (kind, phase) in enumerate(stages)
        for start in range(first, first + TOGETHER, BLOCK)
    ]


def throughput() -> Iterator[Figure]:
    contenders = (Feed(), Keeper(keep=True), Keeper(keep=False))
    spent = [0.0, 0.0, 0.0]
    count = size = 0
    for first in range(0, LIVES, TOGETHER):
        chunks = lives(first)
        split = [chunk.splitlines() for chunk in chunks]
        for place, contender in enumerate(contenders):
            fed = chunks if place == 0 else split  # ours cuts its lines itself
            began = time.process_time()
            for each in fed:
                contender.take(each)  # type: ignore[arg-type]  # each takes what it is fed
            spent[place] += time.process_time() - began
        count += sum(map(len, split))
        size += sum(map(len, chunks))
    ours, kept, dropped = (count / seconds for seconds in spent)
    note = f"lines of {size / count / 1000:.1f} kB; msgspec dropping each object: {dropped:,.0f}/s"
    yield Figure("decode_per_s", ours, "1/s", 60_000, ceiling=kept, note=note)
    yield Figure("decode_ratio", ours / kept, "of msgspec", 0.8, note="msgspec alone, keeping what it decodes")
    yield Figure("decode_ratio_dropping", ours / dropped, "of msgspec", note="msgspec alone, keeping nothing")


def retention() -> Iterator[Figure]:
    feed = Feed()
    gc.collect()
    before = resident_bytes()
    for start in range(0, PODS, BLOCK):
        feed.take(b"".join(line(number) + b"\n" for number in range(start, start + BLOCK)))
    gc.collect()
    grown = resident_bytes() - before
    assert len(feed.store) == PODS
    yield Figure("retained_kib_per_pod", grown / PODS / 1024, "KiB", 2.0, "lower", note="growth of the resident set")
    pauses = []
    for _ in range(5):
        began = time.process_time()
        gc.collect()
        pauses.append((time.process_time() - began) * 1000)
    yield Figure("gc_pause_ms", max(pauses), "ms", 10.0, "lower", note="the worst of five full collections")


def resident_bytes() -> int:
    """What the process holds in memory now."""
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def figures() -> Iterator[Figure]:
    yield from retention()  # first, while the heap has no holes to fill
    yield from throughput()
