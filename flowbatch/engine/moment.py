"""A reason's numbers, brought up to the moment of telling.

A gang is refused once and then sleeps until its cure may have come; meanwhile others take what little there was. What
is told of it must hold when it is told: what its queue lacks, and how many of its pods would find room, now.
"""

from msgspec import structs

from flowbatch.engine.fits import Fits
from flowbatch.model.blockers import Blocker, NeedsCapacity, NeedsHeadroom, NeedsQuota
from flowbatch.model.gangs import Gang
from flowbatch.model.resources import Sums
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState


class Moment:
    """Reads the state, changes nothing."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._fits = fits

    def current(self, blocker: Blocker, gang: Gang) -> Blocker:
        """The same reason with the numbers of now."""
        if isinstance(blocker, NeedsQuota) and blocker.holds and not blocker.owner:
            return self._quota(blocker)
        if isinstance(blocker, NeedsCapacity) and not blocker.hopeless and len(blocker.shapes) == 1:
            return self._capacity(blocker, gang)
        if isinstance(blocker, NeedsHeadroom) and not blocker.hopeless:
            return self._headroom(blocker)
        return blocker

    def _quota(self, blocker: NeedsQuota) -> NeedsQuota:
        queue = self._state.queues.by_name.get(blocker.queue)
        if queue is None:
            return blocker
        held: Sums = queue.own if blocker.limit == "share" else queue.held()
        now = {name: held.get(self._state.axes.axis(name), 0) for name, _ in blocker.holds}
        before = dict(blocker.holds)
        short = tuple((name, units + now[name] - before[name]) for name, units in blocker.short)
        if any(units <= 0 for _, units in short):
            return blocker
        return structs.replace(blocker, short=short, holds=tuple(now.items()))

    def _headroom(self, blocker: NeedsHeadroom) -> NeedsHeadroom:
        state, axes = self._state, self._state.axes
        asked = axes.sums(blocker.needs)
        taken: Sums = {axis: state.used.get(axis, 0) + state.inqueue.get(axis, 0) for axis in asked}
        total: Sums = {axis: state.total.get(axis, 0) for axis in asked}
        short = {axis: taken[axis] + amount - total[axis] for axis, amount in asked.items()}
        if any(amount <= 0 for amount in short.values()):
            return blocker
        return structs.replace(blocker, short=axes.amounts(short), taken=axes.amounts(taken), total=axes.amounts(total))

    def _capacity(self, blocker: NeedsCapacity, gang: Gang) -> NeedsCapacity:
        shape = _shape(gang, blocker)
        if shape is None or shape.spec.ports or self._state.pieces.matter(shape):
            return blocker
        table = self._state.table
        room = int(table.copies(shape.request, self._fits.of(shape).mask & table.open_rows()).sum())
        return structs.replace(blocker, fits=min(blocker.fits, room))


def _shape(gang: Gang, blocker: NeedsCapacity) -> Shape | None:
    waiting = (task.shape for task in gang.pending.values())
    to_come = (role.shape for role in gang.roles.values() if role.shape is not None)
    return next((shape for shape in (*waiting, *to_come) if shape.id == blocker.shapes[0]), None)
