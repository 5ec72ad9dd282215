"""GPUs cut in hardware (NVIDIA MIG): into instances of fixed memory, by one of the groups that the model allows.

An empty GPU may be cut by any group; the first in the list that has an instance large enough is taken. As long as
somebody is on it, it keeps that group and only its unused instances can be given. So what such a GPU can take is
no amount but a state: (allowed groups, group and place of each instance in use). States are few and interned; arrays
hold their numbers. An instance is named `UUID[group-place]`, as Volcano's device plugin reads it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowbatch.model.asks import MigGroup
from flowbatch.model.table import Ints

#: A group's index and an instance's place in it.
Spot = tuple[int, int]
#: Spots as numbers: one more than group * PLACES + place; 0 is no spot.
PLACES = 1 << 8
#: More than any memory in MiB.
MEMORY_LIMIT = 1 << 41


class Gift(NamedTuple):
    """What a state offers for one ask: how often, and what the next one would get and leave."""

    copies: int = 0
    spot: int = 0
    memory: int = 0
    after: int = 0


@dataclass(frozen=True)
class Cut:
    """One GPU's state. Spots in use are sorted; the first one's group is the group it is cut by."""

    groups: tuple[MigGroup, ...]
    used: tuple[Spot, ...] = ()

    def offers(self, memory: int) -> tuple[int, Spot, int] | None:
        """How many instances of at least `memory` are free, and the smallest of them with its memory."""
        for index in (self.used[0][0],) if self.used else range(len(self.groups)):
            if index >= len(self.groups):
                continue
            free = [
                (size, place)
                for place, size in enumerate(self.groups[index].places)
                if size >= memory and (index, place) not in self.used
            ]
            if free:
                size, place = min(free)
                return len(free), (index, place), size
        return None


class Cuts:
    """All states there have been, by number; 0 stands for a device that is not cut."""

    def __init__(self) -> None:
        self._cuts: list[Cut | None] = [None]
        self._number: dict[Cut, int] = {}
        self._gifts: dict[tuple[int, int], Gift] = {}

    def number(self, cut: Cut) -> int:
        """The state's number."""
        known = self._number.get(cut)
        if known is None:
            known = self._number[cut] = len(self._cuts)
            self._cuts.append(cut)
        return known

    def used(self, number: int) -> tuple[Spot, ...]:
        """Spots in use."""
        cut = self._cuts[number]
        return cut.used if cut is not None else ()

    def cleared(self, number: int) -> int:
        """The same GPU with nobody on it."""
        cut = self._cuts[number]
        return self.number(Cut(cut.groups)) if cut is not None else 0

    def gift(self, number: int, memory: int) -> Gift:
        """What this state offers to an ask for so much memory."""
        known = self._gifts.get((number, memory))
        if known is None:
            known = self._gifts[number, memory] = self._gift(number, memory)
        return known

    def _gift(self, number: int, memory: int) -> Gift:
        cut = self._cuts[number]
        offer = cut.offers(memory) if cut is not None else None
        if cut is None or offer is None:
            return Gift(after=number)
        copies, (group, place), size = offer
        after = self.number(Cut(cut.groups, tuple(sorted((*cut.used, (group, place))))))
        return Gift(copies, group * PLACES + place + 1, size, after)

    def gifts(self, numbers: Ints, memory: Ints | int) -> tuple[Ints, Ints, Ints, Ints]:
        """As `gift`, for arrays: copies, spots, memory and the states after."""
        keys = numbers * MEMORY_LIMIT + memory
        distinct, where = np.unique(keys, return_inverse=True)
        found = [self.gift(*divmod(key, MEMORY_LIMIT)) for key in distinct.tolist()]
        columns = np.array(found, np.int64).reshape(-1, 4)[where.reshape(keys.shape)]
        return columns[..., 0], columns[..., 1], columns[..., 2], columns[..., 3]

    def moved(self, number: int, name: str, sign: int) -> int:
        """The state after the instance `name` ("group-place") was taken, or given back."""
        cut = self._cuts[number]
        spot = spot_of(cut.groups, name) if cut is not None else None
        if cut is None or spot is None:
            return number
        used = [each for each in cut.used if each != spot]
        if sign > 0:
            used.append(spot)
        return self.number(Cut(cut.groups, tuple(sorted(used))))


def spot_of(groups: tuple[MigGroup, ...], name: str) -> Spot | None:
    """The spot that "group-place" names."""
    group, _, place = name.rpartition("-")
    index = next((index for index, each in enumerate(groups) if each.name == group), None)
    known = index is not None and place.isascii() and place.isdigit() and int(place) < len(groups[index].places)
    return (index, int(place)) if known and index is not None else None


def spot_name(groups: tuple[MigGroup, ...], number: int) -> str:
    """ "group-place" of a spot's number."""
    group, place = divmod(number - 1, PLACES)
    return f"{groups[group].name}-{place}"


def memory_at(groups: tuple[MigGroup, ...], number: int) -> int:
    """MiB of a spot's instance."""
    group, place = divmod(number - 1, PLACES)
    return groups[group].places[place]
