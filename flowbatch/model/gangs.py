"""Gangs and their tasks: identity, membership and counts.

A gang owns *members*, with or without a pod. A declared task that a dependency holds back has no pods yet, but it
counts: the gang starts only if there is room for its minimum too, and that room stays reserved until its pods come.
"""

from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.asks import DeviceShare
from flowbatch.model.facts import DeclaredTask, GangPhase, GangSeen, PodSeen, Reach, SubGroups
from flowbatch.model.ids import EPOCH, GangId, Instant, NodeName, PodUid, Row
from flowbatch.model.labels import passes
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.nodes import Node
from flowbatch.model.owners import Owner
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Request, Sums
from flowbatch.model.shapes import Shape
from flowbatch.model.stakes import Kind
from flowbatch.model.table import Ints

STATES = len(TaskState)
#: A task has its place, or an order for it is out.
PLACED = (TaskState.HELD, TaskState.BINDING, TaskState.BOUND, TaskState.RUNNING)


@dataclass(slots=True, eq=False)
class Task:
    """One pod. `node` is set exactly while the task holds capacity there."""

    fact: PodSeen
    shape: Shape
    gang: "Gang | None" = None
    role: "Role | None" = None
    state: TaskState = TaskState.PENDING
    node: Node | None = None
    #: The pod itself says that it is on `node`; until then only our order does.
    confirmed: bool = False
    #: Nodes that refused a binding, so that the next try looks elsewhere.
    refused: tuple[NodeName, ...] = ()
    #: When it was told to go by us, and for whom; no beneficiary where it goes for its own or the cluster's sake.
    told_at: Instant | None = None
    beneficiary: GangId | None = None
    #: When it was given its place, where anybody asks (engine.reservations).
    placed_at: Instant = EPOCH
    #: An eviction of it was refused, and is not asked for again before this.
    spared_until: Instant = EPOCH
    #: It was moved to where it is, and is let be until then.
    moved_until: Instant = EPOCH
    #: What it holds of shared devices of `node`.
    devices: tuple[DeviceShare, ...] = ()
    #: The set of cpus that was chosen for it here, and the one that it holds in the books; None where it is in none.
    chosen: int = 0
    cpus: int | None = None
    #: Whom it is to other pods.
    kind: Kind | None = None

    @property
    def leaving(self) -> bool:
        """It is being deleted."""
        return self.state is TaskState.RELEASING

    @property
    def own_cpus(self) -> bool:
        """It holds cpus of its own on its node, whether anybody knows which or not."""
        ask = self.shape.spec.numa
        return self.cpus is not None and ask is not None and bool(ask.cpus)

    @property
    def uid(self) -> PodUid:
        """The pod's uid."""
        return self.fact.uid

    @property
    def story(self) -> str:
        """What an error should tell about it."""
        where = self.node.name if self.node else "no node"
        return f"pod {self.fact.namespace}/{self.fact.name}, {self.state.name} on {where}, last seen {self.fact}"


@dataclass(slots=True, eq=False)
class Role:
    """The tasks of one name in a gang ("worker"), with what was declared about them."""

    name: str
    declared: DeclaredTask | None = None
    #: Shape of members that have no pod yet, and whom they will be to others, where that is known.
    shape: Shape | None = None
    kind: Kind | None = None
    #: Tasks by TaskState.
    counts: list[int] = field(default_factory=lambda: [0] * STATES)
    #: Pending ones that may not be placed yet.
    gated: int = 0

    @property
    def present(self) -> int:
        """Members that have a pod, whatever became of it."""
        return sum(self.counts)

    @property
    def ready(self) -> int:
        """Members that have their place, or have had it and succeeded."""
        counts = self.counts
        return (
            counts[TaskState.HELD]
            + counts[TaskState.BINDING]
            + counts[TaskState.BOUND]
            + counts[TaskState.RUNNING]
            + counts[TaskState.SUCCEEDED]
        )

    @property
    def held_back(self) -> int:
        """Declared members that a dependency holds back: they have no pod, and that is right."""
        declared = self.declared
        return max(0, declared.count - self.present) if declared and declared.waits_for else 0


@dataclass(slots=True, eq=False)
class Reservation:
    """Room held on `rows` for `counts` members of `role`; as a claim, also room that others are about to leave."""

    role: str
    shape: Shape
    rows: Ints
    counts: Ints
    #: Shared devices, one line for each member.
    picks: Ints | None = None
    #: Sets of cpus, one for each member, where they need some of their own.
    cpus: list[int] | None = None

    @property
    def total(self) -> int:
        """Members it holds room for."""
        return int(np.sum(self.counts))

    def with_one(self, row: Row) -> "Reservation":
        """The same for one member more, on `row`."""
        here = self.rows == row
        if here.any():
            return Reservation(self.role, self.shape, self.rows, self.counts + here)
        rows, counts = np.append(self.rows, np.int64(row)), np.append(self.counts, np.int64(1))
        return Reservation(self.role, self.shape, rows, counts)


@dataclass(frozen=True, slots=True, eq=False)
class Berth:
    """A place on `row` for one member of `role`: it was sent away from another one, and is to be back by `until`."""

    role: str
    shape: Shape
    row: Row
    #: Who was sent away; whoever is made for him has another uid.
    uid: PodUid
    until: Instant


@dataclass(slots=True, eq=False)
class Gang:
    """A PodGroup, or the name of one that pods claim and nobody has shown us (`fact` is None)."""

    id: GangId
    fact: GangSeen | None = None
    queue: Queue | None = None
    tasks: dict[PodUid, Task] = field(default_factory=dict)
    #: Those that wait for a node and may have one now.
    pending: dict[PodUid, Task] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    #: As decided here; the wire lags behind.
    phase: GangPhase = ""
    allocated: Sums = field(default_factory=dict)
    #: Asked for by its pending pods, as of the engine's last look at it.
    wanted: Sums = field(default_factory=dict)
    #: Asked for by members to come, beyond what is reserved for them.
    awaited: Sums = field(default_factory=dict)
    reserved: Sums = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    #: Room that others were told to leave for it, its sum, and until when it is kept.
    claims: tuple[Reservation, ...] = ()
    claimed: Sums = field(default_factory=dict)
    claimed_until: Instant = EPOCH
    #: Claims by row; of them, what tasks still hold that are to leave there for it; and those tasks.
    claimed_at: dict[int, Sums] = field(default_factory=dict)
    owed_at: dict[int, Sums] = field(default_factory=dict)
    awaits: dict[PodUid, Task] = field(default_factory=dict)
    #: Held by its tasks that are about to leave.
    leaving: Sums = field(default_factory=dict)
    #: Its part of its queue's `inqueue` and `elastic`.
    inqueue: Sums = field(default_factory=dict)
    elastic: Sums = field(default_factory=dict)
    #: Since when a started gang lacks members; None while it does not.
    short_since: Instant | None = None
    #: Tasks by TaskState, all roles together, and pending ones that may not be placed yet.
    counts: list[int] = field(default_factory=lambda: [0] * STATES)
    gated: int = 0
    #: Its stated minimum on this engine's axes; empty where it states none.
    minimum: Request = ()
    #: Places kept for members that move; they count in `claimed`.
    berths: tuple[Berth, ...] = ()

    @property
    def created(self) -> Instant:
        """Creation of the PodGroup."""
        return self.fact.created if self.fact else Instant(0)

    @property
    def priority(self) -> int:
        """Value of its priority class."""
        return self.fact.priority if self.fact else 0

    @property
    def reach(self) -> Reach | None:
        """How close its members must, or should, be to each other."""
        return self.fact.reach if self.fact else None

    @property
    def owners(self) -> tuple[Owner, Owner]:
        """Its namespace, and its user."""
        return ("namespace", self.id.partition("/")[0]), ("user", self.fact.user if self.fact else "")

    @property
    def min_members(self) -> int:
        """Never negative."""
        return max(0, self.fact.min_members) if self.fact else 0

    def count(self, state: TaskState) -> int:
        """Tasks in `state`."""
        return self.counts[state]

    @property
    def ready(self) -> int:
        """Members that have their place, or have had it and succeeded."""
        _, held, binding, bound, running, _, succeeded, _ = self.counts
        return held + binding + bound + running + succeeded

    @property
    def live(self) -> int:
        """Tasks that hold capacity or are being deleted."""
        _, held, binding, bound, running, releasing, _, _ = self.counts
        return held + binding + bound + running + releasing

    @property
    def held_back(self) -> int:
        """Declared members that a dependency holds back."""
        if self.fact is None or not self.fact.declared:
            return 0
        return sum(role.held_back for role in self.roles.values())

    @property
    def heirs(self) -> list[tuple[str, str, int, int]]:
        """(task, source, first, last): the task's members get the room of the source's first to last to succeed."""
        given: dict[str, int] = {}
        found: list[tuple[str, str, int, int]] = []
        for task in self.fact.declared if self.fact else ():
            for source, count in task.takes_over:
                first = given.get(source, 0)
                given[source] = first + count
                found.append((task.name, source, first, first + count))
        return found

    def inheriting(self, name: str) -> int:
        """How many members of a task will get the room of members of other tasks that have yet to succeed."""
        return sum(
            max(0, last - max(first, self.roles[source].counts[TaskState.SUCCEEDED]))
            for heir, source, first, last in self.heirs
            if heir == name and source in self.roles
        )

    @property
    def started(self) -> bool:
        """Some member has its place."""
        return self.ready > 0

    @property
    def repairing(self) -> bool:
        """It runs in part: bound when something failed, or a member was lost. It is to be completed first.

        Members without requests do not make it so: they are placed one by one anyway.
        """
        if not self.admitted or not 0 < self.ready < self.min_members:
            return False
        return any(task.state in PLACED and not task.shape.best_effort for task in self.tasks.values())

    @property
    def admitted(self) -> bool:
        """Past the enqueue gate: its pods may exist and be placed."""
        return self.phase in ("Inqueue", "Running", "Unknown")

    @property
    def idle(self) -> bool:
        """Nothing needs this name any more."""
        return self.fact is None and not self.tasks


def key_of(task: Task, rules: tuple[SubGroups, ...]) -> tuple[int, tuple[str, ...]] | None:
    """The first policy that takes `task`, with the values that its team shares; None where none does."""
    labels = dict(task.fact.labels)
    for group, rule in enumerate(rules):
        if all(key in labels for key in rule.keys) and passes(rule.labels, labels):
            return group, tuple(labels[key] for key in rule.keys)
    return None
