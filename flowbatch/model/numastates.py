"""Distinct states of nodes' cpus by number, and what was worked out for each: nodes in one state are asked once."""

from typing import Final, NamedTuple

import numpy as np

from flowbatch.model.asks import NumaAsk
from flowbatch.model.cpus import Layout, aligned, fitting, reach
from flowbatch.model.table import Ints

#: State 0: a node whose kubelet aligns nothing, or of which nothing is known.
UNALIGNED: Final = 0
#: So many states, asks and answers are remembered beyond those in use.
SPARE: Final = 1024
ENDLESS: Final = int(np.iinfo(np.int64).max)


class State(NamedTuple):
    """A node's cpus as an answer depends on them (`cpus.aligned`)."""

    layout: Layout
    free: int
    slack: int


class NumaStates:
    """Numbers for states, and answers by number."""

    def __init__(self) -> None:
        self._states: list[State | None] = [None]
        self._numbers: dict[State, int] = {}
        self._copies: dict[NumaAsk, Ints] = {}
        self._spans: dict[tuple[NumaAsk, int, int], int] = {}

    def __len__(self) -> int:
        return len(self._states)

    def at(self, number: int) -> State | None:
        """The state of this number."""
        return self._states[number]

    def number(self, state: State) -> int:
        """The number of a state; new ones grow."""
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
        return number

    def sweep(self, *columns: Ints) -> list[Ints]:
        """Forget states that are in none of `columns`; returns these with the new numbers."""
        used = [int(number) for number in np.unique(np.concatenate(columns)) if number]
        renumbered = np.zeros(len(self._states), np.int64)
        renumbered[used] = np.arange(1, len(used) + 1)
        self._states = [None, *(self._states[number] for number in used)]
        self._numbers = {state: number for number, state in enumerate(self._states) if state is not None}
        self._copies.clear()
        self._spans.clear()
        return [renumbered[column] for column in columns]

    def copies(self, ask: NumaAsk, numbers: Ints) -> Ints:
        """How many pods with `ask` a node in each of these states would align; ENDLESS where it does not care."""
        known = self._answers(ask)
        for number in np.unique(numbers[known[numbers] < 0]).tolist():
            state = self._states[number]
            assert state is not None
            known[number] = fitting(state.layout, state.free, state.slack, ask.cpus)
        result: Ints = known[numbers]
        return result

    def _answers(self, ask: NumaAsk) -> Ints:
        """By state; -1 where it was not asked yet."""
        known = self._copies.get(ask)
        if known is None or known.size < len(self._states):
            if len(self._copies) > SPARE:
                self._copies.clear()
            fresh = np.full(2 * len(self._states), -1, np.int64)
            fresh[UNALIGNED] = ENDLESS
            if known is not None:
                fresh[: known.size] = known
            known = self._copies[ask] = fresh
        return known

    def span(self, ask: NumaAsk, number: int, extra: int) -> int:
        """Over how many NUMA nodes a pod with `ask` would reach, after `extra` more like it; 0 where it finds none."""
        state = self._states[number]
        if state is None:
            return 0
        key = (ask, number, extra)
        if key not in self._spans:
            if len(self._spans) > 16 * SPARE:
                self._spans.clear()
            layout, free, slack = state
            for _ in range(extra):
                free &= ~(aligned(layout, free, slack, ask.cpus) or 0)
            self._spans[key] = reach(layout, free, slack, ask.cpus)
        return self._spans[key]
