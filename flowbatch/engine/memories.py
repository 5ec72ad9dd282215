"""Keeps what queues and owners have used, while a policy asks for it, and says what is worth remembering.

A memory is brought up to date when what it is about holds something else than before, so queues at rest cost nothing.
What is told to the shell can be continued by whoever reads it: how much was used until when, and what was held from
then on. So it is told again only after a change, at most once a minute.
"""

from collections.abc import Iterator

from flowbatch.engine.decisions import Remember
from flowbatch.model.facts import OwnerUse, PastUse
from flowbatch.model.ids import Amounts, Instant, QueueName
from flowbatch.model.memory import Memory
from flowbatch.model.queues import Queue
from flowbatch.model.state import ClusterState
from flowbatch.policy.policy import Policy

#: At most one note per queue in this time.
NOTE_MS = 60_000
#: How often waiting gangs are put in order anew where time alone may change it.
RESORT_MS = 60_000
#: Namespaces and users of one queue that are noted: with some 150 bytes each they must fit an annotation.
OWNERS_NOTED = 256


class Memories:
    """The past of one engine's queues under one policy."""

    def __init__(self, state: ClusterState, policy: Policy) -> None:
        self._state = state
        orders = (*policy.queue_order, *policy.gang_order)
        lives: list[int] = [life for each in orders if (life := getattr(each, "half_life_ms", 0))]
        #: None: no policy asks.
        self.half_life_ms: int | None = lives[0] if lives else None
        self.moves = any(getattr(each, "moves", False) for each in policy.gang_order)
        self._tracked = tuple({kind: None for each in policy.gang_order for kind in getattr(each, "tracks", ())})
        state.track_owners(self._tracked)
        self._noted: dict[QueueName, tuple[Instant, Remember]] = {}
        self._owing: dict[QueueName, Instant] = {}
        self._resort_at: Instant | None = None

    def begin(self, now: Instant) -> None:
        """What is remembered counts from the first decision on."""
        for queue in self._state.queues.by_name.values() if self.half_life_ms is not None else ():
            if queue.memory is None and queue.fact is not None:
                queue.memory = self._recall(queue, now)

    def settle(self, now: Instant) -> list[Remember]:
        """Take in what is held since the last time; returns what is to be remembered outside."""
        if self.half_life_ms is None:
            return []
        for queue in self._state.queues.by_name.values():
            if queue.memory is not None:
                self._settle(queue, queue.memory, now, self.half_life_ms)
        return list(self._notes(now))

    def _settle(self, queue: Queue, memory: Memory, now: Instant, half_life_ms: int) -> None:
        held = queue.held()
        if held != memory.held:
            memory.turn(held, now, half_life_ms)
            self._owing.setdefault(queue.name, now)
        accounts = queue.accounts
        for owner in {**accounts.held, **accounts.memories} if accounts is not None else ():
            assert accounts is not None
            memory = accounts.memories.setdefault(owner, Memory(now))
            mine = accounts.held.get(owner, {})
            if mine != memory.held:
                memory.turn(mine, now, half_life_ms)
                self._owing.setdefault(queue.name, now)

    def _recall(self, queue: Queue, now: Instant) -> Memory:
        """What an earlier engine noted; only for a queue of which this one knows nothing itself."""
        noted = queue.fact.past_use if queue.fact else None
        if noted is None:
            return Memory(now)
        for owner in noted.owners if queue.accounts is not None else ():
            assert queue.accounts is not None
            queue.accounts.memories.setdefault((owner.kind, owner.name), self._continued(owner, now))
        return self._continued(noted, now)

    def _continued(self, noted: PastUse | OwnerUse, now: Instant) -> Memory:
        axes = self._state.axes
        used = {axes.axis(name): value for name, value in noted.used}
        return Memory(min(noted.at, now), used, {axes.axis(name): units for name, units in noted.held if units})

    def _notes(self, now: Instant) -> Iterator[Remember]:
        for name, since in list(self._owing.items()):
            queue = self._state.queues.by_name.get(name)
            if queue is None or queue.memory is None:
                del self._owing[name]
                continue
            last = self._noted.get(name)
            due = since if last is None else Instant(last[0] + NOTE_MS)
            self._owing[name] = due
            if due > now:
                continue
            del self._owing[name]
            memory = queue.memory
            note = Remember(name, memory.at, self._used(memory), self._held(memory), tuple(self._owners(queue)))
            self._noted[name] = (now, note)
            yield note

    def _owners(self, queue: Queue) -> Iterator[OwnerUse]:
        """Those who used most, and of them only what is left: a note has room for so many."""
        known = queue.accounts.memories if queue.accounts is not None else {}
        memories = {owner: memory for owner, memory in known.items() if owner[0] in self._tracked}
        most = sorted(memories, key=lambda owner: (-max(self._parts(memories[owner]), default=0.0), owner))
        for kind, name in sorted(most[:OWNERS_NOTED]):
            memory = memories[kind, name]
            if memory.used or memory.held:
                yield OwnerUse(kind, name, memory.at, self._used(memory), self._held(memory))

    def _parts(self, memory: Memory) -> Iterator[float]:
        """Of each resource, how long the whole cluster was theirs, in seconds."""
        return (value / max(1, self._state.total.get(axis, 0)) for axis, value in memory.used.items())

    def _used(self, memory: Memory) -> tuple[tuple[str, float], ...]:
        names = self._state.axes.names
        return tuple(sorted((names[axis], value) for axis, value in memory.used.items() if value))

    def _held(self, memory: Memory) -> Amounts:
        return self._state.axes.amounts(memory.held)

    def resort_due(self, now: Instant) -> bool:
        """Time alone may have changed who comes first among gangs that wait."""
        due = self._resort_at is not None and self._resort_at <= now
        if due:
            self._resort_at = None
        return due

    def keep_watch(self, now: Instant, *, waiting: bool) -> None:
        """Put gangs in order anew now and then, but only while somebody waits."""
        if not self.moves or not waiting:
            self._resort_at = None
        elif self._resort_at is None:
            self._resort_at = Instant(now + RESORT_MS)

    def wake_at(self) -> Instant | None:
        """When a note is due, or waiting gangs are to be put in order anew."""
        due = [*self._owing.values(), *((self._resort_at,) if self._resort_at is not None else ())]
        return min(due, default=None)
