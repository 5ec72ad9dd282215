"""The cpus of one node, and which of them its kubelet would give to a pod.

A kubelet with a static cpu manager gives each container of a Guaranteed pod that asks for whole cpus a set of its own;
the topology manager's policy says how few NUMA nodes that set must come from. Both are told here in the kubelet's own
order (`cpu_assignment.go`, `policy.go` of Kubernetes 1.27), so that what is foreseen is what happens. Sets are ints,
one bit for each cpu.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, Literal, cast

from flowbatch.model.cpusets import parsed
from flowbatch.model.facts import NumaSeen

#: Policies of the topology manager under which cpus are aligned at all.
Alignment = Literal["best-effort", "restricted", "single-numa-node"]
ALIGNMENTS: Final = ("best-effort", "restricted", "single-numa-node")
#: A node of more NUMA nodes than this is not understood: a kubelet does without topology from nine on.
MOST_NUMA_NODES: Final = 16


@dataclass(frozen=True, slots=True)
class Layout:
    """Who is whose neighbour. Cores lie inside sockets and NUMA nodes; of those two one lies inside the other."""

    policy: Alignment
    #: Ids of NUMA nodes, ascending, and the cpus of each.
    ids: tuple[int, ...]
    numa: tuple[int, ...]
    sockets: tuple[int, ...]
    cores: tuple[int, ...]
    #: What the kubelet keeps for the system and for pods that share.
    reserved: int = 0

    @property
    def all(self) -> int:
        """Every cpu."""
        cpus = 0
        for each in self.numa:
            cpus |= each
        return cpus

    def span(self, cpus: int) -> int:
        """From how many NUMA nodes they come."""
        return sum(bool(cpus & each) for each in self.numa)

    def by_node(self, cpus: int) -> list[tuple[int, int]]:
        """(id of a NUMA node, how many of `cpus` it has), where there are any."""
        pairs = zip(self.ids, self.numa, strict=True)
        return [(name, (cpus & each).bit_count()) for name, each in pairs if cpus & each]


def cpu_policy(fact: NumaSeen, layout: Layout | None) -> str:
    """In one word what a kubelet does about cpus: its topology manager's policy, "none", or why it is not known.

    "shared": nobody has cpus of his own. "unreadable": it aligns them, but not how its cpus lie.
    """
    if not fact.static:
        return "shared"
    return "unreadable" if layout is None and fact.policy in ALIGNMENTS else fact.policy or "none"


def layout_of(fact: NumaSeen) -> Layout | None:
    """What a node's Numatopology says, where its kubelet aligns cpus; its sets are readable."""
    if not fact.static or fact.policy not in ALIGNMENTS or not 0 < len(fact.numa) <= MOST_NUMA_NODES:
        return None
    numa = tuple(parsed(text) for _, text in fact.numa)
    sockets, cores = tuple(map(parsed, fact.sockets)), tuple(map(parsed, fact.cores))
    bare = Layout(cast("Alignment", fact.policy), tuple(name for name, _ in fact.numa), numa, sockets, cores)
    least = min(fact.reserved, bare.all.bit_count())
    return replace(bare, reserved=taken(bare, bare.all, least)) if least else bare


def taken(layout: Layout, available: int, count: int) -> int:
    """`count` of the cpus `available`, which are that many at least, as a static cpu manager picks them.

    Whole NUMA nodes and sockets, the larger kind first; then whole cores; then single cpus. Always of the fullest.
    """
    outer, inner = layout.numa, layout.sockets
    if len(layout.sockets) < len(layout.numa):
        outer, inner = inner, outer
    chosen = 0
    for groups in ((outer,), (outer, inner), (outer, inner, layout.cores)):
        for group in _ordered(groups, available):
            size = group.bit_count()
            if group & available == group and size <= count:
                chosen, available, count = chosen | group, available & ~group, count - size
        if not count:
            return chosen
    for core in _ordered((outer, inner, layout.cores), available):
        while count and core & available:
            one = core & available & -(core & available)
            chosen, available, count = chosen | one, available & ~one, count - 1
    return chosen


def _ordered(levels: tuple[tuple[int, ...], ...], available: int) -> list[int]:
    """Groups of the last level, of those that have some free, the fullest first at every level."""
    found = [-1]
    for groups in levels:
        found = [
            each
            for whole in found
            for each in sorted(
                (group for group in groups if group & available & whole),
                key=lambda group: (group & available).bit_count(),
            )
        ]
    return found


def aligned(layout: Layout, free: int, slack: int, counts: Iterable[int]) -> int | None:
    """The cpus of a pod whose containers ask for so many each, or None where the kubelet would turn it away.

    Of every set of NUMA nodes `slack` cpus are not to be had: nobody knows where those are that others took.
    """
    chosen = 0
    for count in counts:
        nodes = _affinity(layout, free, slack, count)
        if nodes is None:
            return None
        part = taken(layout, free & nodes, count)
        chosen, free = chosen | part, free & ~part
    return chosen


def _affinity(layout: Layout, free: int, slack: int, count: int) -> int | None:
    """The cpus of the NUMA nodes that one container should have its own from: as few as can be, the first of those."""
    left = [(free & each).bit_count() for each in layout.numa]
    if sum(left) - slack < count:
        return None
    least = fewest(layout, count)
    if layout.policy == "single-numa-node" and least > 1:
        return None
    for size in range(least, len(left) + 1):
        sets = (each for each in combinations(range(len(left)), size) if sum(left[at] for at in each) - slack >= count)
        # As the topology manager compares masks: bits of higher ids weigh more.
        best = min(sets, key=lambda each: each[::-1], default=None)
        if best is not None:
            nodes = 0
            for at in best:
                nodes |= layout.numa[at]
            return nodes
        if layout.policy != "best-effort":
            return None
    return None


def fewest(layout: Layout, count: int) -> int:
    """From how few NUMA nodes so many cpus could come if nobody had any; all of them where even those are too few."""
    sizes = sorted((each.bit_count() for each in layout.numa), reverse=True)
    for size in range(1, len(sizes)):
        if sum(sizes[:size]) >= count:
            return size
    return len(sizes)


def fitting(layout: Layout, free: int, slack: int, counts: tuple[int, ...]) -> int:
    """How many pods whose containers ask for so many each find cpus, one after the other."""
    if layout.policy == "best-effort":
        return max(0, free.bit_count() - slack) // sum(counts)
    found = 0
    if any(fewest(layout, count) > 1 for count in counts):
        while (chosen := aligned(layout, free, slack, counts)) is not None:
            found, free = found + 1, free & ~chosen
        return found
    # Each container has a NUMA node to itself or shares one: numbers will do.
    left = [(free & each).bit_count() - slack for each in layout.numa]
    if len(counts) == 1:
        return sum(max(0, each) // counts[0] for each in left)
    while all(_first(left, count) for count in counts):
        found += 1
    return found


def _first(left: list[int], count: int) -> bool:
    """Take `count` of the first that has so many."""
    for at, each in enumerate(left):
        if each >= count:
            left[at] -= count
            return True
    return False


def reach(layout: Layout, free: int, slack: int, counts: tuple[int, ...]) -> int:
    """From how many NUMA nodes the cpus of one pod would come; 0 where it finds none."""
    if len(counts) != 1 or slack:
        return layout.span(aligned(layout, free, slack, counts) or 0)
    (count,), least = counts, fewest(layout, counts[0])
    left = sorted(((free & each).bit_count() for each in layout.numa), reverse=True)
    size = next((size for size in range(1, len(left) + 1) if sum(left[:size]) >= count), 0)
    if layout.policy == "single-numa-node":
        return int(size == 1)
    return size if size <= least or layout.policy == "best-effort" else 0
