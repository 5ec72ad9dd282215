"""What would start a gang that waits, in words."""

from flowbatch.engine.reasons import format_amounts
from flowbatch.model.blockers import (
    Behind,
    Blocker,
    Gated,
    NeedsCapacity,
    NeedsDevices,
    NeedsGang,
    NeedsHeadroom,
    NeedsMembers,
    NeedsNamespaceQuota,
    NeedsNode,
    NeedsPeers,
    NeedsQuota,
    NeedsRoom,
    NeedsTime,
    NeedsTopology,
    NeedsVolume,
    QueueClosed,
    QueueMissing,
    QueueNotLeaf,
)


def cure(blocker: Blocker) -> str:
    """What would start it."""
    match blocker:
        case NeedsGang():
            return "create the PodGroup"
        case NeedsMembers(have=have, need=need):
            return f"{need - have} more pods"
        case Gated():
            return "removal of scheduling gates"
        case NeedsNamespaceQuota(quota=quota, short=short, hopeless=hopeless):
            what = "more in" if hopeless else "jobs that end, or more in,"
            return f'{what} ResourceQuota "{quota}": {format_amounts(short)}'
        case NeedsHeadroom(short=short, hopeless=hopeless):
            return "larger or more nodes" if hopeless else f"jobs that end and free {format_amounts(short)}"
        case NeedsTime(until=until):
            return f"time: {until} ms"
        case _:
            return _cure_of_nodes(blocker) or _cure_of_queues(blocker)


def _cure_of_nodes(blocker: Blocker) -> str:
    """What nodes, or those on them, would have to do."""
    match blocker:
        case NeedsNode():
            return "a node that admits the pods (labels, taints, cordon)"
        case (
            NeedsCapacity(fits=fits, needs=needs, hopeless=hopeless)
            | NeedsTopology(fits=fits, needs=needs, hopeless=hopeless)
        ):
            where = f" {blocker.limit}" if isinstance(blocker, NeedsTopology) else ""
            return f"{'larger or more nodes with room' if hopeless else 'room'} for {needs - fits} more pods{where}"
        case NeedsDevices():
            return "a claim, device class or pool of devices that comes or changes, or devices that are given back"
        case NeedsVolume():
            return "a claim, volume or storage class that comes or changes"
        case NeedsPeers(fits=fits, needs=needs):
            return f"pods that come or go as the affinity and spread rules of {needs - fits} more pods ask"
        case NeedsRoom(pods=pods):
            return f"the end of {pods} pods that were told to go; their room is kept for it"
        case NeedsTime(until=until):
            return f"time: {until} ms"
        case _:
            return ""


def _cure_of_queues(blocker: Blocker) -> str:
    match blocker:
        case QueueMissing(queue=queue):
            return f'create queue "{queue}"'
        case QueueClosed(queue=queue, state="Suspended"):
            return f'resume queue "{queue}"'
        case QueueClosed(queue=queue):
            return f'open queue "{queue}"'
        case Behind():
            return "the gangs before it to start or to leave"
        case QueueNotLeaf(queue=queue):
            return f'a queue below "{queue}" to go to'
        case NeedsQuota(queue=queue, short=short, hopeless=hopeless):
            what = "a higher limit" if hopeless else "a higher limit, or jobs that end,"
            return f'{what} in queue "{queue}" by {format_amounts(short)}'
        case _:
            return ""
