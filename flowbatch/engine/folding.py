"""Facts in: which of them changes what in the state. Decides nothing."""

from collections.abc import Callable, Sequence

from flowbatch.engine.events import (
    Answered,
    AttachSeen,
    BindFailed,
    BudgetGone,
    BudgetSeen,
    ClaimFact,
    ClaimGone,
    ClaimSeen,
    ClaimsHidden,
    ClassGone,
    ClassSeen,
    DeviceClaimGone,
    DeviceClaimSeen,
    DeviceClassGone,
    DeviceClassSeen,
    DeviceSliceGone,
    DeviceSliceSeen,
    Event,
    EvictFailed,
    GangGone,
    GangSeen,
    HyperNodeGone,
    HyperNodeSeen,
    NamespaceGone,
    NamespaceSeen,
    NodeGone,
    NodeSeen,
    NumaGone,
    NumaSeen,
    PodGone,
    PodSeen,
    PolicyDropped,
    QueueGone,
    QueueSeen,
    QuotaGone,
    QuotaSeen,
    ReleaseFailed,
    StepFailed,
    Synced,
    UsageSeen,
    VolumeGone,
    VolumeSeen,
)
from flowbatch.model.ids import Instant
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import Measuring

#: What became of our own orders and questions, and what else is about no object.
Heard = EvictFailed | StepFailed | ReleaseFailed | Answered | PolicyDropped | Synced
#: Kinds of which few clusters have any, or that hardly change.
Rare = (
    Heard
    | BudgetSeen
    | BudgetGone
    | QuotaSeen
    | QuotaGone
    | UsageSeen
    | HyperNodeSeen
    | HyperNodeGone
    | NumaSeen
    | NumaGone
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
    | ClaimFact
)


class Folding:
    """Folds facts into the state; what is about no object goes to `hear`."""

    def __init__(self, state: ClusterState, view: View, hear: Callable[[Heard], None]) -> None:
        self._state = state
        self._view = view
        self._hear = hear
        #: Policies that refuse nodes by what is measured on them.
        self.measuring: Sequence[Measuring] = ()

    def fold(self, event: Event) -> None:
        """One fact."""
        state = self._state
        match event:
            case PodSeen():
                state.observe_pod(event)
            case PodGone():
                state.forget_pod(event.uid)
            case GangSeen():
                state.observe_gang(event)
            case GangGone():
                state.forget_gang(event.id)
            case NodeSeen():
                state.observe_node(event)
                if self._view.measured.by_node:
                    self._view.measured.settle(event.name, state.nodes[event.name].row)
            case NodeGone():
                gone = state.nodes.get(event.name)
                self._view.measured.forget(event.name, gone.row if gone else None)
                state.forget_node(event.name)
            case QueueSeen():
                state.observe_queue(event)
            case QueueGone():
                state.forget_queue(event.name)
            case BindFailed():
                state.refuse(event.uid, event.node, permanent=event.permanent)
            case _:
                self._fold_rare(event)

    def _fold_rare(self, event: Rare) -> None:
        """Objects of kinds that few clusters have, or that hardly change."""
        match event:
            case QuotaSeen():
                self._first_quota()
                self._state.observe_quota(event)
            case QuotaGone():
                self._state.forget_quota(event)
            case (
                AttachSeen()
                | ClaimSeen()
                | ClaimsHidden()
                | ClaimGone()
                | VolumeSeen()
                | VolumeGone()
                | ClassSeen()
                | ClassGone()
            ):
                self._state.observe_storage(event)
            case (
                DeviceClaimSeen()
                | DeviceClaimGone()
                | DeviceClassSeen()
                | DeviceClassGone()
                | DeviceSliceSeen()
                | DeviceSliceGone()
            ):
                self._state.observe_devices(event)
            case NamespaceSeen() | NamespaceGone():
                self._state.observe_namespace(event)
            case HyperNodeSeen() | HyperNodeGone():
                self._state.observe_hyper_node(event)
            case NumaSeen() | NumaGone():
                self._state.observe_numa(event)
            case BudgetSeen():
                self._state.observe_budget(event)
            case BudgetGone():
                self._state.forget_budget(event.id)
            case UsageSeen():
                self._measured(event)
            case _:
                self._hear(event)

    def _measured(self, event: UsageSeen) -> None:
        """News for those who wait for a node only where a policy refused it until now."""
        node = self._state.nodes.get(event.node)
        measured = self._view.measured
        _, before = measured.by_node.get(event.node, (Instant(0), ()))
        measured.see(event.node, node.row if node else None, event.at, event.permille)
        if node is not None and any(
            each.overused(before) and not each.overused(event.permille) for each in self.measuring
        ):
            self._state.changes.nodes[node.row] = None
            self._state.changes.freed[node.row] = None

    def _first_quota(self) -> None:
        """Promises are counted from the first quota on."""
        if not self._state.quotas:
            self._state.changes.gangs.update(self._state.gangs)
