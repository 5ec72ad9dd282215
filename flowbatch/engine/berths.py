"""Places of members that move: kept until whoever is made for them comes, or for as long as room is held for anybody.

What is kept is in the state, and `engine.homecoming` uses it; here is whose it is, and when it ends.
"""

from flowbatch.model.gangs import Berth, Gang, Task
from flowbatch.model.ids import GangId, Instant, Row
from flowbatch.model.state import ClusterState


class Berths:
    """Knows every gang with berths."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._gangs: dict[GangId, None] = {}

    def keep(self, task: Task, row: Row, until: Instant) -> None:
        """Keep `row` for whoever is made in place of `task`, which has been told to go."""
        gang, role = task.gang, task.role
        assert gang is not None
        assert role is not None
        self._gangs[gang.id] = None
        self._state.keep_berth(gang, Berth(role.name, task.shape, row, task.uid, until))

    def review(self, now: Instant) -> None:
        """Let go of what was kept for too long."""
        for gang_id in list(self._gangs):
            gang = self._state.gangs.get(gang_id)
            if gang is not None:
                self._give_up(gang, [berth for berth in gang.berths if berth.until <= now])
            if gang is None or not gang.berths:
                del self._gangs[gang_id]

    def wake_at(self) -> Instant | None:
        """When the next one ends."""
        gangs = (self._state.gangs.get(gang_id) for gang_id in self._gangs)
        return min((berth.until for gang in gangs if gang is not None for berth in gang.berths), default=None)

    def stay(self, task: Task) -> None:
        """It was not to be evicted after all, and needs no other place."""
        if task.gang is not None:
            self._give_up(task.gang, [berth for berth in task.gang.berths if berth.uid == task.uid])

    def _give_up(self, gang: Gang, berths: list[Berth]) -> None:
        for berth in berths:
            self._state.give_up_berth(gang, berth)
