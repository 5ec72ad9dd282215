"""Who uses which claimed devices, and whose queues count them: from tasks and claims."""

from flowbatch.model.checking.same import same
from flowbatch.model.ids import GangId
from flowbatch.model.resources import Request, device_axis
from flowbatch.model.state import ClusterState


def check_claims(state: ClusterState, wrong: list[str]) -> None:
    """Users of claims by row; devices in use; and nobody was given by us what another has."""
    claims = state.device_claims
    users: dict[str, dict[int, int]] = {}
    for task in state.tasks.values():
        for claim in filter(None, task.fact.device_claims if task.node is not None else ()):
            assert task.node is not None
            rows = users.setdefault(claim, {})
            rows[task.node.row] = rows.get(task.node.row, 0) + 1
    same(wrong, "users of device claims", claims.users, users)
    for claim in claims.decided:
        same(wrong, f"decided claim {claim} has users", claim in users, True)
    used: dict[int, int] = {}
    ours: dict[int, int] = {}
    for claim in dict.fromkeys((*claims.claims, *claims.decided)):
        fact, decision = claims.claims.get(claim), claims.decided.get(claim)
        given = fact.given if fact is not None else None
        numbers = [claims.pools.number((each.driver, each.pool, each.device)) for each in given or ()]
        if given is None and decision is not None:
            numbers = [number for _, number in decision.picks]
            ours |= dict.fromkeys(numbers, 0)
        for number in numbers:
            used[number] = used.get(number, 0) + 1
    same(wrong, "devices in use", claims.used, used)
    for number in ours:
        same(wrong, f"claims that {claims.pools.names[number]} is given to", used[number], 1)


def charged_claims(state: ClusterState) -> dict[GangId, list[Request]]:
    """What gangs are charged for claims that several pods may use."""
    gangs: dict[str, dict[GangId, None]] = {}
    for task in state.tasks.values():
        if task.node is not None and task.gang is not None:
            for claim, ask in zip(task.fact.device_claims, task.shape.spec.device_claims, strict=True):
                if claim and ask.shared:
                    gangs.setdefault(claim, {})[task.gang.id] = None
    found: dict[GangId, list[Request]] = {}
    for claim, users in gangs.items():
        fact = state.device_claims.claims.get(claim)
        counted = fact.content.counted if fact is not None else ()
        found.setdefault(min(users), []).append(tuple((state.axes.axis(device_axis(name)), n) for name, n in counted))
    return found
