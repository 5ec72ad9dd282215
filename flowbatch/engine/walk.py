"""One after the other: for shapes whose own pods matter to where the next one may or should go.

Each pod sees those before it, yet nodes are searched only once: a placement changes what the table says of one row, and
what others make of it is worked out from their tallies.
"""

import numpy as np

from flowbatch.engine.placement import Placement, Room
from flowbatch.model.ids import Row
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Floats, Ints


class Walk:
    """Gives the best row for the next pod of one shape; `room` is what a search has just found."""

    def __init__(self, placement: Placement, shape: Shape, room: Room) -> None:
        self._placement = placement
        self._shape = shape
        self._room = room
        self._anyway = room.anyway.copy()
        self._points: Floats | None = None

    def next(self, avoided: list[Row]) -> Ints | None:
        """The row for one more, as an array of one, or None; one of `avoided` only for want of others."""
        room = self._room
        if not room.total:
            return None
        rows = room.rows
        if avoided:
            elsewhere = rows[~np.isin(rows, avoided)]
            rows = elsewhere if elsewhere.size else rows
        if self._points is None:
            every: Ints = np.flatnonzero(self._anyway)
            self._points = np.zeros(self._anyway.size)
            self._points[every] = self._placement.points(self._shape, every, 0)
        points = self._points.take(rows) + self._placement.social_points(self._shape, rows)
        best = int(self._placement.keys(points, rows).argmin())
        return rows[best : best + 1]

    def placed(self, row: Ints) -> None:
        """It went there: what that row is worth, and where the next one may go, is worked out anew."""
        shape, placement = self._shape, self._placement
        self._anyway = placement.after_one(shape, row, self._anyway)
        if self._points is not None and self._anyway[row].any():
            self._points[row] = placement.points(shape, row, 0)
        self._room = Room.of(placement.among_others(shape, self._anyway), self._anyway)
