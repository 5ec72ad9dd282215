"""What queues may hold: capability and guarantee along the path to the root, and the fair share of each queue's own."""

from collections.abc import Iterator

from flowbatch.engine.events import QueueSeen
from tests.reference.cluster import Amounts, Cluster, asks, plus, total_of, waits


def path(cluster: Cluster, name: str) -> list[str]:
    """From a queue up to the root; a broken chain hangs the queue under the root."""
    chain = [name]
    while chain[-1] != "root":
        queue = cluster.queues.get(chain[-1])
        parent = queue.parent if queue and queue.parent else "root"
        if parent in chain or (parent != "root" and parent not in cluster.queues):
            return [name, "root"]
        chain.append(parent)
    return chain


def below(cluster: Cluster, name: str) -> list[str]:
    """Gangs of a queue and of all queues under it."""
    return [gang.id for gang in cluster.gangs.values() if name in path(cluster, gang.queue)]


def own(cluster: Cluster, name: str) -> Amounts:
    """Held by, and for, a queue's own gangs."""
    return total_of(cluster.held(gang.id) for gang in cluster.gangs.values() if gang.queue == name)


def held(cluster: Cluster, name: str) -> Amounts:
    """Held by, and for, all gangs of a queue and those under it."""
    return total_of(cluster.held(gang) for gang in below(cluster, name))


def _fact(cluster: Cluster, name: str) -> QueueSeen:
    return cluster.queues.get(name) or QueueSeen(name)


def children(cluster: Cluster, name: str) -> list[str]:
    """Queues right below one."""
    return [each for each in cluster.queues if each != name and path(cluster, each)[1:2] == [name]]


def assured(cluster: Cluster, name: str) -> Amounts:
    """What a queue is guaranteed, or its children together if that is more."""
    mine, theirs = dict(_fact(cluster, name).guarantee), pledged(cluster, name)
    return {axis: max(mine.get(axis, 0), theirs.get(axis, 0)) for axis in sorted({*mine, *theirs})}


def pledged(cluster: Cluster, name: str) -> Amounts:
    """What the children of a queue are assured of together."""
    return total_of(assured(cluster, each) for each in children(cluster, name))


def capability(cluster: Cluster, name: str) -> Amounts:
    """The most that a queue may ever hold; what is not in it has no limit.

    Its own capability, and what its parent may hold without what its siblings are assured of (but what it is assured of
    itself, if it comes first).
    """
    stated = dict(_fact(cluster, name).capability)
    if name == "root" or not pledged(cluster, "root"):
        return stated
    return stated | most(cluster, name)


def most(cluster: Cluster, name: str) -> Amounts:
    """What a queue may hold of what there is."""
    stated = dict(_fact(cluster, name).capability)
    if name == "root":
        return {axis: min(units, stated.get(axis, units)) for axis, units in cluster.total().items()}
    parent = path(cluster, name)[1]
    mine, all_of_them = assured(cluster, name), pledged(cluster, parent)
    result = {}
    for axis, above in most(cluster, parent).items():
        own_part = mine.get(axis, 0)
        left = max(above - (all_of_them.get(axis, 0) - own_part), min(own_part, above))
        result[axis] = max(0, min(left, stated.get(axis, above)))
    return result


def shares(cluster: Cluster, awaited: dict[str, Amounts]) -> dict[str, Amounts]:
    """The cluster divided by weight among the queues that have gangs; `awaited`: what members to come will ask for."""
    whole = cluster.total()
    names = sorted({gang.queue for gang in cluster.gangs.values()})
    wants: dict[str, Amounts] = {}
    for name in names:
        mine = [gang.id for gang in cluster.gangs.values() if gang.queue == name]
        waiting = [pod for gang in mine for pod in cluster.members(gang) if waits(pod) and not pod.gated]
        to_come = total_of(awaited.get(gang, {}) for gang in mine)
        wants[name] = plus(plus(own(cluster, name), total_of(asks(pod.shape) for pod in waiting)), to_come)
    result: dict[str, Amounts] = {name: {} for name in names}
    for axis, all_of_it in whole.items():
        upper = {name: min(wants[name].get(axis, 0), most(cluster, name).get(axis, 0)) for name in names}
        lower = {name: min(assured(cluster, name).get(axis, 0), all_of_it) for name in names}
        weights = {name: max(1, _fact(cluster, name).weight) for name in names}
        for name, part in divide(all_of_it, weights, upper, lower).items():
            result[name][axis] = part
    return result


def divide(whole: int, weights: Amounts, upper: Amounts, lower: Amounts) -> Amounts:
    """Each gets its part by weight, at most what it wants and at least what it is guaranteed.

    Who would get a part beyond a bound gets the bound, and the others divide the rest: bounds below first where more
    would be given than there is, bounds above first where less. Single units left over go round in order.
    """
    parts: Amounts = {}
    rest = list(weights)
    while rest:
        left = max(0, whole - sum(parts.values()))
        fair = {name: left * weights[name] // sum(weights[each] for each in rest) for name in rest}
        bounded = {name: max(lower[name], min(fair[name], upper[name])) for name in rest}
        excess = sum(bounded.values()) - sum(fair.values())
        if excess > 0:
            settled = [name for name in rest if bounded[name] > fair[name]]
        elif excess < 0:
            settled = [name for name in rest if bounded[name] < fair[name]]
        else:
            settled = rest
        parts |= {name: bounded[name] for name in settled}
        rest = [name for name in rest if name not in settled]
    spare = whole - sum(parts.values())
    for name in weights:
        if spare > 0 and parts[name] < upper[name]:
            parts[name] += 1
            spare -= 1
    return parts


def short(asked: Amounts, taken: Amounts, limit: Amounts) -> Amounts:
    """What is missing so that `asked` may come to `taken`; only what is asked for is compared."""
    over = {axis: taken.get(axis, 0) + units - limit[axis] for axis, units in asked.items() if axis in limit}
    return {axis: units for axis, units in over.items() if units > 0}


def over_limit(
    cluster: Cluster, queue: str, asked: Amounts, share: dict[str, Amounts]
) -> tuple[str, str, Amounts] | None:
    """The first limit that is in the way of `asked`: queue, kind, what is short; None where it may be held."""
    return next(all_over(cluster, queue, asked, share), None)


def all_over(
    cluster: Cluster, queue: str, asked: Amounts, share: dict[str, Amounts]
) -> Iterator[tuple[str, str, Amounts]]:
    """Every limit that is in the way."""
    for name in path(cluster, queue):
        missing = short(asked, held(cluster, name), capability(cluster, name))
        if missing:
            yield name, "capability", missing
        mine = own(cluster, name)
        if name == queue and mine and name in share:
            # One gang may always start, however large: else two that are larger than their shares wait for ever.
            whole = cluster.total()
            limit = {axis: units for axis, units in share[name].items() if units < whole.get(axis, 0)}
            missing = short(asked, mine, limit)
            if missing:
                yield name, "share", missing
