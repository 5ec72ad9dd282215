"""Who may move for one gang: pods of any queue that their gangs can do without for a moment, and that can be elsewhere.

Nobody loses a part of the cluster by it, so priorities, shares and guarantees have no say; but whoever is not to be
disturbed is not moved either: what is not preemptable, has just started or been moved, or is protected by a budget.
A place is kept by amounts. So those stay whose place is more than that: with shared devices, cpus of their own, host
ports, or terms about other pods, and members of gangs that must be close together.
"""

from collections.abc import Iterator, Sequence

from flowbatch.engine.candidates import Candidates, Way
from flowbatch.engine.guard import Guard
from flowbatch.engine.placement import Placement
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Instant
from flowbatch.model.resources import Sums
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import VictimFilter
from flowbatch.policy.policy import Policy
from flowbatch.policy.victims import Conformance, Cooldown, WithinBudget

#: Asked whatever the policy says.
ALWAYS: tuple[VictimFilter, ...] = (Conformance(), Cooldown(), WithinBudget())


class Movers(Candidates):
    """Everybody who may move for one gang, by row, cheapest first."""

    def __init__(
        self,
        state: ClusterState,
        view: View,
        policy: Policy,
        guard: Guard,
        beneficiary: Gang,
        way: Way,
        asked: Sums,
        placement: Placement,
    ) -> None:
        self._placement = placement
        super().__init__(state, view, policy, guard, beneficiary, way, asked)

    def _asking(self) -> tuple[VictimFilter, ...]:
        others = dict.fromkeys((*self._policy.preemptable, *self._policy.reclaimable))
        return (*ALWAYS, *(each for each in others if each not in ALWAYS and not getattr(each, "about_parts", False)))

    def _runtime_ms(self, task: Task) -> int:
        near = task.gang is not None and task.gang.queue is self._gang.queue
        return self._policy.preempt_min_runtime_ms if near else self._policy.reclaim_min_runtime_ms

    def _gangs(self) -> Iterator[Gang]:
        for queue in self._state.queues.by_name.values():
            yield from (gang for gang in queue.gangs.values() if gang is not self._gang)

    def _gang_law(self, gang: Gang) -> str | None:
        fact, queue = gang.fact, gang.queue
        if fact is None or queue is None or queue.fact is None:
            return "of gangs that nobody knows"
        if fact.preemptable is False:
            return "not preemptable"
        if fact.sub_groups or (fact.reach is not None and not fact.reach.soft):
            return "that must be close to the rest of their gang"
        # One of which nobody is left would be a gang that has not started.
        return "needed by their gang" if gang.ready < 2 else None

    def _guarantee(self, tasks: Sequence[Task]) -> str | None:
        return None

    def _veto(self, task: Task) -> str | None:
        spec, until = task.shape.spec, task.moved_until
        if self._view.now < until:
            self.soonest = Instant(until if self.soonest is None else min(until, self.soonest))
            return "that have just been moved"
        if spec.ports or self._state.pieces.matter(task.shape) or self._placement.social(task.shape):
            return "that could not be sure of another place"
        return super()._veto(task)
