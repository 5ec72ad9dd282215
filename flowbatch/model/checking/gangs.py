"""Tasks, and gangs by their tasks."""

from flowbatch.model.checking.claims import charged_claims
from flowbatch.model.checking.same import same
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.lifecycle import FINISHED, HOLDS_CAPACITY, TaskState
from flowbatch.model.resources import Sums, add
from flowbatch.model.state import ClusterState


def check_tasks(state: ClusterState, wrong: list[str]) -> None:
    """Ids, places and states agree."""
    for uid, task in state.tasks.items():
        if uid != task.fact.uid:
            wrong.append(f"uid {uid} is of {task.story}")
        if task.node is not None:
            if task.state not in HOLDS_CAPACITY:
                wrong.append(f"holds a node without right: {task.story}")
            same(wrong, f"node knows {uid}", task.node.tasks.get(uid), task)
        elif task.state in HOLDS_CAPACITY and task.state is not TaskState.RELEASING:
            wrong.append(f"holds no node: {task.story}")
    for node in state.nodes.values():
        same(wrong, f"row of {node.name}", state.node_at.get(node.row), node)
        for uid in node.tasks:
            same(wrong, f"node {node.name} has unknown {uid}", uid in state.tasks, True)


def check_gangs(state: ClusterState, wrong: list[str]) -> None:
    """Every gang's sums and counts."""
    claims = charged_claims(state)
    for gang in state.gangs.values():
        if gang.idle:
            wrong.append(f"gang {gang.id} is kept for nobody")
        allocated: Sums = {}
        wanted: Sums = {}
        reserved: Sums = {}
        claimed: Sums = {}
        leaving: Sums = {}
        counts: dict[str, list[int]] = {name: [0] * len(TaskState) for name in gang.roles}
        gated: dict[str, int] = dict.fromkeys(gang.roles, 0)
        for task in gang.tasks.values():
            _count(task, gang, counts, gated, wrong)
            if task.node is not None:
                add(allocated, task.shape.request)
                if task.state is TaskState.RELEASING:
                    add(leaving, task.shape.request)
            if task.state is TaskState.PENDING and not task.fact.gated:
                add(wanted, task.shape.request)
        for request in claims.get(gang.id, ()):
            add(allocated, request)
        for reservation in gang.reservations:
            add(reserved, reservation.shape.request, reservation.total)
        for claim in gang.claims:
            add(claimed, claim.shape.request, claim.total)
        for berth in gang.berths:
            add(claimed, berth.shape.request)
        for name, role in gang.roles.items():
            same(wrong, f"counts of {gang.id}/{name}", role.counts, counts[name])
            same(wrong, f"gated of {gang.id}/{name}", role.gated, gated[name])
        same(
            wrong,
            f"counts of {gang.id}",
            gang.counts,
            [sum(each) for each in zip(*counts.values(), strict=True)] or [0] * len(TaskState),
        )
        same(wrong, f"gated of {gang.id}", gang.gated, sum(gated.values()))
        same(wrong, f"allocated of {gang.id}", gang.allocated, allocated)
        same(wrong, f"wanted of {gang.id}", gang.wanted, wanted)
        same(wrong, f"reserved of {gang.id}", gang.reserved, reserved)
        same(wrong, f"claimed of {gang.id}", gang.claimed, claimed)
        same(wrong, f"leaving of {gang.id}", gang.leaving, leaving)


def _count(task: Task, gang: Gang, counts: dict[str, list[int]], gated: dict[str, int], wrong: list[str]) -> None:
    if task.gang is not gang:
        wrong.append(f"gang {gang.id} has {task.story}")
    counts[task.fact.task][task.state] += 1
    waits = task.state is TaskState.PENDING
    gated[task.fact.task] += int(waits and task.fact.gated)
    same(wrong, f"pending has {task.uid}", task.uid in gang.pending, waits and not task.fact.gated)
    if task.state in FINISHED and task.node is not None:
        wrong.append(f"finished on a node: {task.story}")
