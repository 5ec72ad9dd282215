"""Making room: others go, and what they leave is kept for the gang for whose sake they go."""

from flowbatch.engine.berths import Berths
from flowbatch.engine.evictions import Evictions
from flowbatch.engine.ground import Ground
from flowbatch.engine.holds import Holds
from flowbatch.engine.lanes import Entry
from flowbatch.engine.lineup import LineUp
from flowbatch.engine.orders import Orders
from flowbatch.engine.outcome import Outcome
from flowbatch.engine.reservations import Reservations
from flowbatch.engine.standing import Demand
from flowbatch.model.ids import Instant


class Relieving:
    """Carries out what the search for victims finds, for gangs that were refused."""

    def __init__(
        self,
        ground: Ground,
        lineup: LineUp,
        evictions: Evictions,
        holds: Holds,
        berths: Berths,
        orders: Orders,
        reservations: Reservations,
    ) -> None:
        self._state = ground.state
        self._view = ground.view
        self._policy = ground.policy
        self._fits = ground.fits
        self._lineup = lineup
        self._evictions = evictions
        self._holds = holds
        self._berths = berths
        self._orders = orders
        self._reservations = reservations

    def wait_for_room(self, entry: Entry, outcome: Outcome) -> None:
        """Others are on their way out for it. If all of them have left and it still does not fit, all starts anew."""
        gang = entry.gang
        assert outcome.blocker is not None
        leaving = any(task.beneficiary == gang.id for task in self._state.leaving.values())
        if not leaving and self._state.claims_are_free(gang):
            self._evictions.let_down(gang)
            self._state.unclaim(gang)
        else:
            outcome.also.insert(0, outcome.blocker)
            outcome.blocker = self._holds.waiting(gang)
        self._lineup.lay_down(self._lineup.place, entry, outcome)

    def relieve(self, entry: Entry, what: Demand, outcome: Outcome) -> None:
        """Whoever is found goes, and his room is kept for the gang; else it is laid down."""
        gang = entry.gang
        with self._fits.seen_by(gang):
            relief = self._evictions.relieve(entry, what, outcome)
        if relief is None:
            self._lineup.lay_down(self._lineup.place, entry, outcome)
            return
        self._lineup.wake_up(entry.lane)
        self._reservations.drop(gang.id)
        until = Instant(self._view.now + self._policy.hold_ms)
        for task in relief.victims:
            self._orders.evict(task, relief.way.action, gang.id)
        self._holds.take(gang, relief.claims, relief.named, until)
        for task, row in relief.berths:
            self._berths.keep(task, row, until)
        # With claims it is unlike all others: it stands alone, and waits for the room.
        self._lineup.sort(gang.id, gang)
