"""Which gangs are alike: the lane in which a gang waits, under one policy."""

from msgspec import structs

from flowbatch.engine.candidates import WAYS, pushes
from flowbatch.engine.ground import Ground
from flowbatch.engine.questions import Questions
from flowbatch.engine.standing import Demand, LaneKey, owners_of
from flowbatch.model.gangs import Gang


class LaneKeys:
    """Keys for both stages. Where anything makes a gang unlike all others it has a lane of its own."""

    def __init__(self, ground: Ground, questions: Questions) -> None:
        self._state = ground.state
        self._view = ground.view
        self._policy = policy = ground.policy
        self._guard = ground.guard
        self._placement = ground.placement
        self._questions = questions
        self._evicts = any(action in WAYS for action in policy.actions)
        self._own = not all(getattr(each, "alike", False) for each in policy.admission)
        self._alike = all(getattr(each, "alike", False) for each in (*policy.enqueue, *policy.waivable))

    def to_place(self, gang: Gang, what: Demand) -> LaneKey:
        """For a gang that asks for places."""
        assert gang.queue is not None
        key = what.lane(gang, gang.queue.name)
        if self._own or self._placement.unknowable or gang.id in self._questions.advice:
            key = LaneKey(key.queue, "place", solo=gang.id)
        if self._may_push(gang):
            alone = gang.id if what.surplus and pushes(gang) else key.solo
            key = structs.replace(key, rank=gang.priority, solo=alone)
        if self._policy.reserving:
            key = self._promising(gang, key)
        if gang.queue.fifo and not what.surplus:
            key = LaneKey(gang.queue.name, "place", fifo=True)
        return key

    def at_gate(self, gang: Gang) -> LaneKey:
        """For a gang that wants to be let in."""
        assert gang.queue is not None
        if gang.queue.fifo:
            return LaneKey(gang.queue.name, "enqueue", fifo=True)
        alone = None if self._alike and not self._hurried(gang) else gang.id
        key = LaneKey(gang.queue.name, "enqueue", minimum=gang.minimum, solo=alone, owners=owners_of(gang))
        return structs.replace(key, rank=gang.priority) if self._may_push(gang) else key

    def _may_push(self, gang: Gang) -> bool:
        return self._evicts and gang.fact is not None and gang.fact.preempts

    def _promising(self, gang: Gang, key: LaneKey) -> LaneKey:
        """Where room is kept for some, who has a promise stands alone, and others with whom promises to end as soon."""
        if gang.id in self._state.windows.by_gang:
            return structs.replace(key, solo=gang.id)
        end = self._state.windows.end_of(gang)
        return key if end is None else structs.replace(key, estimate_ms=end - self._state.windows.now)

    def _hurried(self, gang: Gang) -> bool:
        """The clock opens some gates for it, at a moment of its own."""
        permits = self._policy.permits if self._policy.waivable else ()
        return any(self._guard.call(each, each.due, None, gang, self._view) is not None for each in permits)
