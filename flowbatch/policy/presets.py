"""Ready-made schedulers, and every policy by the name a configuration uses."""

from dataclasses import replace

from flowbatch.policy.deviceclaims import DeviceClaimFit, DeviceClaimSteps
from flowbatch.policy.evictable import UnlessEvictable
from flowbatch.policy.fragmentation import Fragmentation
from flowbatch.policy.gates import Overcommit, QueueOpen, QueueRoom
from flowbatch.policy.lending import Borrowing
from flowbatch.policy.nodefit import Schedulable, Selector, Taints
from flowbatch.policy.ordering import DominantShare, LeastServed, Priority, QueuePriority, UnreadyFirst
from flowbatch.policy.owners import OwnerJobs, OwnerShare
from flowbatch.policy.podaffinity import PodAffinity, PodAffinityScore
from flowbatch.policy.policy import Policy
from flowbatch.policy.promises import GangRoom
from flowbatch.policy.scores import Balanced, BinPack, LeastRequested, PreferredAffinity, PreferredTaints
from flowbatch.policy.share import Capability, FairShare, Proportion
from flowbatch.policy.sla import WaitingTime
from flowbatch.policy.spread import TopologySpread, TopologySpreadScore
from flowbatch.policy.victims import Conformance, Cooldown, LowerPriority, OverShare, Surplus, WithinBudget
from flowbatch.policy.volumes import VolumeFit, VolumeSteps

#: Gangs by priority, then need, then dominant share; queues by their share of it; nodes packed tightly, because what is
#: left over in one piece is what the next gang needs.
DEFAULT = Policy(
    name="default",
    queue_order=(QueuePriority(), LeastServed()),
    gang_order=(Priority(), UnreadyFirst(), DominantShare()),
    enqueue=(QueueOpen(), QueueRoom(), OwnerJobs(), GangRoom(), Overcommit()),
    admission=(OwnerJobs(),),
    limits=(Capability(), FairShare()),
    gang_limits=(Borrowing(), OwnerShare()),
    shares=Proportion(),
    filters=(Schedulable(), Selector(), Taints(), PodAffinity(), TopologySpread(), VolumeFit(), DeviceClaimFit()),
    steps=(DeviceClaimSteps(), VolumeSteps()),
    scores=(BinPack(), PreferredAffinity(), PreferredTaints(), PodAffinityScore(), TopologySpreadScore()),
)

#: Nodes as Volcano's nodeorder plugin ranks them: emptier and balanced ones first.
SPREAD = replace(
    DEFAULT,
    name="spread",
    scores=(
        LeastRequested(),
        Balanced(),
        PreferredAffinity(),
        PreferredTaints(),
        PodAffinityScore(),
        TopologySpreadScore(),
    ),
)

#: Shared GPUs filled so that what is left is still of use to the pods that usually come.
GPU = replace(
    DEFAULT,
    name="gpu",
    scores=(Fragmentation(), PreferredAffinity(), PreferredTaints()),
    devices=Fragmentation(),
)

#: Strictly first come, first served inside a priority, and no division between queues but their capability.
FIFO = replace(DEFAULT, name="fifo", gang_order=(Priority(),), limits=(Capability(),), shares=None)

#: As the default one, and room is made: in a queue for higher priority, between queues for those below their share.
#: Members beyond the minimum of their gangs go before whole gangs do.
PREEMPTING = replace(
    DEFAULT,
    name="preempting",
    actions=(*DEFAULT.actions, "preempt", "reclaim", "gangpreempt", "gangreclaim"),
    enqueue=tuple(
        UnlessEvictable(gate) if isinstance(gate, QueueRoom | Overcommit) else gate for gate in DEFAULT.enqueue
    ),
    preemptable=(Surplus(), LowerPriority(), Conformance(), Cooldown(), WithinBudget()),
    reclaimable=(Surplus(), OverShare(), Conformance(), Cooldown(), WithinBudget()),
)

#: As the default, and pods beyond the minimum of their gangs move where that lets a gang start that waits for room in
#: one piece: each has another place before it is sent away.
CONSOLIDATING = replace(DEFAULT, name="consolidating", actions=(*DEFAULT.actions, "consolidate"))

#: As the default, and no gang waits for ever behind smaller ones: after ten minutes gates that say "later" let it in,
#: and room is kept for it while others fill the gaps in front of its window (EASY backfill).
PATIENCE = WaitingTime(600_000)
BACKFILL = replace(
    DEFAULT,
    name="backfill",
    enqueue=(QueueOpen(), QueueRoom()),
    waivable=(Overcommit(),),
    permits=(PATIENCE,),
    reserving=(PATIENCE,),
)

PRESETS = {policy.name: policy for policy in (DEFAULT, SPREAD, FIFO, PREEMPTING, CONSOLIDATING, BACKFILL)}
