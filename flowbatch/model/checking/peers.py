"""What pods are to each other, and whose volumes are whose."""

from flowbatch.model.checking.same import same
from flowbatch.model.gangs import Task
from flowbatch.model.stakes import Group
from flowbatch.model.state import ClusterState
from flowbatch.model.tallies import Tally


def check_peers(state: ClusterState, wrong: list[str]) -> None:
    """Groups by their selectors, and every tally from the tasks that move it."""
    peers = state.peers
    for kind in peers.kinds():
        found = {id(group) for group in peers.expected_groups(kind)}
        same(wrong, f"groups of {kind.namespace} {kind.labels}", {id(group) for group in kind.groups}, found)
        for task in kind.tasks.values():
            same(wrong, f"kind of {task.story}", task.kind, kind)
            if kind.groups:
                same(wrong, f"kind of the shape of {task.story}", task.shape.kind, kind)
    placed = [task for task in state.tasks.values() if task.node is not None]
    for group in peers.groups():
        there = [task for task in placed if task.kind in group.kinds]
        staying = [task for task in there if not task.leaving]
        for key, tally in group.members.items():
            _check_tally(f"members by {key} of {group.selectors}", tally, [(task, 1) for task in there], state, wrong)
        for key, tally in group.staying.items():
            _check_tally(f"staying by {key} of {group.selectors}", tally, [(task, 1) for task in staying], state, wrong)
        for kind_of, tallies in (("apart", group.guards), ("near", group.bonds), ("likes", group.pulls)):
            for key, tally in tallies.items():
                carriers = [(task, _weight(task, kind_of, key, group)) for task in placed]
                _check_tally(f"{kind_of} by {key} of {group.selectors}", tally, carriers, state, wrong)


def _weight(task: Task, kind_of: str, key: str, group: Group) -> int:
    """How much of a group's carried terms one task carries."""
    spec = task.shape.spec
    terms = spec.likes if kind_of == "likes" else [(1, term) for term in getattr(spec, kind_of)]
    return sum(weight for weight, term in terms if term.key == key and (term.pods,) == group.selectors)


def _check_tally(
    what: str, tally: Tally, carriers: list[tuple[Task, int]], state: ClusterState, wrong: list[str]
) -> None:
    by_row: dict[int, int] = {}
    by_domain: dict[str, int] = {}
    for task, weight in carriers:
        assert task.node is not None
        by_row[task.node.row] = by_row.get(task.node.row, 0) + weight
        domain = task.node.labels.get(tally.key)
        if domain is not None:
            by_domain[domain] = by_domain.get(domain, 0) + weight
    kept = {row: int(amount) for row, amount in enumerate(tally.by_row) if amount}
    same(wrong, what, kept, {row: amount for row, amount in by_row.items() if amount})
    here = tally.here(state.table.size)
    for node in state.nodes.values():
        domain = node.labels.get(tally.key)
        same(
            wrong,
            f"{what} on {node.name}",
            int(here[node.row]),
            by_domain.get(domain or "", 0) if domain is not None else 0,
        )
    same(wrong, f"total {what}", tally.total, sum(by_domain.values()))


def check_volumes(state: ClusterState, wrong: list[str]) -> None:
    """Who uses which claim; promises only to claims in use."""
    users: dict[str, dict[int, int]] = {}
    for task in state.tasks.values():
        for claim in task.shape.spec.claims if task.node is not None else ():
            assert task.node is not None
            rows = users.setdefault(claim, {})
            rows[task.node.row] = rows.get(task.node.row, 0) + 1
    same(wrong, "users of claims", state.volumes.users, users)
    for volume, claim in state.volumes.promised.items():
        choice = state.volumes.decided.get(claim)
        same(wrong, f"promise of volume {volume}", choice.volume if choice is not None else "", volume)
    attached = sum(len(rows) for rows in users.values())
    same(wrong, "attached volumes", sum(state.volumes.attached()), attached)
