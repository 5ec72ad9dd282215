"""Cpus that pods have for themselves, node by node: which are free, and how many pods more would be aligned.

What is free is what the node's Numatopology says, less what pods hold that are known to be there: both are sets, so it
does not matter which of the two hears of a pod first. A pod's set is the one its kubelet tells of, else the one its
annotation names. Where neither does, the pod's cpus are somewhere: so many that nobody accounts for are taken off what
any set of NUMA nodes offers. Distinct states have numbers in a column, and each is asked once; without a Numatopology
whose kubelet aligns cpus this costs nothing.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from flowbatch.model.asks import NumaAsk
from flowbatch.model.cpus import Layout, aligned, layout_of
from flowbatch.model.cpusets import readable
from flowbatch.model.facts import NumaSeen
from flowbatch.model.ids import NodeName, PodUid, Row
from flowbatch.model.numastates import SPARE, UNALIGNED, NumaStates, State
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Ints


class NumaTable:
    """Exclusive cpus of all nodes. Rows are the node table's."""

    def __init__(self) -> None:
        #: The policy in force keeps pods aligned. Who holds what is known in any case.
        self.on = False
        #: By name: a Numatopology may come before its node.
        self.facts: dict[NodeName, NumaSeen] = {}
        self._layouts: dict[Row, Layout] = {}
        #: How many nodes have so many NUMA nodes.
        self._widths: dict[int, int] = {}
        self._known: dict[tuple[object, ...], Layout | None] = {}
        #: By row: what the kubelet says is free, and what it gave to whom.
        self._free: dict[Row, int] = {}
        self._told: dict[Row, dict[str, int]] = {}
        #: By row: sets that pods hold and how often, and how many cpus others hold of whom no set is known.
        self._held: dict[Row, dict[int, int]] = {}
        self._unknown: dict[Row, int] = {}
        #: By row: sets that would come back if some pods left, while a trial supposes so.
        self._back: dict[Row, dict[int, int]] = {}
        self._state: Ints = np.zeros(0, np.int64)
        self._empty: Ints = np.zeros(0, np.int64)
        self._states = NumaStates()

    def __bool__(self) -> bool:
        return bool(self._layouts)

    def concerns(self, shape: Shape) -> bool:
        """Where pods of `shape` fit depends on cpus of their own, somewhere."""
        return self.on and shape.spec.numa is not None and bool(shape.spec.numa.cpus and self._layouts)

    @property
    def widest(self) -> int:
        """NUMA nodes of the node that has most."""
        return max(self._widths, default=1)

    # -- nodes

    def set(self, row: Row, fact: NumaSeen | None) -> None:
        """What a node's Numatopology now says; None for nothing. What pods hold there is kept."""
        layout = self._layout(fact) if fact is not None else None
        before = self._layouts.pop(row, None)
        if before is not None:
            _count(self._widths, len(before.numa), -1)
        if layout is None or fact is None:
            if before is not None:
                del self._told[row], self._free[row]
                self._state[row] = self._empty[row] = UNALIGNED
            return
        _count(self._widths, len(layout.numa), 1)
        self._reach(row + 1)
        self._layouts[row] = layout
        self._free[row] = readable(fact.free)
        self._told[row] = {name: cpus for name, text in fact.told if (cpus := readable(text))}
        self._empty[row] = self._number(State(layout, layout.all & ~layout.reserved, 0))
        self._renew(row)

    def _layout(self, fact: NumaSeen) -> Layout | None:
        key = (fact.static, fact.policy, fact.numa, fact.sockets, fact.cores, fact.reserved)
        if key not in self._known:
            if len(self._known) > len(self._layouts) + SPARE:
                self._known.clear()
            try:
                self._known[key] = layout_of(fact)
            except ValueError:
                self._known[key] = None
        return self._known[key]

    def layout(self, row: Row) -> Layout | None:
        """The cpus of a node whose kubelet aligns them."""
        return self._layouts.get(row)

    def has(self, row: Row, cpus: int) -> bool:
        """The kubelet says that nobody has any of `cpus`."""
        return not cpus & ~self._free.get(row, -1)

    def told(self, row: Row, uid: PodUid, key: str) -> int:
        """What the kubelet says it gave to a pod; nothing where it says nothing."""
        told = self._told.get(row)
        return (told.get(uid) or told.get(key, 0)) if told else 0

    def forget(self, row: Row) -> None:
        """The row is nobody's any more."""
        self.set(row, None)
        for held in (self._held, self._unknown, self._back):
            held.pop(row, None)

    def _reach(self, rows: int) -> None:
        if rows > self._state.size:
            more = (0, max(rows, 2 * self._state.size) - self._state.size)
            self._state, self._empty = np.pad(self._state, more), np.pad(self._empty, more)

    # -- who holds what

    def hold(self, row: Row, cpus: int, need: int, sign: int = 1) -> None:
        """A pod on `row` has `cpus`, or `need` cpus nobody knows which (an empty set); sign -1 gives them back."""
        if cpus:
            _count(self._held.setdefault(row, {}), cpus, sign)
            if not self._held[row]:
                del self._held[row]
        elif need:
            self._unknown[row] = self._unknown.get(row, 0) + sign * need
            if not self._unknown[row]:
                del self._unknown[row]
        if row in self._layouts:
            self._renew(row)

    def suppose_gone(self, row: Row, cpus: int, need: int, sign: int = 1) -> None:
        """As if a pod had left, and its kubelet had noticed; sign -1 ends that."""
        _count(self._back.setdefault(row, {}), cpus, sign)
        if not self._back[row]:
            del self._back[row]
        self.hold(row, cpus, need, -sign)

    def bears(self, row: Row, cpus: int) -> bool:
        """Whoever holds `cpus` there, as the books say now, shares none of them; of an unknown set nobody can tell."""
        held = self._held.get(row, {})
        if not self.on or row not in self._layouts:
            return True
        return bool(cpus) and held.get(cpus, 0) <= 1 and not any(cpus & each for each in held if each != cpus)

    def free(self, row: Row) -> tuple[int, int]:
        """Cpus of an aligning node that a pod may have for itself, and how many of them are not to be counted on."""
        layout = self._layouts[row]
        usable, free, held = layout.all & ~layout.reserved, self._free[row], 0
        for cpus in self._back.get(row, ()):
            free |= cpus
        for cpus in self._held.get(row, ()):
            held |= cpus
        unknown = self._unknown.get(row, 0)
        if not unknown:
            return free & usable & ~held, 0
        explained = held
        for cpus in self._told[row].values():
            explained |= cpus
        # What is taken and explained by nobody is theirs; the kubelet has yet to give them the rest.
        return free & usable & ~held, max(0, unknown - (usable & ~free & ~explained).bit_count())

    def _renew(self, row: Row) -> None:
        self._state[row] = self._number(State(self._layouts[row], *self.free(row)))

    def _number(self, state: State) -> int:
        if len(self._states) > 4 * len(self._layouts) + SPARE:
            self._state, self._empty = self._states.sweep(self._state, self._empty)
        return self._states.number(state)

    # -- room

    def limit(self, shape: Shape, copies: Ints, *, empty: bool = False) -> Ints:
        """`copies` by row, where cpus do not allow for fewer; `empty`: if nobody had any."""
        rows = np.flatnonzero(copies)
        if not rows.size:
            return copies
        result = copies.copy()
        result[rows] = np.minimum(copies[rows], self.copies(shape, rows, empty=empty))
        return result

    def copies(self, shape: Shape, rows: Ints, *, empty: bool = False) -> Ints:
        """How many pods of `shape` the kubelets of `rows` would align; without end where they do not care."""
        assert shape.spec.numa is not None
        self._reach(int(rows.max(initial=-1)) + 1)
        return self._states.copies(shape.spec.numa, (self._empty if empty else self._state)[rows])

    def spans(self, ask: NumaAsk, rows: Ints, extra: int | Ints) -> Ints:
        """Over how many NUMA nodes of each row one pod would reach, after `extra` more of its kind; 0 for none."""
        self._reach(int(rows.max(initial=-1)) + 1)
        pairs = np.stack([self._state[rows], np.broadcast_to(np.asarray(extra), rows.shape)])
        distinct, inverse = np.unique(pairs, axis=1, return_inverse=True)
        found = [self._states.span(ask, number, before) for number, before in distinct.T.tolist()]
        result: Ints = np.array(found, np.int64)[inverse.reshape(-1)]
        return result

    # -- trials and reservations

    def take_rows(self, shape: Shape, rows: Ints, counts: Ints) -> list[int]:
        """Take cpus for `counts` pods of `shape` on each of `rows`; they must fit. Nothing where none are taken.

        The sets are in the order of `np.repeat(rows, counts)`; an empty one where the node aligns nothing.
        """
        result: list[int] = []
        if not self.concerns(shape):
            return result
        assert shape.spec.numa is not None
        for row in map(Row, np.repeat(rows, counts).tolist()):
            layout = self._layouts.get(row)
            chosen = aligned(layout, *self.free(row), shape.spec.numa.cpus) if layout is not None else 0
            assert chosen is not None, f"{shape.spec.numa} on row {row}: {self.free(row)}"
            if chosen:
                self.hold(row, chosen, 0)
            result.append(chosen)
        return result

    def give_rows(self, rows: Ints, sets: Sequence[int], sign: int = -1) -> None:
        """Give back what `take_rows` took; `rows` one for each pod. Sign 1 takes exactly the same again."""
        for row, cpus in zip(rows.tolist(), sets, strict=True) if sets else ():
            if cpus:
                self.hold(Row(row), cpus, 0, sign)

    def content(self) -> dict[Row, tuple[int, int, int]]:
        """(number of NUMA nodes, free cpus, slack) of every aligning node, for checks and digests."""
        return {row: (len(layout.numa), *self.free(row)) for row, layout in sorted(self._layouts.items())}

    def stale(self) -> Iterable[Row]:
        """Rows whose state is not what it would be if it were worked out now; there must be none."""
        for row, layout in self._layouts.items():
            if self._states.at(int(self._state[row])) != State(layout, *self.free(row)):
                yield row


def _count(numbers: dict[int, int], each: int, sign: int) -> None:
    """One more of `each`; nothing is not counted."""
    if each:
        numbers[each] = numbers.get(each, 0) + sign
        if not numbers[each]:
            del numbers[each]
