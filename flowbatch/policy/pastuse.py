"""Fair share with memory: who has used less so far comes first, at every level of the tree, and inside a queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flowbatch.model.gangs import Gang
from flowbatch.model.memory import Memory
from flowbatch.model.queues import Queue
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Key, KeyPart

WEEK_S = 604_800.0


@dataclass(frozen=True)
class PastUse:
    """The queue that used less by weight first, compared from the top of the tree down.

    What counts is the mean use, which fades with the half-life, and what is held now on top: so past use is a handicap
    that is worked off by waiting, and queues that start alike take turns.
    """

    half_life_s: float = WEEK_S
    by_tree = True
    least = {"half_life_s": 1.0}
    most = {"half_life_s": 1e9}

    @property
    def half_life_ms(self) -> int:
        """For the engine, which keeps the memory while a policy asks for it."""
        return round(self.half_life_s * 1000)

    def key(self, queue: Queue, view: ClusterView) -> Key:
        """One number for every queue on the path, from below the root."""
        path = reversed(queue.path[:-1] or queue.path)
        return (tuple(standing(each.memory, each.held(), self.half_life_ms, view) / each.weight for each in path),)


@dataclass(frozen=True)
class OwnerPastUse:
    """Inside a queue: gangs of the namespace, or user, that used less first."""

    half_life_s: float = WEEK_S
    by: Literal["namespace", "user"] = "namespace"
    least = {"half_life_s": 1.0}
    most = {"half_life_s": 1e9}
    choices = {"by": ("namespace", "user")}
    #: Its keys move when gangs of the same owner come and go.
    moves = True

    @property
    def half_life_ms(self) -> int:
        """For the engine, which keeps the memory while a policy asks for it."""
        return round(self.half_life_s * 1000)

    @property
    def tracks(self) -> tuple[Literal["namespace", "user"], ...]:
        """Whose accounts the engine keeps for it."""
        return (self.by,)

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """What its owner used of the cluster on average, and holds."""
        accounts = gang.queue.accounts if gang.queue else None
        if accounts is None:
            return (0.0,)
        owner = gang.owners[0 if self.by == "namespace" else 1]
        part: KeyPart = standing(accounts.memories.get(owner), accounts.held.get(owner, {}), self.half_life_ms, view)
        return (part,)


def standing(memory: Memory | None, held: Mapping[int, int], half_life_ms: int, view: ClusterView) -> float:
    """The dominant part of the cluster that was used on average and is held now, together."""
    mean = memory.mean(view.now, half_life_ms) if memory else {}
    parts = [(mean.get(axis, 0.0) + held.get(axis, 0), view.total.get(axis, 0)) for axis in {**mean, **held}]
    return max((used / whole if whole else 1.0 for used, whole in parts if used), default=0.0)
