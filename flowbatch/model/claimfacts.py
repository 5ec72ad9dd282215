"""What the engine is told about devices that pods claim: pools of them, their classes, and the claims."""

from flowbatch.model.claimasks import ClaimContent, Given, PoolDevice
from flowbatch.model.facts import Fact
from flowbatch.model.ids import NodeName, PodUid
from flowbatch.model.shapes import Term


class DeviceSliceSeen(Fact, frozen=True):
    """A ResourceSlice as it now is: devices that `node` reaches, or nodes that pass one of `terms`, or (neither) all.

    Of a pool only the slices of the newest generation count; there are `slices` of those.
    """

    name: str
    driver: str
    pool: str
    generation: int = 0
    slices: int = 1
    node: NodeName = NodeName("")
    terms: tuple[Term, ...] = ()
    devices: tuple[PoolDevice, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Its pool."""
        return self.driver, self.pool


class DeviceSliceGone(Fact, frozen=True):
    """The slice no longer exists."""

    name: str


class DeviceClassSeen(Fact, frozen=True):
    """A DeviceClass as it now is. `problem`: it cannot be read, and why."""

    name: str
    selectors: tuple[str, ...] = ()
    problem: str = ""


class DeviceClassGone(Fact, frozen=True):
    """The class no longer exists."""

    name: str


class DeviceClaimSeen(Fact, frozen=True):
    """A ResourceClaim as it now is. `given` is None while nothing is; `terms` say where that can be used.

    No terms mean anywhere. `reserved` are the pods that may use it.
    """

    id: str
    uid: str = ""
    content: ClaimContent = ClaimContent()
    given: tuple[Given, ...] | None = None
    terms: tuple[Term, ...] = ()
    reserved: tuple[PodUid, ...] = ()
    deleting: bool = False
    #: It was made for one pod, which is told anew whenever this matters to it.
    own: bool = False


class DeviceClaimGone(Fact, frozen=True):
    """The claim no longer exists."""

    id: str


ClaimFact = DeviceSliceSeen | DeviceSliceGone | DeviceClassSeen | DeviceClassGone | DeviceClaimSeen | DeviceClaimGone
