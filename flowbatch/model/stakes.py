"""Who pods are, which of them a term asks about, and what one shape has to do with others.

A placement moves the tallies of the groups that its kind belongs to and of the terms that its own spec carries, and no
others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowbatch.model.ids import PodUid, Row
from flowbatch.model.shapes import PodSelector, Spread
from flowbatch.model.table import Ints
from flowbatch.model.tallies import Tally

if TYPE_CHECKING:
    from flowbatch.model.gangs import Task

LabelPairs = tuple[tuple[str, str], ...]
#: By topology key.
Tallies = dict[str, Tally]


@dataclass(slots=True, eq=False)
class Kind:
    """Pods that no selector can tell apart: of one namespace, with the same labels."""

    namespace: str
    labels: LabelPairs
    #: The groups it belongs to; empty where nobody asks.
    groups: "tuple[Group, ...]" = ()
    tasks: "dict[PodUid, Task]" = field(default_factory=dict)
    #: Declared tasks whose pods will be of it.
    declared: int = 0


@dataclass(slots=True, eq=False)
class Group:
    """The pods that all of `selectors` select, and what is counted for them, by topology key."""

    selectors: tuple[PodSelector, ...]
    #: Specs in use that mention it.
    uses: int = 0
    kinds: dict[Kind, None] = field(default_factory=dict)
    #: Its pods; and without those that are leaving, as spread constraints count.
    members: Tallies = field(default_factory=dict)
    staying: Tallies = field(default_factory=dict)
    #: Pods elsewhere that must be apart from its pods, that must be near one, and weights of those that would like to.
    guards: Tallies = field(default_factory=dict)
    bonds: Tallies = field(default_factory=dict)
    pulls: Tallies = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Stake:
    """What one shape has to do with others: what its spec asks, and whom its pods are."""

    kind: Kind | None
    #: Tallies of pods that all of its affinity terms select, one per topology key; and that group.
    near: tuple[Tally, ...] = ()
    company: Group | None = None
    apart: tuple[Tally, ...] = ()
    likes: tuple[tuple[Tally, int], ...] = ()
    #: With the tally and the group of each; a constraint that selects everything counts nothing in Kubernetes.
    spreads: tuple[tuple[Spread, Tally | None, Group | None], ...] = ()
    #: Tallies that each of its pods moves as a carrier of terms, and by how much.
    carries: tuple[tuple[Tally, int], ...] = ()
    #: What policies have worked out for it, each with the version of the columns it was made from.
    worked_out: dict[str, tuple[int, int, object]] = field(default_factory=dict)

    def is_of(self, group: Group | None) -> bool:
        """Its pods belong to `group`."""
        return self.kind is not None and group is not None and group in self.kind.groups

    def groups(self) -> Iterable[Group]:
        """Those that its pods belong to."""
        return self.kind.groups if self.kind is not None else ()

    def guards(self) -> Iterator[Tally]:
        """Tallies of pods elsewhere that must be apart from its pods."""
        return (tally for group in self.groups() for tally in group.guards.values())

    def pulls(self) -> Iterator[Tally]:
        """Weights of pods elsewhere that would like to be near its pods, or not."""
        return (tally for group in self.groups() for tally in group.pulls.values())

    def bonds(self) -> Iterator[Tally]:
        """Tallies of pods elsewhere that had to be near its pods."""
        return (tally for group in self.groups() for tally in group.bonds.values())

    # -- placements

    def _there(self) -> Iterator[tuple[Tally, int]]:
        """What counts its pods for as long as they are there, and as how much."""
        for group in self.groups():
            for tally in group.members.values():
                yield tally, 1
        yield from self.carries

    def _staying(self) -> Iterator[tuple[Tally, int]]:
        """What counts them no more once they are leaving."""
        for group in self.groups():
            for tally in group.staying.values():
                yield tally, 1

    def _counting(self) -> Iterator[tuple[Tally, int]]:
        yield from self._there()
        yield from self._staying()

    def moved(self) -> Iterator[Tally]:
        """Every tally that a placement of it moves."""
        return (tally for tally, _ in self._counting())

    def move(self, row: Row, amount: int) -> None:
        """`amount` more of its pods are on `row`."""
        for tally, weight in self._counting():
            tally.add(row, amount * weight)

    def move_rows(self, rows: Ints, amounts: Ints) -> None:
        """`amounts` more of its pods are on `rows`."""
        for tally, weight in self._counting():
            tally.add_rows(rows, amounts * weight)

    def suppose(self, row: Row, sign: int) -> None:
        """As if a pod that is leaving `row` had left (sign -1), or were still there (1)."""
        for tally, weight in self._there():
            tally.add(row, sign * weight)

    def set_leaving(self, row: Row, amount: int) -> None:
        """`amount` of its pods on `row` begin to leave; a negative one: they stay after all, or have left."""
        for tally, weight in self._staying():
            tally.add(row, -amount * weight)
