"""Facts that go into the engine. Each is a *level*: it says what a thing now is, so repeats and gaps are harmless.

Tagged msgspec unions, so a journal of them is plain JSON lines and replays byte for byte.
"""

from flowbatch.model.claimfacts import (
    ClaimFact,
    DeviceClaimGone,
    DeviceClaimSeen,
    DeviceClassGone,
    DeviceClassSeen,
    DeviceSliceGone,
    DeviceSliceSeen,
)
from flowbatch.model.facts import (
    AttachSeen,
    BudgetGone,
    BudgetSeen,
    ClaimGone,
    ClaimSeen,
    ClaimsHidden,
    ClassGone,
    ClassSeen,
    DeclaredTask,
    DequeueStrategy,
    Fact,
    GangGone,
    GangPhase,
    GangSeen,
    HyperNodeGone,
    HyperNodeSeen,
    Members,
    NamespaceGone,
    NamespaceSeen,
    NodeGone,
    NodeGroups,
    NodeSeen,
    NumaGone,
    NumaSeen,
    OwnerLimit,
    OwnerUse,
    PastUse,
    PodGone,
    PodPhase,
    PodSeen,
    QueueGone,
    QueueSeen,
    QueueState,
    QuotaGone,
    QuotaSeen,
    Reach,
    SubGroups,
    TaskTopology,
    VolumeGone,
    VolumeSeen,
)
from flowbatch.model.ids import Amounts, Instant, NodeName, PodUid
from flowbatch.model.shapes import (
    LabelTest,
    PeerTerm,
    PodSelector,
    ShapeSpec,
    Spread,
    Taint,
    TaintEffect,
    Term,
    Toleration,
    Value,
)

__all__ = [
    "Answered",
    "AttachSeen",
    "BindFailed",
    "BudgetGone",
    "BudgetSeen",
    "ClaimFact",
    "ClaimGone",
    "ClaimSeen",
    "ClaimsHidden",
    "ClassGone",
    "ClassSeen",
    "DeclaredTask",
    "DequeueStrategy",
    "DeviceClaimGone",
    "DeviceClaimSeen",
    "DeviceClassGone",
    "DeviceClassSeen",
    "DeviceSliceGone",
    "DeviceSliceSeen",
    "Event",
    "EvictFailed",
    "Fact",
    "GangGone",
    "GangPhase",
    "GangSeen",
    "HyperNodeGone",
    "HyperNodeSeen",
    "LabelTest",
    "Members",
    "NamespaceGone",
    "NamespaceSeen",
    "NodeGone",
    "NodeGroups",
    "NodeSeen",
    "NumaGone",
    "NumaSeen",
    "OwnerLimit",
    "OwnerUse",
    "PastUse",
    "PeerTerm",
    "PodGone",
    "PodPhase",
    "PodSeen",
    "PodSelector",
    "PolicyDropped",
    "QueueGone",
    "QueueSeen",
    "QueueState",
    "QuotaGone",
    "QuotaSeen",
    "Reach",
    "ReleaseFailed",
    "ShapeSpec",
    "Spread",
    "StepFailed",
    "SubGroups",
    "Synced",
    "Taint",
    "TaintEffect",
    "TaskTopology",
    "Term",
    "Toleration",
    "UsageSeen",
    "Value",
    "VolumeGone",
    "VolumeSeen",
]


class BindFailed(Fact, frozen=True):
    """A binding was refused, or its outcome turned out to be "not bound". `permanent`: the pod is gone or replaced."""

    uid: PodUid
    node: NodeName
    reason: str
    permanent: bool = False


class EvictFailed(Fact, frozen=True):
    """An eviction was refused."""

    uid: PodUid
    reason: str


class StepFailed(Fact, frozen=True):
    """A step that a Bind carried in `before` failed; the binding was not sent."""

    uid: PodUid
    step: str
    reason: str


class ReleaseFailed(Fact, frozen=True):
    """What a claim was given could not be taken back."""

    claim: str
    reason: str


class Answered(Fact, frozen=True):
    """The outside's answer to an Ask: "yes", or why not.

    A yes may refuse single nodes for the pods that a subject speaks for, and rank nodes from 0 to 1.
    """

    ask: str
    answer: str
    refused: tuple[tuple[PodUid, NodeName, str], ...] = ()
    scores: tuple[tuple[PodUid, NodeName, float], ...] = ()


class UsageSeen(Fact, frozen=True):
    """Use of a node as it was measured at `at`, in parts per thousand of its allocatable."""

    node: NodeName
    permille: Amounts = ()
    at: Instant = Instant(0)


class PolicyDropped(Fact, frozen=True):
    """The shell's watchdog dropped a policy; journalled so that a replay drops it too."""

    policy: str
    reason: str


class Synced(Fact, frozen=True):
    """All first lists are in: from here on, absence means absence and decisions may be taken."""


Event = (
    PodSeen
    | PodGone
    | GangSeen
    | GangGone
    | NodeSeen
    | NodeGone
    | HyperNodeSeen
    | HyperNodeGone
    | NumaSeen
    | NumaGone
    | QueueSeen
    | QueueGone
    | AttachSeen
    | ClaimSeen
    | ClaimsHidden
    | ClaimGone
    | VolumeSeen
    | VolumeGone
    | ClassSeen
    | ClassGone
    | NamespaceSeen
    | NamespaceGone
    | QuotaSeen
    | QuotaGone
    | BindFailed
    | EvictFailed
    | StepFailed
    | ReleaseFailed
    | Answered
    | UsageSeen
    | PolicyDropped
    | Synced
    | BudgetSeen
    | BudgetGone
    | ClaimFact
)
