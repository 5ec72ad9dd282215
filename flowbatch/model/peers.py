"""Whom pods are to each other: for every selector in use, how many pods that it selects are in which topology domain.

Pods of one namespace with equal labels are of one *kind*; all pods that a term asks about are a *group* of kinds
(model.stakes). What nobody asks about is in no group, and costs nothing.
"""

from collections.abc import Iterable, Iterator

from flowbatch.model.columns import NodeColumns
from flowbatch.model.ids import PodUid
from flowbatch.model.labels import passes
from flowbatch.model.shapes import PodSelector, ShapeSpec, Spread
from flowbatch.model.stakes import Group, Kind, LabelPairs, Stake, Tallies
from flowbatch.model.tallies import Tally


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
