"""The states of a task and every way between them.

One table, and it is total: each pair of state and stimulus has an entry, and the entries that must never happen say so
with ILLEGAL. Facts are levels, so a stimulus that was already taken in changes nothing; a stale one changes nothing
either, because the watch only moves forward for one pod.
"""

from enum import IntEnum
from typing import Final, Protocol

from flowbatch.errors import FlowbatchError


class TaskState(IntEnum):
    """Where a task stands. IntEnum, so that counters can be lists."""

    PENDING = 0
    #: Capacity is taken, the order waits for an answer from the outside.
    HELD = 1
    #: Capacity is taken, the order is out.
    BINDING = 2
    BOUND = 3
    RUNNING = 4
    #: Being deleted; holds its capacity until the pod is gone, where it has any.
    RELEASING = 5
    SUCCEEDED = 6
    FAILED = 7


class Stimulus(IntEnum):
    """What can happen to a task: facts about its pod, and the engine's own decisions."""

    SEEN_UNBOUND = 0
    SEEN_BOUND = 1
    SEEN_RUNNING = 2
    DELETING = 3
    SUCCEEDED = 4
    FAILED = 5
    #: The engine gave it a node, to be confirmed by an answer.
    HOLD = 6
    #: The engine ordered a binding.
    PLACE = 7
    #: The binding, or the answer it waited for, was negative.
    REFUSED = 8
    #: The engine ordered an eviction.
    EVICT = 9
    #: The eviction was refused.
    SPARED = 10


#: A task with a node is in one of these; RELEASING holds only if it had a node.
HOLDS_CAPACITY: Final = frozenset(
    {TaskState.HELD, TaskState.BINDING, TaskState.BOUND, TaskState.RUNNING, TaskState.RELEASING}
)
FINISHED: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})

_P, _H, _BI, _BO, _RU, _RE, _S, _F = TaskState
#: Marks the pairs that are a bug in the engine if they happen.
ILLEGAL: Final = None

#: TRANSITIONS[state][stimulus], in the order of Stimulus.
TRANSITIONS: Final[tuple[tuple[TaskState | None, ...], ...]] = (
    # unbound bound running deleting succeeded failed hold place refused evict spared
    (_P, _BO, _RU, _RE, _S, _F, _H, _BI, _P, ILLEGAL, _P),  # PENDING
    (_H, _BO, _RU, _RE, _S, _F, ILLEGAL, _BI, _P, ILLEGAL, _H),  # HELD
    (_BI, _BO, _RU, _RE, _S, _F, ILLEGAL, ILLEGAL, _P, ILLEGAL, _BI),  # BINDING
    # A refusal that comes after the watch said "bound" is about an attempt that no longer matters.
    (_BO, _BO, _RU, _RE, _S, _F, ILLEGAL, ILLEGAL, _BO, _RE, _BO),  # BOUND
    (_RU, _RU, _RU, _RE, _S, _F, ILLEGAL, ILLEGAL, _RU, _RE, _RU),  # RUNNING
    (_RE, _RE, _RE, _RE, _S, _F, ILLEGAL, ILLEGAL, _RE, ILLEGAL, _BO),  # RELEASING
    (_S, _S, _S, _S, _S, _S, ILLEGAL, ILLEGAL, _S, ILLEGAL, _S),  # SUCCEEDED
    (_F, _F, _F, _F, _F, _F, ILLEGAL, ILLEGAL, _F, ILLEGAL, _F),  # FAILED
)


class InvalidTransition(FlowbatchError):
    """A bug in the engine: a task was told something that cannot happen in its state. `story` is what led there."""

    def __init__(self, task: str, state: TaskState, stimulus: Stimulus, story: str) -> None:
        super().__init__(task, state, stimulus, story)
        self.task = task
        self.state = state
        self.stimulus = stimulus
        self.story = story

    def __str__(self) -> str:
        return f"{self.task}: {self.stimulus.name} in state {self.state.name} ({self.story})"


class Storied(Protocol):
    """Something that can say who it is and what happened to it; asked only when something went wrong."""

    @property
    def uid(self) -> str:
        """Who it is."""
        ...

    @property
    def story(self) -> str:
        """What happened to it."""
        ...


def next_state(state: TaskState, stimulus: Stimulus, task: Storied) -> TaskState:
    """Where `stimulus` leads from `state`; raises InvalidTransition where the table says ILLEGAL."""
    new = TRANSITIONS[state][stimulus]
    if new is None:
        raise InvalidTransition(task.uid, state, stimulus, task.story)
    return new
