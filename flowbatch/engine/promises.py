"""What must be kept for a gang that was let in: of its queues, and of its namespace's quotas."""

from flowbatch.model.gangs import Gang
from flowbatch.model.resources import Sums, add, positive_difference
from flowbatch.model.state import ClusterState
from flowbatch.policy.quota import quota_names, quota_needs


def promise(state: ClusterState, gang: Gang) -> None:
    """Note what its queue must keep until it starts, and what it holds beyond its minimum."""
    inqueue: Sums = {}
    elastic: Sums = {}
    if gang.minimum:
        minimum = dict(gang.minimum)
        if gang.phase == "Inqueue":
            taken = dict(gang.allocated)
            for task in gang.tasks.values() if gang.gated else ():
                if task.fact.gated:
                    add(taken, task.shape.request)
            inqueue = positive_difference(minimum, taken)
        if gang.allocated:
            elastic = positive_difference({a: n for a, n in gang.allocated.items() if a in minimum}, minimum)
    state.set_promises(gang, inqueue, elastic)
    if state.quotas:
        state.promise_quota(gang.id, _unmade(state, gang))


def take_back(state: ClusterState, gang: Gang) -> None:
    """Nothing is kept for one that lacks members."""
    state.set_awaited(gang, {})
    state.set_promises(gang, {}, {})
    state.promise_quota(gang.id, {})


def _unmade(state: ClusterState, gang: Gang) -> dict[str, int]:
    """What its namespace's quotas must keep for pods it has not made yet."""
    if gang.phase != "Inqueue" or len(gang.tasks) >= gang.min_members:
        return {}
    unmade = quota_needs(gang)
    names = state.axes.names
    for task in gang.tasks.values() if unmade else ():
        for axis, amount in task.shape.request:
            for name in quota_names(names[axis]):
                unmade[name] = unmade.get(name, 0) - amount
    return {name: units for name, units in unmade.items() if units > 0}
