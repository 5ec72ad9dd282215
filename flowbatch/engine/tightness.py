"""Why an attempt failed: too little room, none near enough, no node at all, or others in the way."""

import msgspec

from flowbatch.engine.domains import Asked
from flowbatch.engine.ground import Ground
from flowbatch.engine.needs import asked_near, counts_of
from flowbatch.engine.outcome import Outcome
from flowbatch.engine.placement import admits_empty
from flowbatch.engine.room import TOGETHER, Near, Rooms
from flowbatch.engine.standing import Part
from flowbatch.model.blockers import Blocker, NeedsCapacity, NeedsDevices, NeedsNode, NeedsPeers, NeedsVolume
from flowbatch.model.gangs import Gang, Role
from flowbatch.model.ids import ShapeId
from flowbatch.model.shapes import Shape


class Tightness:
    """Says what was missing, and notes what each shape found, so that only more of it wakes the gang."""

    def __init__(self, ground: Ground) -> None:
        self._state = ground.state
        self._fits = ground.fits
        self._placement = ground.placement
        self._domains = ground.domains

    def few(self, shape: Shape, fits: int, needs: int, placed: int = 0) -> Blocker:
        """Why one shape found too little, after so many were `placed`: no node at all, others, or full ones."""
        mask = self._fits.of(shape).mask
        if not mask.any():
            return NeedsNode(shape.id)
        if self._placement.social(shape) and int(self._placement.room(shape).anyway.sum()) + placed >= needs:
            return self._whom(shape)((shape.id,), fits, needs)
        return self._capacity(shape, fits, needs)

    def _whom(self, shape: Shape) -> type[NeedsPeers]:
        """What keeps the shape away from room, by what it asks for."""
        claims = self._state.device_claims
        if shape.spec.device_claims and claims.on and (claims.is_roaming(shape) or claims.is_bound(shape)):
            return NeedsDevices
        return NeedsVolume if shape.spec.claims else NeedsPeers

    def _capacity(self, shape: Shape, fits: int, needs: int) -> NeedsCapacity:
        most = admits_empty(self._state, self._fits.of(shape).mask, shape)
        return NeedsCapacity((shape.id,), fits, needs, most, most < needs)

    def distance(self, asked: Asked) -> Blocker:
        """Why no area will do: a shape that no node admits, too little room in each, or no such area."""
        for shape in asked.counts:
            if not self._fits.of(shape).mask.any():
                return NeedsNode(shape.id)
        if asked.reach.soft:
            shape, count = next(iter(asked.counts.items()))
            return self.few(shape, min(self._placement.room(shape).total, count - 1), count)
        return self._domains.distance(asked, {shape: self._fits.of(shape).mask for shape in asked.counts})

    def tight(
        self, gang: Gang, order: list[Part], reserve: list[tuple[Role, int]], blocker: NeedsCapacity | NeedsPeers
    ) -> Outcome:
        """The attempt is undone: note what each of its shapes finds now, so that only more room wakes it."""
        counts = counts_of(order, reserve)
        if any(self._placement.social(shape) for shape in counts):
            return self._unsociable(list(counts), blocker)
        rooms: Rooms = {shape.id: (shape, self._placement.room(shape).by_row) for shape in counts}
        alone = len(counts) == 1 and not gang.reservations and not gang.repairing
        alone = alone and not self._fits.momentary and not self._state.windows
        needs = sum(counts.values()) if alone else TOGETHER if len(counts) > 1 else None
        if alone:
            (shape,) = counts
            blocker = self._capacity(shape, int(rooms[shape.id][1].sum()), sum(counts.values()))
        shapes = led_by(blocker, rooms)
        return Outcome(blocker=msgspec.structs.replace(blocker, shapes=shapes), rooms=rooms, needs=needs)

    def too_far(self, gang: Gang, counts: dict[Shape, int], blocker: Blocker) -> Outcome:
        """The attempt is undone: only more room in a domain that would do wakes it."""
        rooms: Rooms = {shape.id: (shape, self._placement.room(shape).anyway) for shape in counts}
        social = tuple(shape.id for shape in counts if self._placement.social(shape))
        also: list[Blocker] = [NeedsPeers(social, 0, sum(counts.values()))] if social else []
        if gang.reach is None or gang.reach.soft or self._fits.momentary or self._state.windows:
            # Where room is kept, or limited by the moment, others of the same shape find another number of places.
            return Outcome(blocker=blocker, also=also, rooms=rooms)
        allowed = self._domains.admissible(asked_near(gang, counts))
        needs = {shape.id: count for shape, count in counts.items()}
        return Outcome(
            blocker=blocker, also=also, rooms=rooms, needs=Near(self._state.topology.version, allowed, needs)
        )

    def _unsociable(self, shapes: list[Shape], blocker: NeedsCapacity | NeedsPeers) -> Outcome:
        """Where others matter, either may be the cure: room where they allow it, or others that come or go."""
        rooms: Rooms = {shape.id: (shape, self._placement.watched(shape, shapes)) for shape in shapes}
        whom = tuple(rooms)
        also: Blocker = NeedsPeers(whom, blocker.fits, blocker.needs)
        if isinstance(blocker, NeedsPeers):
            also = NeedsCapacity(whom, blocker.fits, blocker.needs)
        return Outcome(blocker=msgspec.structs.replace(blocker, shapes=whom), also=[also], rooms=rooms)


def led_by(blocker: NeedsCapacity | NeedsPeers, rooms: Rooms) -> tuple[ShapeId, ...]:
    """All watched shapes, first the one that the blocker's numbers are about."""
    return tuple(dict.fromkeys((*blocker.shapes, *rooms)))


def is_hopeless(blocker: Blocker) -> bool:
    """Nothing that ends cures it."""
    return bool(getattr(blocker, "hopeless", isinstance(blocker, NeedsNode)))
