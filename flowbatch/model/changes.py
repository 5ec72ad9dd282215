"""What has changed since the engine last looked. Dicts serve as ordered sets: nothing here depends on hashing."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, QueueName, Row
from flowbatch.model.tallies import Tally

#: Which way a tally moved; both may be true.
ROSE, FELL = 1, 2


@dataclass(slots=True)
class StateChanges:
    """Collected while facts are folded in and while capacity moves; the engine empties it when it decides."""

    #: Gangs with a new fact, or whose tasks moved.
    gangs: dict[GangId, Gang] = field(default_factory=dict)
    #: Queues whose own facts changed, or that may hold more than before.
    queues: dict[QueueName, None] = field(default_factory=dict)
    #: Queues in which less is held or promised.
    eased: dict[QueueName, None] = field(default_factory=dict)
    #: Namespaces whose ResourceQuotas changed, or have less promised.
    quotas: dict[str, None] = field(default_factory=dict)
    #: Rows that have more room than before.
    freed: dict[Row, None] = field(default_factory=dict)
    #: Rows whose static facts or capacity changed in a way that may admit more.
    nodes: dict[Row, None] = field(default_factory=dict)
    #: Tallies on which somebody waits, with the ways in which they moved.
    tallies: dict[Tally, int] = field(default_factory=dict)
    #: Claims, volumes, their classes or users are not what they were.
    storage: bool = False
    #: Claimed devices, their classes, claims or users are not what they were.
    devices: bool = False
    #: The capacity of all ready nodes is not what it was.
    total: bool = False
    #: Less is used or promised in the whole cluster than before.
    headroom: bool = False
    #: What queues ask for, or what they may have, is not what it was.
    shares: bool = False
    #: What queues are guaranteed, deserve or lend, or how they hang together, is not what it was.
    claims: bool = False
    #: A disruption budget allows something else than before.
    budgets: bool = False
    #: HyperNodes came, went or changed, or nodes did that may belong to some.
    topology: bool = False

    def any(self) -> bool:
        """There is something to look at."""
        return bool(
            self.gangs
            or self.queues
            or self.eased
            or self.quotas
            or self.freed
            or self.nodes
            or self.total
            or self.headroom
            or self.shares
            or self.budgets
            or self.claims
            or self.topology
            or self.tallies
            or self.storage
            or self.devices
        )

    def note(self, tallies: Iterable[Tally], amount: int) -> None:
        """These moved by `amount`: tell those who wait for that."""
        for tally in tallies:
            if tally.watchers:
                self.tallies[tally] = self.tallies.get(tally, 0) | (ROSE if amount > 0 else FELL)

    def loosened(self) -> bool:
        """Somebody may be evicted now who was not to be, or would do who did not."""
        return bool(self.freed or self.queues or self.eased or self.nodes or self.total or self.shares or self.budgets)
