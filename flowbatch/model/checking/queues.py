"""Queues by their gangs, their tree, and what owners hold in them."""

from flowbatch.model.checking.same import same
from flowbatch.model.owners import Accounts
from flowbatch.model.queues import QueueTree
from flowbatch.model.resources import Sums, add
from flowbatch.model.state import ClusterState

#: Sums of a queue that follow from its gangs.
QUEUE_SUMS = (
    "own",
    "allocated",
    "reserved",
    "inqueue",
    "elastic",
    "wanted",
    "own_leaving",
    "leaving",
    "own_claimed",
    "claimed",
)


def check_queues(state: ClusterState, wrong: list[str]) -> None:
    """Every queue's sums, and the cluster's."""
    used: Sums = {}
    inqueue: Sums = {}
    sums: dict[str, dict[str, Sums]] = {name: {kind: {} for kind in QUEUE_SUMS} for name in state.queues.by_name}
    for task in state.tasks.values():
        if task.node is not None:
            add(used, task.shape.request)
    for gang in state.gangs.values():
        add(used, gang.reserved.items())
        add(inqueue, gang.inqueue.items())
        for queue in gang.queue.path if gang.queue else ():
            add(sums[queue.name]["allocated"], gang.allocated.items())
            add(sums[queue.name]["reserved"], gang.reserved.items())
            add(sums[queue.name]["inqueue"], gang.inqueue.items())
            add(sums[queue.name]["elastic"], gang.elastic.items())
            add(sums[queue.name]["leaving"], gang.leaving.items())
            add(sums[queue.name]["claimed"], gang.claimed.items())
        if gang.queue:
            add(sums[gang.queue.name]["own"], gang.allocated.items())
            add(sums[gang.queue.name]["own"], gang.reserved.items())
            add(sums[gang.queue.name]["wanted"], gang.wanted.items())
            add(sums[gang.queue.name]["wanted"], gang.awaited.items())
            add(sums[gang.queue.name]["own_leaving"], gang.leaving.items())
            add(sums[gang.queue.name]["own_claimed"], gang.claimed.items())
            same(wrong, f"queue of {gang.id}", gang.queue.gangs.get(gang.id), gang)
    same(wrong, "used", state.used, used)
    same(wrong, "inqueue", state.inqueue, inqueue)
    for name, queue in state.queues.by_name.items():
        for kind, found in sums[name].items():
            same(wrong, f"{kind} of queue {name}", getattr(queue, kind), found)


def check_tree(state: ClusterState, wrong: list[str]) -> None:
    """Paths, guarantees and quotas as a tree linked anew would have them; sums that are due are not looked at."""
    tree, anew = state.queues, QueueTree()
    for name, queue in tree.by_name.items():
        copy = anew.named(name)
        copy.fact, copy.guarantee, copy.deserved = queue.fact, queue.guarantee, queue.deserved
        copy.borrowing, copy.lending = queue.borrowing, queue.lending
        copy.accounts = queue.accounts
    anew.link()
    anew.tally()
    for name, queue in tree.by_name.items():
        found = anew.by_name[name]
        same(wrong, f"orphaned of queue {name}", queue.orphaned, found.orphaned)
        same(wrong, f"limits_owners of queue {name}", queue.limits_owners, found.limits_owners)
        for kind in ("path", "children"):
            kept, linked = getattr(queue, kind), getattr(found, kind)
            same(wrong, f"{kind} of queue {name}", [each.name for each in kept], [each.name for each in linked])
        sums = ("assured", "pledged", "quota", "kept") if tree.bounded else ("assured", "pledged")
        for kind in sums if not state.changes.claims else ():
            same(wrong, f"{kind} of queue {name}", getattr(queue, kind), getattr(found, kind))
    if state.changes.claims:
        return
    same(wrong, "bounded axes", tree.bounded, anew.bounded)
    same(wrong, "lenders", [each.name for each in tree.lenders], [each.name for each in anew.lenders])


def check_accounts(state: ClusterState, wrong: list[str]) -> None:
    """What owners hold in every queue."""
    for name, queue in state.queues.by_name.items():
        if queue.accounts is None:
            continue
        assert queue.fact is not None
        found = Accounts.of(queue.fact.limits, state.axes, state.tracked_owners)
        for gang in state.gangs.values():
            if gang.queue is not None and queue in gang.queue.path:
                for held in (gang.allocated, gang.reserved):
                    found.charge(gang.id, gang.owners, held.items(), 1)
        same(wrong, f"owners' sums of queue {name}", queue.accounts.held, found.held)
        same(wrong, f"owners' jobs of queue {name}", queue.accounts.jobs, found.jobs)
