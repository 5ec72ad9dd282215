"""Resource names as axes, and the arithmetic of amounts on them.

An axis is a small int, given out in order of first sight. Requests are sparse sorted tuples, because comparing three
Python ints beats any vector of eight; sums over gangs and queues are plain dicts of Python ints, which cannot overflow.
Node columns are int64 and can: so one amount is cut at `AMOUNT_MAX`.
"""

from collections.abc import Iterable, Mapping

from flowbatch.model.ids import Amounts

#: Sparse and sorted: ((axis, amount), ...); amounts are positive.
Request = tuple[tuple[int, int], ...]
#: axis -> amount; absent means zero.
Sums = dict[int, int]

#: The axis that counts pods; every request has one of it.
PODS = 0
#: Axes that no node has: devices of a class, which queues count and whose places pools know. To the table every node
#: has more of them than anybody asks for.
DEVICE_CLASS = "deviceclass/"
EVERYWHERE = 1 << 40
#: 2**50 (a pebibyte): 8,191 of them still add up in int64, and a quotient of two amounts is exact in float64.
AMOUNT_MAX = 1 << 50


def device_axis(device_class: str) -> str:
    """What queues call devices of a class (Volcano: capacity plugin)."""
    return DEVICE_CLASS + device_class


class Axes:
    """Names of resources and their axes. `pods`, `cpu` and `memory` are always 0, 1 and 2."""

    def __init__(self) -> None:
        self.names: list[str] = ["pods", "cpu", "memory"]
        self._unplaced: list[int] = []
        self._axis_of: dict[str, int] = {name: axis for axis, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def axis(self, name: str) -> int:
        """The axis of `name`, made on first sight."""
        axis = self._axis_of.get(name)
        if axis is None:
            axis = self._axis_of[name] = len(self.names)
            self.names.append(name)
            if name.startswith(DEVICE_CLASS):
                self._unplaced.append(axis)
        return axis

    @property
    def unplaced(self) -> list[int]:
        """Axes that say nothing about nodes."""
        return self._unplaced

    def find(self, name: str) -> int | None:
        """The axis of `name`, or None where nobody has mentioned it yet."""
        return self._axis_of.get(name)

    def request(self, amounts: Amounts) -> Request:
        """A pod's request: one pod, negative amounts as zero, and more than fits any node where it is absurd."""
        sparse = {self.axis(name): min(units, AMOUNT_MAX + 1) for name, units in amounts if units > 0}
        sparse[PODS] = 1
        return tuple(sorted(sparse.items()))

    def sums(self, amounts: Amounts) -> Sums:
        """Amounts of a node or a queue by axis: negative ones count as zero, absurd ones as `AMOUNT_MAX`."""
        return {self.axis(name): max(0, min(units, AMOUNT_MAX)) for name, units in amounts}

    def amounts(self, sums: Mapping[int, int]) -> Amounts:
        """Back to sorted names, without zeros."""
        return tuple(sorted((self.names[axis], units) for axis, units in sums.items() if units))


def add(sums: Sums, request: Iterable[tuple[int, int]], count: int = 1) -> None:
    """Add `count` times `request`; a negative count takes it away again. Zeros are not kept."""
    for axis, amount in request:
        total = sums.get(axis, 0) + amount * count
        if total:
            sums[axis] = total
        else:
            sums.pop(axis, None)


def shortfall(asked: Iterable[tuple[int, int]], used: Mapping[int, int], limit: Mapping[int, int]) -> Sums:
    """What is missing on each asked axis so that `used + asked <= limit`; an axis absent from `limit` is unlimited."""
    short: Sums = {}
    for axis, amount in asked:
        ceiling = limit.get(axis)
        if ceiling is not None and amount > 0:
            missing = used.get(axis, 0) + amount - ceiling
            if missing > 0:
                short[axis] = missing
    return short


def positive_difference(left: Mapping[int, int], right: Mapping[int, int]) -> Sums:
    """`left - right`, axis by axis, never below zero."""
    return {axis: amount - right.get(axis, 0) for axis, amount in left.items() if amount > right.get(axis, 0)}
