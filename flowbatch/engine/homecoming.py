"""Members that moved come back: each takes the place that was kept for it, before its gang is tried in other ways.

Who comes back is known by his gang, task and shape: his pod is another one. Whichever of them waits takes a kept place.
"""

import numpy as np

from flowbatch.engine.confirming import Confirming
from flowbatch.engine.ground import Ground
from flowbatch.engine.outcome import Outcome
from flowbatch.engine.standing import Demand
from flowbatch.model.gangs import Berth, Gang, Task
from flowbatch.model.ids import Instant
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Ints
from flowbatch.model.trial import Trial

ONE: Ints = np.ones(1, np.int64)


class Homecoming:
    """Places those for whom a place is kept."""

    def __init__(self, ground: Ground, confirming: Confirming) -> None:
        self._state = ground.state
        self._view = ground.view
        self._policy = ground.policy
        self._placement = ground.placement
        self._limits = ground.limits
        self._confirming = confirming

    def place(self, gang: Gang, demand: Demand) -> Outcome | None:
        """Those whose place is kept go there; None where nobody does, and the gang is tried as any other."""
        if not gang.started:
            # All of it begins anew, and is placed together.
            self._state.give_up_berths(gang)
            return None
        waiting: dict[tuple[str, Shape], list[Task]] = {}
        for part in demand.parts:
            waiting.setdefault((part.role.name, part.shape), []).extend(part.tasks)
        with Trial(self._state) as trial:
            for berth in gang.berths:
                tasks = waiting.get((berth.role, berth.shape))
                if tasks and self._take(trial, gang, berth, tasks[0]):
                    tasks.pop(0).moved_until = Instant(self._view.now + self._policy.move_cooldown_ms)
            question = self._confirming.of(gang, trial) if trial.placing else None
            placed = trial.keep(Stimulus.HOLD if question else Stimulus.PLACE)
        return Outcome(placed, settled=True, question=question) if placed else None

    def _take(self, trial: Trial, gang: Gang, berth: Berth, task: Task) -> bool:
        """Its place, if that can still be had; else it is given up."""
        trial.leave_berth(gang, berth)
        room = int(self._placement.room(berth.shape).by_row[berth.row])
        if not room or not self._limits.bears(gang, berth.shape):
            return False
        trial.place(gang, berth.shape, [task], np.array([berth.row]), ONE)
        return True
