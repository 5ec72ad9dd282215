"""Why a gang does not run, as values.

A Blocker is at once the reason shown to people, with its numbers, and the key under which the gang is parked: only an
event that could cure it wakes the gang. Each docstring names the cure.
"""

import msgspec
from msgspec import structs

from flowbatch.model.ids import EPOCH, Amounts, Instant, QueueName, ShapeId


class Blocker(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag=True):
    """Base of every reason. `name` is what metrics and reports call it."""

    @property
    def name(self) -> str:
        """The type's name, for labels."""
        return type(self).__name__

    @property
    def gist(self) -> "Blocker":
        """What it says, without figures that move while it waits: two of the same gist are the same news."""
        return self


#: Pods that may not be evicted for the gang, counted by reason; empty where nobody looked for any.
Spared = tuple[tuple[str, int], ...]


class NeedsGang(Blocker, frozen=True):
    """Pods name a PodGroup that nobody has shown us. Cure: GangSeen."""


class QueueMissing(Blocker, frozen=True):
    """The queue does not exist. Cure: QueueSeen."""

    queue: QueueName


class QueueClosed(Blocker, frozen=True):
    """The queue admits no new gangs. Cure: QueueSeen with state Open."""

    queue: QueueName
    state: str


class QueueNotLeaf(Blocker, frozen=True):
    """Gangs belong in queues without queues below, and this one has `child`. Cure: the queue's children go."""

    queue: QueueName
    child: QueueName


class Behind(Blocker, frozen=True):
    """The queue is fifo, and a gang that comes first cannot go on. Cure: that one goes on, or leaves."""

    queue: QueueName


class NeedsMembers(Blocker, frozen=True):
    """Fewer pods exist than must start together; `task` if it is one task's minimum. Cure: PodSeen, GangSeen."""

    have: int
    need: int
    task: str = ""


class Gated(Blocker, frozen=True):
    """Enough members exist, but too many have scheduling gates. Cure: PodSeen without gates."""

    gated: int
    ungated: int
    need: int


class NeedsQuota(Blocker, frozen=True):
    """A queue may not hold so much: `short` is what it lacks. Cure: the queue holds less, or may hold more.

    `limit` is the kind of limit ("capability", "share", "borrowing"); `hopeless` means that the gang alone is above it.
    Where only one namespace or user is limited, `owner` says whom. `holds` is what was held of what is short.
    It is not let in before no more than `passes_at` is taken, of what `counts` says: what the queue's own gangs hold
    ("own"), all that is "held" in it, or what is "promised" as well. `passes_at` is empty where that is not known.
    """

    queue: QueueName
    limit: str
    short: Amounts
    hopeless: bool = False
    owner: str = ""
    holds: Amounts = ()
    spared: Spared = ()
    passes_at: Amounts = ()
    counts: str = ""

    @property
    def gist(self) -> Blocker:
        """Which limit, of what."""
        return structs.replace(self, short=named(self.short), holds=(), passes_at=())


class NeedsNamespaceQuota(Blocker, frozen=True):
    """A ResourceQuota of the gang's namespace has no room for its pods: they could not even be made.

    It asks for `needs`; of `hard`, `taken` is used or promised to gangs that are in. `hopeless`: `hard` itself is too
    small. Cure: the quota changes, or a gang of the namespace gives its promise back.
    """

    namespace: str
    quota: str
    short: Amounts
    needs: Amounts = ()
    hard: Amounts = ()
    taken: Amounts = ()
    hopeless: bool = False


class NeedsHeadroom(Blocker, frozen=True):
    """So much is promised to admitted gangs already that pods of more would only wait. Cure: anything ends.

    It asks for `needs`; of the cluster's `total`, `taken` is in use or promised, and so it is `short` of room to start.
    `hopeless` means that the whole cluster, empty, is too small. It is not let in before no more than `passes_at` is
    taken; empty where that is not known.
    """

    short: Amounts
    needs: Amounts = ()
    total: Amounts = ()
    taken: Amounts = ()
    hopeless: bool = False
    passes_at: Amounts = ()

    @property
    def gist(self) -> Blocker:
        """What is short."""
        return structs.replace(self, short=named(self.short), total=(), taken=(), passes_at=())


class NeedsNode(Blocker, frozen=True):
    """No node admits this shape at all, full or empty. Cure: a node comes, or changes."""

    shape: ShapeId


class NeedsCapacity(Blocker, frozen=True):
    """Nodes that would do are full: `fits` of `needs` found room. Cure: room on a node that admits one of `shapes`.

    `most` is how many the nodes would hold if they were empty. `hopeless`: not even that is enough, so only a change of
    nodes cures it.
    """

    shapes: tuple[ShapeId, ...]
    fits: int
    needs: int
    most: int = 0
    hopeless: bool = False
    spared: Spared = ()

    @property
    def gist(self) -> Blocker:
        """For what there is no room."""
        return structs.replace(self, fits=0)


class NeedsRoom(Blocker, frozen=True):
    """Room is being made for it: `pods` are still to leave on `nodes`. Cure: they leave; or `until`, then all over."""

    pods: int
    nodes: int
    until: Instant = EPOCH


class NeedsVictims(Blocker, frozen=True):
    """Nobody more may be evicted for it. Cure: a change of who runs or what protects them, from `after` on."""

    after: Instant


class NeedsTopology(Blocker, frozen=True):
    """No network domain that is close enough holds it all. Cure: room in one of them; HyperNodes or nodes change.

    `limit` is how close that is, in words. Of those domains `domain`, of `tier`, holds most: `fits` of `needs`, and
    `most` if all were empty; an empty `domain` means that there is none. `hopeless`: not even empty ones would do.
    `group` is the sub-gang that is meant, where it is one.
    """

    shapes: tuple[ShapeId, ...]
    limit: str
    fits: int
    needs: int
    domain: str = ""
    tier: int = 0
    most: int = 0
    hopeless: bool = False
    group: str = ""
    spared: Spared = ()


class NeedsPeers(Blocker, frozen=True):
    """There is room, but other pods keep these away from it, or are not there: `fits` of `needs` found a place.

    Cure: the right pod comes or goes (affinity, anti-affinity, topology spread), or a node changes.
    """

    shapes: tuple[ShapeId, ...]
    fits: int
    needs: int
    spared: Spared = ()


class NeedsVolume(NeedsPeers, frozen=True):
    """There is room, but not where the pods' volumes are or can be: `fits` of `needs` found a place.

    Cure: a claim, a volume or a storage class comes or changes.
    """


class NeedsDevices(NeedsPeers, frozen=True):
    """There is room, but not where the devices are that the pods claim, or a claim is not there: `fits` of `needs`.

    Cure: a claim, a device class or a pool of devices comes or changes, or a device is given back.
    """


class NeedsTime(Blocker, frozen=True):
    """Not before `until`. Cure: the clock."""

    until: Instant
    why: str = ""


class NeedsAnswer(Blocker, frozen=True):
    """Somebody outside was asked. Cure: Answered."""

    ask: str
    question: str


class Refused(Blocker, frozen=True):
    """A policy says no, for its own reason. Cure: any change of the gang, its queue or the nodes."""

    policy: str
    why: str


def named(amounts: Amounts) -> Amounts:
    """The resources alone."""
    return tuple((name, 0) for name, _ in amounts)
