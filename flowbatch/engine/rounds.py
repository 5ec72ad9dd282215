"""Whose turn it is: queue by queue, again after every attempt."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from flowbatch.engine.ground import Ground
from flowbatch.engine.lanes import Entry
from flowbatch.engine.lineup import LineUp
from flowbatch.engine.memories import Memories
from flowbatch.engine.pending import Pending
from flowbatch.model.ids import QueueName
from flowbatch.policy.contract import Key, KeyPart


class Rounds:
    """Gives queues their turns; `attempt` tries the first gang of one, told whether others are in line too."""

    def __init__(
        self, ground: Ground, lineup: LineUp, memories: Memories, attempt: Callable[[Pending, Entry, bool], None]
    ) -> None:
        self._state = ground.state
        self._view = ground.view
        self._policy = policy = ground.policy
        self._guard = ground.guard
        self._lineup = lineup
        self._memories = memories
        self._attempt = attempt
        self._by_tree = not policy.strict_turns and any(getattr(each, "by_tree", False) for each in policy.queue_order)

    def run(self, stage: Pending, budget: int) -> int:
        """Try gangs, queue by queue in turn, until nobody is in line or the budget is spent."""
        line: list[tuple[Key, QueueName]] = []
        for name in stage.queues():
            head = stage.head(name)
            assert head is not None
            line.append((self._queue_key(name, head), name))
        if len(line) == 1:
            return self._run_one(stage, line[0][1], budget)
        heapify(line)
        while line and budget > 0:
            key, name = heappop(line)
            head = stage.head(name)
            if head is None:
                continue
            if self._by_tree and (anew := self._queue_key(name, head)) > key:
                # Others of its branch have taken something since: it may not be its turn any more.
                heappush(line, (anew, name))
                continue
            if self._memories.moves and self._lineup.moved(stage, head):
                # Its owner has got something since: others of its queue may come first now.
                heappush(line, (key, name))
                continue
            budget -= 1
            self._attempt(stage, head, bool(line))
            if self._gate_may_open(stage):
                break
            head = stage.head(name)
            if head is not None:
                heappush(line, (key if self._policy.strict_turns else self._queue_key(name, head), name))
        return budget

    def _run_one(self, stage: Pending, name: QueueName, budget: int) -> int:
        """The same where only one queue has somebody in line: it is always its turn."""
        while budget > 0:
            head = stage.head(name)
            if head is None:
                break
            if self._memories.moves and self._lineup.moved(stage, head):
                continue
            budget -= 1
            self._attempt(stage, head, False)
            if self._gate_may_open(stage):
                break
        return budget

    def _gate_may_open(self, stage: Pending) -> bool:
        """Somebody waits before the gate, and what has just been placed may let them in: they come first."""
        return stage is self._lineup.place and self._lineup.gate.crowded and self._state.changes.any()

    def _queue_key(self, name: QueueName, head: Entry) -> Key:
        queue = self._state.queues.by_name[name]
        parts: list[KeyPart] = [head.key[0]]
        for order in self._policy.queue_order:
            parts.extend(self._guard.call(order, order.key, (0,), queue, self._view))
        # Of two that are alike the one comes first that has waited longer since its last turn; strictly, the older.
        turn = 0 if self._policy.strict_turns else queue.served_at
        return (*parts, turn, queue.fact.created if queue.fact else 0, name)
