"""Whom pods are to each other: for every selector in use, how many pods that it selects are in which topology domain.

Pods of one namespace with equal labels are of one *kind*; all pods that a term asks about are a *group* of kinds. A
placement moves the tallies of the groups that its kind belongs to and of the terms that its own spec carries, and no
others. What nobody asks about is in no group, and costs nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowbatch.model.columns import NodeColumns
from flowbatch.model.ids import PodUid, Row
from flowbatch.model.labels import passes
from flowbatch.model.shapes import PodSelector, ShapeSpec, Spread
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

    def moved(self) -> Iterator[Tally]:
        """Every tally that a placement of it moves."""
        for group in self.groups():
            yield from group.members.values()
            yield from group.staying.values()
        for tally, _ in self.carries:
            yield tally


class Peers:
    """Kinds, groups and tallies of one cluster."""

    def __init__(self, columns: NodeColumns) -> None:
        self._columns = columns
        self._kinds: dict[str, dict[LabelPairs, Kind]] = {}
        self._kinds_with: dict[tuple[str, str], dict[Kind, None]] = {}
        self._groups: dict[tuple[PodSelector, ...], Group] = {}
        #: Groups under one of the label pairs that their pods must have, the others together.
        self._groups_of: dict[tuple[str, str], dict[Group, None]] = {}
        self._loose: dict[Group, None] = {}
        self._specs: dict[ShapeSpec, int] = {}
        self._namespaces: dict[str, dict[str, str]] = {}
        #: Kinds that nobody asked for before: their tasks need shapes of their own.
        self.fresh: list[Kind] = []

    # -- kinds

    def kind(self, namespace: str, labels: LabelPairs) -> Kind:
        """The kind of pods with these labels, made on first sight."""
        kinds = self._kinds.get(namespace)
        kind = kinds.get(labels) if kinds is not None else None
        if kind is None:
            kind = self._kinds.setdefault(namespace, {})[labels] = Kind(namespace, labels)
            for pair in labels:
                self._kinds_with.setdefault(pair, {})[kind] = None
            for group in self._candidates(labels):
                if self._selects(group, kind):
                    self._join(kind, group)
        return kind

    def declare(self, namespace: str, labels: LabelPairs) -> Kind:
        """The kind of pods that are still to come."""
        kind = self.kind(namespace, labels)
        kind.declared += 1
        return kind

    def undeclare(self, kind: Kind) -> None:
        """They are not awaited any more."""
        kind.declared -= 1
        self._drop_kind_if_idle(kind)

    def leave_kind(self, kind: Kind, uid: PodUid) -> None:
        """A pod of `kind` is gone; the last one takes the kind along."""
        del kind.tasks[uid]
        self._drop_kind_if_idle(kind)

    def _drop_kind_if_idle(self, kind: Kind) -> None:
        if kind.tasks or kind.declared:
            return
        for group in kind.groups:
            del group.kinds[kind]
        for pair in kind.labels:
            del self._kinds_with[pair][kind]
            if not self._kinds_with[pair]:
                del self._kinds_with[pair]
        del self._kinds[kind.namespace][kind.labels]
        if not self._kinds[kind.namespace]:
            del self._kinds[kind.namespace]

    def _candidates(self, labels: LabelPairs) -> Iterator[Group]:
        yield from list(self._loose)
        for pair in labels:
            yield from list(self._groups_of.get(pair, ()))

    def _selects(self, group: Group, kind: Kind) -> bool:
        labels = dict(kind.labels)
        return all(
            selector.tests is not None and self._covers(selector, kind.namespace) and passes(selector.tests, labels)
            for selector in group.selectors
        )

    def _covers(self, selector: PodSelector, namespace: str) -> bool:
        if namespace in selector.namespaces:
            return True
        wanted = selector.of_namespaces
        return wanted is not None and passes(wanted, self._namespaces.get(namespace, {}))

    def _join(self, kind: Kind, group: Group) -> None:
        if not kind.groups:
            self.fresh.append(kind)
        kind.groups = (*kind.groups, group)
        group.kinds[kind] = None
        self._count(kind, group, 1)

    def _part(self, kind: Kind, group: Group) -> None:
        kind.groups = tuple(each for each in kind.groups if each is not group)
        del group.kinds[kind]
        self._count(kind, group, -1)

    @staticmethod
    def _count(kind: Kind, group: Group, sign: int) -> None:
        for tallies, every in ((group.members, True), (group.staying, False)):
            for tally in tallies.values():
                _count_tasks(tally, kind, sign, leaving=every)

    def namespace(self, name: str, labels: dict[str, str] | None) -> Iterator[tuple[Kind, Group, int]]:
        """A namespace's labels as they now are; None for one that is gone. Rare, so its kinds are judged anew.

        Yields which kinds joined (1) or left (-1) which groups.
        """
        if self._namespaces.get(name) == labels:
            return
        if labels is None:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = labels
        for kind in self._kinds.get(name, {}).values():
            for group in self._groups.values():
                if any(selector.of_namespaces is not None for selector in group.selectors):
                    selected, before = self._selects(group, kind), group in kind.groups
                    if selected and not before:
                        self._join(kind, group)
                        yield kind, group, 1
                    elif before and not selected:
                        self._part(kind, group)
                        yield kind, group, -1

    # -- groups

    def enter(self, spec: ShapeSpec) -> None:
        """One more user of a spec with terms: its groups exist from the first one on."""
        users = self._specs.get(spec, 0)
        self._specs[spec] = users + 1
        if not users:
            for selectors in _groups_of(spec):
                self._group(selectors).uses += 1

    def leave(self, spec: ShapeSpec) -> None:
        """One user less; groups that no spec mentions any more are gone."""
        self._specs[spec] -= 1
        if self._specs[spec]:
            return
        del self._specs[spec]
        for selectors in _groups_of(spec):
            group = self._groups[selectors]
            group.uses -= 1
            if not group.uses:
                self._drop(group)

    def _group(self, selectors: tuple[PodSelector, ...]) -> Group:
        group = self._groups.get(selectors)
        if group is None:
            group = self._groups[selectors] = Group(selectors)
            pairs = _required_pairs(selectors)
            kinds: dict[Kind, None] = {}
            if pairs is None:
                self._loose[group] = None
                kinds = {kind: None for each in self._kinds.values() for kind in each.values()}
            for pair in pairs or ():
                self._groups_of.setdefault(pair, {})[group] = None
                kinds |= self._kinds_with.get(pair, {})
            for kind in kinds:
                if self._selects(group, kind):
                    self._join(kind, group)
        return group

    def _drop(self, group: Group) -> None:
        for kind in list(group.kinds):
            kind.groups = tuple(each for each in kind.groups if each is not group)
        self._loose.pop(group, None)
        for pair in _required_pairs(group.selectors) or ():
            del self._groups_of[pair][group]
            if not self._groups_of[pair]:
                del self._groups_of[pair]
        del self._groups[group.selectors]

    def groups(self) -> Iterable[Group]:
        """All of them, oldest first."""
        return self._groups.values()

    def kinds(self) -> Iterator[Kind]:
        """All of them."""
        for kinds in self._kinds.values():
            yield from kinds.values()

    def expected_groups(self, kind: Kind) -> list[Group]:
        """The groups that select `kind`, found without any index: for checks."""
        return [group for group in self._groups.values() if self._selects(group, kind)]

    # -- stakes

    def stake(self, spec: ShapeSpec, kind: Kind | None) -> Stake:
        """What a shape of `spec`, which has entered, with pods of `kind` has to do with others."""
        company = self._groups[tuple(term.pods for term in spec.near)] if spec.near else None
        keys = dict.fromkeys(term.key for term in spec.near)
        return Stake(
            kind,
            tuple(self._members(company, key) for key in keys) if company is not None else (),
            company,
            tuple(self._members(self._groups[(term.pods,)], term.key) for term in spec.apart),
            tuple((self._members(self._groups[(term.pods,)], term.key), weight) for weight, term in spec.likes),
            tuple(self._spread(each) for each in spec.spreads),
            tuple(self._carried(spec)),
        )

    def _spread(self, spread: Spread) -> tuple[Spread, Tally | None, Group | None]:
        if spread.pods.tests == ():
            return spread, None, None
        group = self._groups[(spread.pods,)]
        return spread, self._tally(group, group.staying, spread.key, leaving=False), group

    def _members(self, group: Group, key: str) -> Tally:
        return self._tally(group, group.members, key, leaving=True)

    def _tally(self, group: Group, tallies: Tallies, key: str, *, leaving: bool) -> Tally:
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = Tally(key, self._columns.label(key))
            for kind in group.kinds:
                _count_tasks(tally, kind, 1, leaving=leaving)
        return tally

    def _carried(self, spec: ShapeSpec) -> Iterator[tuple[Tally, int]]:
        """Terms that existing pods hold against newcomers, or for them."""
        for term in spec.apart:
            yield self._carrier(self._groups[(term.pods,)].guards, term.key), 1
        for term in spec.near:
            yield self._carrier(self._groups[(term.pods,)].bonds, term.key), 1
        for weight, term in spec.likes:
            yield self._carrier(self._groups[(term.pods,)].pulls, term.key), weight

    def _carrier(self, tallies: Tallies, key: str) -> Tally:
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = Tally(key, self._columns.label(key))
        return tally

    # -- placements

    @staticmethod
    def move(stake: Stake, row: Row, amount: int) -> None:
        """`amount` more pods with this stake are on `row`."""
        for group in stake.kind.groups if stake.kind is not None else ():
            for tally in group.members.values():
                tally.add(row, amount)
            for tally in group.staying.values():
                tally.add(row, amount)
        for tally, weight in stake.carries:
            tally.add(row, amount * weight)

    @staticmethod
    def move_rows(stake: Stake, rows: Ints, amounts: Ints) -> None:
        """`amounts` more pods with this stake are on `rows`."""
        for group in stake.kind.groups if stake.kind is not None else ():
            for tally in (*group.members.values(), *group.staying.values()):
                tally.add_rows(rows, amounts)
        for tally, weight in stake.carries:
            tally.add_rows(rows, amounts * weight)

    @staticmethod
    def suppose(stake: Stake, row: Row, sign: int) -> None:
        """As if a pod that is leaving `row` had left (sign -1), or were still there (1)."""
        for group in stake.kind.groups if stake.kind is not None else ():
            for tally in group.members.values():
                tally.add(row, sign)
        for tally, weight in stake.carries:
            tally.add(row, weight * sign)

    @staticmethod
    def set_leaving(stake: Stake, row: Row, amount: int) -> None:
        """`amount` pods on `row` begin to leave; a negative one: they stay after all, or have left."""
        for group in stake.kind.groups if stake.kind is not None else ():
            for tally in group.staying.values():
                tally.add(row, -amount)


def _count_tasks(tally: Tally, kind: Kind, sign: int, *, leaving: bool) -> None:
    for task in kind.tasks.values():
        if task.node is not None and (leaving or not task.leaving):
            tally.add(task.node.row, sign)


def _groups_of(spec: ShapeSpec) -> Iterator[tuple[PodSelector, ...]]:
    """The groups a spec mentions. Affinity terms make one together, because only pods that all of them select count."""
    if spec.near:
        yield tuple(term.pods for term in spec.near)
        if len(spec.near) > 1:
            for term in spec.near:
                yield (term.pods,)
    for term in spec.apart:
        yield (term.pods,)
    for _, term in spec.likes:
        yield (term.pods,)
    for spread in spec.spreads:
        if spread.pods.tests != ():
            yield (spread.pods,)


def _required_pairs(selectors: tuple[PodSelector, ...]) -> list[tuple[str, str]] | None:
    """Label pairs of which every selected pod has one; None where no such pairs are known."""
    for selector in selectors:
        if selector.tests is None:
            return []
        for test in selector.tests:
            if test.operator == "In":
                return list(dict.fromkeys((test.key, value) for value in test.values))
    return None
