"""How many pods that ask for the same claims each node's devices would take: counted once, and again where they moved.

Only rows whose devices were taken, given back or changed since the last question are counted anew; where no pod claims
devices there is nothing to keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.claimasks import ClaimContent, Wish
from flowbatch.model.devicepools import DevicePools, PoolKey
from flowbatch.model.ids import Row
from flowbatch.model.matching import Matching, Offer, is_plain
from flowbatch.model.nodes import Node
from flowbatch.model.table import Ints

Contents = tuple[ClaimContent, ...]

#: Different sets of claims that are remembered; the oldest is forgotten first.
ROOMS_KEPT = 512
#: Pods of one kind that are counted for one node, where counting means trying.
COPIES_MAX = 128


@dataclass(slots=True)
class Room:
    """Copies by row, and the rows that are to be counted anew (None: every one)."""

    plain: Wish | None
    copies: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    stale: dict[Row, None] | None = None


class DeviceRooms:
    """Answers from `pools`, and from `used`: device -> how many claims it is given to."""

    def __init__(self, pools: DevicePools, used: Mapping[int, int], node_at: Mapping[Row, Node]) -> None:
        self._pools = pools
        self._used = used
        self._node_at = node_at
        self._rooms: dict[tuple[Contents, bool], Room] = {}
        #: Where rows reach devices together with others, as of one version of the pools.
        self._reached: dict[Row, tuple[tuple[PoolKey, int], ...]] = {}
        self._version = 0

    def touch(self, row: Row) -> None:
        """Something about the devices of this row, or what it is, is not what it was."""
        for room in self._rooms.values():
            if room.stale is not None:
                room.stale[row] = None

    def forget(self, row: Row) -> None:
        """The row is another node's now, or its node has other labels."""
        self._reached.pop(row, None)
        self.touch(row)

    def touch_all(self) -> None:
        """The same for every row."""
        for room in self._rooms.values():
            room.stale = None

    def offer(self, node: Node, *, empty: bool = False) -> Offer:
        """What `node` reaches; `empty`: as if nothing were given to anybody."""
        wide = (self._pools.pools[key].wide[place][1] for key, place in self._reach(node))
        every = [*self._pools.local(node.name), *(each for devices in wide for each in devices)]
        free = every if empty else [each for each in every if not self._used.get(each)]
        return Offer(free, every, self._pools.partial(node))

    def _reach(self, node: Node) -> tuple[tuple[PoolKey, int], ...]:
        if not self._pools.everywhere():
            return ()
        if self._version != self._pools.version:
            self._version = self._pools.version
            self._reached.clear()
        known = self._reached.get(node.row)
        if known is None:
            known = self._reached[node.row] = tuple(self._pools.reached(node))
        return known

    def match(self, contents: Sequence[ClaimContent], offer: Offer) -> list[list[tuple[str, int]]] | None:
        """What each claim would be given of `offer`."""
        return Matching(contents, offer, self._pools.eligible, self._pools.attribute).solve()

    def copies(self, contents: Contents, size: int, *, empty: bool = False) -> Ints:
        """By row, how many pods that ask for `contents` find devices. Read only."""
        key = contents, empty
        room = self._rooms.get(key)
        if room is None:
            if len(self._rooms) >= ROOMS_KEPT:
                del self._rooms[next(iter(self._rooms))]
            room = self._rooms[key] = Room(is_plain(contents))
        if room.copies.size < size:
            room.copies = np.pad(room.copies, (0, size - room.copies.size))
        rows: list[Row] = list(self._node_at if room.stale is None else room.stale)
        known: dict[object, int] = {}
        for row in rows:
            node = self._node_at.get(row)
            room.copies[row] = self._count(room, contents, node, known, empty=empty) if node is not None else 0
        room.stale = {}
        result: Ints = room.copies[:size]
        return result

    def _count(self, room: Room, contents: Contents, node: Node, known: dict[object, int], *, empty: bool) -> int:
        """Of one row; nodes that reach the same devices, and none of their own, are counted once."""
        key: object = node.name if self._pools.has(node.name) else self._reach(node)
        if key not in known:
            known[key] = self._tried(room, contents, self.offer(node, empty=empty))
        return known[key]

    def _tried(self, room: Room, contents: Contents, offer: Offer) -> int:
        plain = room.plain
        if plain is not None:
            return sum(self._pools.eligible(plain, each) for each in offer.free) // plain.count
        copies, free = 0, list(offer.free)
        while copies < COPIES_MAX:
            found = self.match(contents, Offer(free, offer.every, offer.partial))
            if found is None:
                break
            copies += 1
            gone = {each: None for picks in found for _, each in picks}
            free = [each for each in free if each not in gone]
        return copies
