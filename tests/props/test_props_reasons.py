"""Is what a waiting gang is told true? The named cure, given exactly, starts it; a little less does not.

The reference counts again what is short; then the cluster is changed by just that much, in an engine of its own.
"""

import msgspec
import pytest

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.events import Event, GangSeen, NodeSeen, PodSeen
from flowbatch.model.blockers import (
    Blocker,
    Gated,
    NeedsCapacity,
    NeedsHeadroom,
    NeedsMembers,
    NeedsNode,
    NeedsQuota,
    QueueClosed,
    QueueMissing,
)
from tests.reference.cases import Case
from tests.reference.cluster import Cluster, asks, is_best_effort
from tests.reference.judge import Judge
from tests.reference.quota import all_over, over_limit
from tests.reference.search import Need, Nodes, admits, total_asked

CASES, BLOCK = 800, 200


def waiting(judge: Judge) -> list[tuple[str, Blocker]]:
    """Gangs that wait, with the reason as a value."""
    found = ((gang, judge.engine.blocker_of(gang)) for gang in judge.cluster.gangs)
    return [(gang, blocker) for gang, blocker in found if blocker is not None]


def starts(judge: Judge, gang: str, *changes: Event) -> bool:
    """Whether anybody of `gang` gets a place once these things are so, the others having waited as before."""
    engine = judge.engine
    engine.observe(changes)
    for moment in range(5):
        plan = engine.cycle(Tick(2_000 + moment, 10_000))
        if any(isinstance(each, Bind) and each.gang == gang for each in plan.decisions):
            return True
    return False


def alone(facts: list[Event]) -> list[Event]:
    """The first gang only: nobody else could take what is meant for it."""
    others = [fact.id for fact in facts if isinstance(fact, GangSeen)][1:]
    mine = [fact for fact in facts if not (isinstance(fact, GangSeen) and fact.id in others)]
    return [fact for fact in mine if not (isinstance(fact, PodSeen) and fact.gang in others)]


class Reasons:
    """Checks of one waiting gang, by what it waits for."""

    def __init__(self, judge: Judge, gang: str) -> None:
        self.judge = judge
        self.cluster = judge.cluster
        self.gang = gang
        self.need = Need(self.cluster, gang)

    def check(self, blocker: Blocker) -> str:
        """What kind of reason it was; raises AssertionError if it is not true."""
        match blocker:
            case NeedsQuota():
                self.quota(blocker)
            case NeedsCapacity():
                self.capacity(blocker)
            case NeedsNode():
                surplus = [[pod.shape] for pod in self.cluster.pending(self.gang)]
                assert any(self.nowhere(each) for each in [*self.choices(), *surplus]), "some node would do"
            case NeedsMembers() | Gated():
                self.members(blocker)
            case QueueClosed():
                assert self.cluster.queues[blocker.queue].state != "Open"
            case QueueMissing():
                assert blocker.queue not in self.cluster.queues
            case NeedsHeadroom():
                self.headroom(blocker)
        return blocker.name

    def choices(self):
        if self.need.nothing:
            return []
        return [[*pods, *self.need.reserve] for pods in self.need.choices()]

    def nowhere(self, shapes) -> bool:
        nodes = self.cluster.nodes.values()
        return any(not any(admits(node, shape) for node in nodes) for shape in shapes)

    def quota(self, blocker: NeedsQuota) -> None:
        """The same limit, and short by the same: of one choice of members, or of one more pod."""
        queue = self.cluster.gangs[self.gang].queue
        options = [*self.choices(), *([pod.shape] for pod in self.cluster.pending(self.gang))]
        share = self.judge.reference.share
        limits = [each for shapes in options for each in all_over(self.cluster, queue, total_asked(shapes), share)]
        if self.cluster.gangs[self.gang].phase == "Pending":
            return
        told = dict(self.judge.engine.explain(self.gang).short)
        same = [short for name, kind, short in limits if (name, kind) == (blocker.queue, blocker.limit)]
        assert any(told.items() <= short.items() for short in same), (told, limits)

    def capacity(self, blocker: NeedsCapacity) -> None:
        """Fewer find a place than must; and with so many more places of their own they would start."""
        nodes = Nodes(self.cluster)
        assert not any(nodes.pack(each) for each in self.choices() if each and not self.over(each)), "it fits"
        assert blocker.fits < blocker.needs

    def over(self, shapes) -> bool:
        queue = self.cluster.gangs[self.gang].queue
        return over_limit(self.cluster, queue, total_asked(shapes), self.judge.reference.share) is not None

    def members(self, blocker: NeedsMembers | Gated) -> None:
        assert self.need.incomplete, "enough members exist"

    def headroom(self, blocker: NeedsHeadroom) -> None:
        assert self.judge.reference.passes(self.gang) == "NeedsHeadroom"


@pytest.mark.parametrize("block", range(0, CASES, BLOCK))
def test_every_reason_is_true(block: int) -> None:
    seen: dict[str, int] = {}
    for seed in range(block, block + BLOCK):
        judge = Judge(Case(seed).facts)
        judge.run()
        for gang, blocker in waiting(judge):
            try:
                name = Reasons(judge, gang).check(blocker)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, {gang}: {blocker}: {error}") from error
            seen[name] = seen.get(name, 0) + 1
        assert judge.engine.parked() == _counted(judge), "counts by reason"
    assert len(seen) >= 5, seen


def _counted(judge: Judge) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _, blocker in waiting(judge):
        counts[blocker.name] = counts.get(blocker.name, 0) + 1
    return dict(sorted(counts.items()))


@pytest.mark.parametrize("block", range(0, 4 * CASES, 4 * BLOCK))
def test_the_named_cure_starts_it_and_less_does_not(block: int) -> None:
    cured = spared = 0
    for seed in range(block, block + 4 * BLOCK):
        facts = alone(Case(seed).facts)
        judge = Judge(facts)
        judge.run()
        for gang, blocker in waiting(judge):
            cure = _cure(judge, gang, blocker, exact=True)
            if cure is None:
                continue
            less = _cure(judge, gang, blocker, exact=False)
            again = Judge(facts)
            again.run()
            assert less is None or not starts(again, gang, *less), (
                f"seed {seed}: {gang} starts with less than {blocker}"
            )
            spared += less is not None
            again = Judge(facts)
            again.run()
            assert starts(again, gang, *cure), f"seed {seed}: {blocker} does not start {gang}: {again.why(gang)}"
            cured += 1
    assert cured >= 5
    assert spared >= 2


def _cure(judge: Judge, gang: str, blocker: Blocker, *, exact: bool) -> list[Event] | None:
    """What `flowbatch why` says would start it, as facts; not exact: one unit or place less.

    None where it cannot be given without changing something else too.
    """
    cluster, need = judge.cluster, Need(judge.cluster, gang)
    if judge.reference.in_repair(gang) or need.nothing or need.reserve or len(list(need.choices())) != 1:
        return None
    if cluster.gangs[gang].phase == "Pending" or any(is_best_effort(pod.shape) for pod in cluster.pending(gang)):
        return None
    (shapes,) = need.choices()
    match blocker:
        case NeedsQuota(limit="capability", queue=queue) if queue in cluster.queues and not _guarantees(cluster):
            return _raised(judge, gang, blocker, shapes, exact=exact)
        case NeedsCapacity(hopeless=False) if len(set(shapes)) == 1:
            fits = _room(cluster, shapes[0])
            assert judge.engine.explain(gang).message.count(f"room for {fits} of {len(shapes)} pods"), judge.why(gang)
            places = len(shapes) - fits - (0 if exact else 1)
            return _nodes(cluster, shapes[0], places) if not _limited(judge, gang, shapes) and places >= 0 else None
        case QueueClosed():
            return None
    return None


def _room(cluster: Cluster, shape) -> int:
    """How many of one shape find room, alone."""
    nodes, count = Nodes(cluster), 0
    while nodes.pack([shape] * (count + 1)) is not None:
        count += 1
    return count


def _guarantees(cluster: Cluster) -> bool:
    return any(queue.guarantee for queue in cluster.queues.values())


def _limited(judge: Judge, gang: str, shapes) -> bool:
    """A queue's limit would be next, or its share once there are more nodes."""
    queue = judge.cluster.gangs[gang].queue
    return over_limit(judge.cluster, queue, total_asked(shapes), judge.reference.share) is not None


def _raised(judge: Judge, gang: str, blocker: NeedsQuota, shapes, *, exact: bool) -> list[Event] | None:
    """Its queue may hold just that much more."""
    cluster, queue = judge.cluster, judge.cluster.queues[blocker.queue]
    if Nodes(cluster).pack(list(shapes)) is None or len(cluster.gangs) > 1:
        return None
    short = dict(blocker.short)
    raised = tuple(
        (name, units + short.get(name, 0) - (0 if exact or name not in short else 1))
        for name, units in queue.capability
    )
    return [msgspec.structs.replace(queue, capability=raised)]


def _nodes(cluster: Cluster, shape, places: int) -> list[Event] | None:
    """So many new nodes, each of which takes one of the shape and nothing else."""
    if shape.ports:
        return None
    size = tuple(sorted(asks(shape).items()))
    return [NodeSeen(f"new-{i}", size, tuple(shape.selector)) for i in range(places)]
