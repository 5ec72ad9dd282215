"""Is room that others are leaving kept for whom it was claimed for, and are the sums right?"""

import numpy as np

from flowbatch.engine.events import BudgetGone, BudgetSeen, LabelTest
from flowbatch.model.budgets import Budgets
from flowbatch.model.check import check
from flowbatch.model.gangs import Gang, Reservation
from flowbatch.model.ids import BudgetId, GangId, Instant, PodUid, Row
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.state import ClusterState
from flowbatch.model.trial import Trial
from tests.textcluster import facts, pod


def state_of(*lines: str) -> ClusterState:
    state = ClusterState()
    for fact in facts(*lines):
        getattr(state, f"observe_{type(fact).__name__.removesuffix('Seen').lower()}")(fact)
    for gang in state.gangs.values():
        state.count_wanted(gang)
    state.table.fit_axes()
    return state


def claim(state: ClusterState, gang: Gang, rows: list[int], counts: list[int]) -> None:
    shape = next(iter(gang.pending.values())).shape
    held = Reservation("task", shape, np.array(rows, np.int64), np.array(counts, np.int64))
    state.claim(gang, (held,), Instant(9))


def offers(state: ClusterState) -> list[int]:
    return state.table.offer(1).tolist()


def full() -> tuple[ClusterState, Gang]:
    state = state_of("2 nodes: cpu=4", "gang high: 2x cpu=3", "pod a: cpu=3 on n1", "pod b: cpu=3 on n2")
    return state, state.gangs[GangId("ns/high")]


def test_others_may_take_what_is_free_beyond_the_claim_while_it_is_releasing_and_later():
    state, high = full()
    state.move(state.tasks[PodUid("a")], Stimulus.EVICT)
    assert offers(state) == [1000, 1000], "what is leaving has not left"
    state.tasks[PodUid("a")].beneficiary = high.id
    claim(state, high, [0], [1])
    assert offers(state) == [1000, 1000], "the claim is covered by what is leaving for it"
    check(state)
    state.forget_pod(PodUid("a"))
    assert offers(state) == [1000, 1000], "and stays covered when it has left"
    state.unclaim(high)
    assert offers(state) == [4000, 1000]
    check(state)


def test_what_leaves_for_somebody_else_covers_no_claim():
    state, high = full()
    claim(state, high, [0], [1])
    state.move(state.tasks[PodUid("a")], Stimulus.EVICT)
    assert offers(state) == [-2000, 1000]
    assert not state.claims_are_free(high)
    state.forget_pod(PodUid("a"))
    assert offers(state) == [1000, 1000]
    assert state.claims_are_free(high)
    check(state)


def test_a_claim_is_lifted_while_its_owner_is_tried_and_comes_back():
    state, high = full()
    claim(state, high, [0], [1])
    with Trial(state) as trial:
        trial.unclaim(high)
        assert offers(state) == [1000, 1000]
        assert state.table.claims == 0
    assert offers(state) == [-2000, 1000]
    check(state)


def test_a_claim_ends_when_its_owner_is_placed():
    state, high = full()
    state.forget_pod(PodUid("a"))
    claim(state, high, [0], [1])
    tasks = [next(iter(high.pending.values()))]
    with Trial(state) as trial:
        trial.unclaim(high)
        trial.place(high, tasks[0].shape, tasks, np.array([0]), np.array([1]))
        trial.keep()
    assert high.claims == ()
    assert Row(0) in state.changes.freed
    state.count_wanted(high)
    check(state)


def test_a_claim_ends_when_its_node_can_no_longer_keep_it():
    state, high = full()
    state.move(state.tasks[PodUid("a")], Stimulus.EVICT)
    claim(state, high, [0], [1])
    state.observe_pod(pod("stranger", state.tasks[PodUid("b")].fact.shape, node="n1", phase="Running"))
    assert high.claims == ()
    assert high.id in state.changes.gangs
    check(state)


def test_queues_know_what_leaves_and_what_is_claimed_along_their_path():
    state = state_of(
        "2 nodes: cpu=4", "queue a", "queue b: parent=a", "gang g: 1x cpu=1, queue b", "gang h: 1x cpu=2, queue b"
    )
    gang, other = state.gangs[GangId("ns/g")], state.gangs[GangId("ns/h")]
    state.observe_pod(pod("g-0", gang.tasks[PodUid("g-0")].fact.shape, "g", node="n1", phase="Running"))
    state.count_wanted(gang)
    state.move(gang.tasks[PodUid("g-0")], Stimulus.EVICT)
    claim(state, other, [0], [1])
    for name in ("a", "b"):
        queue = state.queues.by_name[name]
        assert (queue.leaving, queue.claimed) == ({0: 1, 1: 1000}, {0: 1, 1: 2000})
    assert state.queues.by_name["a"].own_leaving == {}
    assert state.queues.by_name["b"].own_claimed == {0: 1, 1: 2000}
    check(state)
    assert state.spare(PodUid("g-0")) is None
    assert state.queues.by_name["a"].leaving == {}
    check(state)


def test_a_budget_counts_our_orders_until_its_own_status_does():
    budgets = Budgets()
    covered = pod("a", facts("gang g: 1x cpu=1")[3].shape, labels=(("app", "db"),))
    budget = BudgetSeen(BudgetId("ns/db"), "ns", (LabelTest("app", "In", ("db",)),), 1)
    assert not budgets
    budgets.observe(budget)
    assert [budgets.left(each) for each in budgets.covering(covered)] == [1]
    budgets.charge(covered)
    budgets.charge(covered)
    assert budgets.left(budget) == 0
    budgets.settle(covered.uid)
    assert budgets.left(budget) == 1
    assert budgets.forget(BudgetGone(budget.id).id)
    assert not budgets


def test_a_budget_counts_whom_it_selects_now_of_all_who_are_told_to_go():
    budgets, shape = Budgets(), facts("gang g: 1x cpu=1")[3].shape
    database, web = pod("a", shape, labels=(("app", "db"),)), pod("b", shape, labels=(("app", "web"),))
    gone = pod("c", shape, labels=(("app", "db"),), deleting=True)
    selecting = {
        name: BudgetSeen(BudgetId("ns/x"), "ns", (LabelTest("app", "In", (name,)),), 1) for name in ("db", "web")
    }
    budgets.observe(selecting["db"], [database, web, gone])
    budgets.observe(BudgetSeen(BudgetId("ns/all"), "ns", (), 1), [database, web, gone])
    assert budgets.content() == {"a": ["ns/all", "ns/x"], "b": ["ns/all"]}
    budgets.observe(selecting["web"], [database, web, gone])
    assert budgets.content() == {"a": ["ns/all"], "b": ["ns/all", "ns/x"]}
    assert budgets.forget(BudgetId("ns/all"))
    assert budgets.content() == {"b": ["ns/x"]}


def test_a_budget_without_selector_covers_nobody_and_an_empty_one_everybody():
    budgets = Budgets()
    someone = pod("a", facts("gang g: 1x cpu=1")[3].shape)
    budgets.observe(BudgetSeen(BudgetId("ns/none"), "ns", None, 0))
    assert budgets.covering(someone) == []
    budgets.observe(BudgetSeen(BudgetId("ns/all"), "ns", (), 0))
    assert [each.id for each in budgets.covering(someone)] == ["ns/all"]
