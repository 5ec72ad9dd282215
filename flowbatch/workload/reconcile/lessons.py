"""What failures teach a job, noted in the ledger by the same write that restarts its pods (see `workload.retries`)."""

from collections.abc import Mapping, Set
from datetime import UTC, datetime

from flowbatch.workload.census import partition_scope, pod_scope
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.retries import avoiding, backoff_s, killed_for_memory, rules_of


def learn(turn: Turn, uids: Set[str]) -> None:
    """Note on which nodes the pods with these uids have failed, and which of their containers had too little memory."""
    avoided, hungry = turn.ledger.avoided, set[str]()
    for member in turn.census.members:
        if member.uid not in uids:
            continue
        rules = rules_of(turn.job, member.task)
        if rules.avoid_failed_nodes and member.pod.spec.node_name:
            avoided = avoiding(avoided, member.pod.spec.node_name)
        if rules.memory_increase_percent:
            hungry |= {f"{member.task}|{container}" for container in killed_for_memory(member.pod)}
    raised = {**turn.ledger.raised, **{key: turn.ledger.raised.get(key, 0) + 1 for key in sorted(hungry)}}
    if (avoided, raised) != (turn.ledger.avoided, turn.ledger.raised):
        turn.remember(avoided=avoided, raised=raised)


def hold_back(turn: Turn, scopes: Mapping[str, str]) -> None:
    """Let each of `scopes` (scope -> task whose rules hold) wait before its pods are made again."""
    now = int(turn.now.timestamp())
    holds = {} if "" in scopes else {scope: due for scope, due in turn.ledger.holds.items() if due > now}
    for scope, task in scopes.items():
        if wait_s := backoff_s(rules_of(turn.job, task), turn.status.retry_count):
            holds[scope] = now + wait_s
    if holds != turn.ledger.holds:
        turn.remember(holds=holds)


def holds_back(turn: Turn) -> bool:
    """Whether any pods wait for their next try."""
    return any(held_until(turn, scope) is not None for scope in turn.ledger.holds)


def held_until(turn: Turn, scope: str) -> datetime | None:
    """Until when no pod of `scope` is to be made; None if nothing holds it back."""
    due = turn.ledger.holds.get(scope)
    moment = datetime.fromtimestamp(due, UTC) if due is not None else None
    return moment if moment is not None and moment > turn.moment else None


def place_held_until(turn: Turn, task: str, index: int) -> datetime | None:
    """Until when no pod is to be made for this index, whichever scope holds it back."""
    if not turn.ledger.holds:
        return None
    policy = turn.census.tasks[task].partition_policy
    scopes = ["", task, pod_scope(task, index)]
    if policy is not None and policy.partition_size > 0:
        scopes.append(partition_scope(task, index // policy.partition_size))
    waits = [moment for scope in scopes if (moment := held_until(turn, scope)) is not None]
    return max(waits, default=None)
