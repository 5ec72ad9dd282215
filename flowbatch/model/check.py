"""Every sum recomputed from tasks and gangs. A difference is a bug in the engine and raises with all it knows."""

from flowbatch.errors import FlowbatchError
from flowbatch.model.checking.claims import check_claims
from flowbatch.model.checking.gangs import check_gangs, check_tasks
from flowbatch.model.checking.peers import check_peers, check_volumes
from flowbatch.model.checking.queues import check_accounts, check_queues, check_tree
from flowbatch.model.checking.rows import check_table
from flowbatch.model.checking.same import same
from flowbatch.model.ids import BudgetId, PodUid
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.state import ClusterState
from flowbatch.model.topology import Topology


class InvariantBroken(FlowbatchError):
    """The books do not add up; the message lists every difference."""


def check(state: ClusterState) -> None:
    """Raise InvariantBroken if any number differs from what the tasks say."""
    wrong: list[str] = []
    check_tasks(state, wrong)
    check_table(state, wrong)
    check_gangs(state, wrong)
    check_queues(state, wrong)
    _check_topology(state, wrong)
    check_tree(state, wrong)
    check_accounts(state, wrong)
    leaving = [uid for uid, task in state.tasks.items() if task.state is TaskState.RELEASING and task.node is not None]
    same(wrong, "leaving", sorted(state.leaving), sorted(leaving))
    same(wrong, "charged to budgets", state.budgets.content(), _charged(state))
    check_peers(state, wrong)
    check_volumes(state, wrong)
    check_claims(state, wrong)
    if wrong:
        raise InvariantBroken("; ".join(wrong))


def _charged(state: ClusterState) -> dict[PodUid, list[BudgetId]]:
    """Told to go and not seen leaving, by the budgets that select them."""
    going = [task.fact for task in state.leaving.values() if not task.fact.deleting]
    budgets = {fact.uid: sorted(each.id for each in state.budgets.covering(fact)) for fact in going}
    return {uid: ids for uid, ids in budgets.items() if ids}


def _check_topology(state: ClusterState, wrong: list[str]) -> None:
    """Every domain as if all HyperNodes and nodes had just come."""
    kept = state.topology
    if kept.stale or not kept.by_name:
        return
    found = Topology(state.nodes)
    for domain in kept.by_name.values():
        found.observe(domain.fact)
    found.refresh()
    for name, domain in kept.by_name.items():
        anew = found.by_name[name]
        same(wrong, f"nodes of HyperNode {name}", sorted(domain.nodes.items()), sorted(anew.nodes.items()))
        same(wrong, f"rows of HyperNode {name}", domain.rows.tolist(), anew.rows.tolist())
        same(wrong, f"problem of HyperNode {name}", domain.problem, anew.problem)
