"""Do gangs go in whole, or wait whole, and are they repaired when something breaks?"""

from flowbatch.engine.events import BindFailed, NodeGone, PodGone
from tests.textcluster import (
    binds,
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    finish,
    gangs_bound,
    node,
    nodes_used,
    phase,
    pod,
    seen_again,
    shape,
    why,
)


def test_gang_waits_whole_rather_than_starting_in_part():
    engine = engine_with("2 nodes: cpu=4", "gang mpi: 3x cpu=4, min 3")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "mpi") == "NeedsCapacity"
    engine.observe([node("n9", "cpu=4")])
    assert nodes_used(cycle(engine)) == ["n1", "n2", "n9"]


def test_second_gang_starts_when_the_first_ends():
    engine = engine_with("2 nodes: cpu=4", "gang a: 2x cpu=3", "gang b: 2x cpu=3")
    first = cycle(engine)
    assert gangs_bound(first) == {"a": 2}
    confirm(engine, first)
    assert bound(cycle(engine)) == {}
    finish(engine, ["a-0"])
    assert bound(cycle(engine)) == {}, "half of the room is not enough"
    finish(engine, ["a-1"])
    assert gangs_bound(cycle(engine)) == {"b": 2}


def test_elastic_gang_starts_with_its_minimum_and_grows_when_room_comes():
    engine = engine_with("1 nodes: cpu=4", "gang web: 3x cpu=2, min 1")
    assert gangs_bound(cycle(engine)) == {"web": 2}
    assert phase(engine, "web") == "Running"
    engine.observe([node("n9", "cpu=2")])
    assert gangs_bound(cycle(engine)) == {"web": 1}


def test_every_minimum_comes_before_anybodys_surplus():
    engine = engine_with("1 nodes: cpu=4", "gang a: 4x cpu=1, min 1", "gang b: 3x cpu=1, min 3")
    assert gangs_bound(cycle(engine)) == {"a": 1, "b": 3}


def test_minimum_of_each_task_is_met_before_more_of_another():
    engine = engine_with(
        "1 nodes: cpu=4", "gang job: 1x ps cpu=2, 4x worker cpu=1, min 3, min-ps 1, min-worker 2, phase Inqueue"
    )
    assert sorted(bound(cycle(engine))) == ["job-ps-0", "job-worker-0", "job-worker-1"]


def test_gang_waits_while_one_tasks_minimum_is_missing():
    engine = engine_with("1 nodes: cpu=8", "gang job: 4x worker cpu=1, min 3, min-ps 1")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "job") == "NeedsMembers"
    assert 'task "ps"' in why(engine, "job")


def test_task_minima_above_the_gangs_own_are_not_asked():
    engine = engine_with("1 nodes: cpu=8", "gang job: 4x worker cpu=1, min 1, min-ps 2")
    assert gangs_bound(cycle(engine)) == {"job": 4}


def test_parts_that_compete_are_tried_hardest_first():
    # Placed in order, the small pods would fill n1, the only node for the large one.
    engine = engine_with("node n1: cpu=4", "node n2: cpu=2", "gang job: 2x small cpu=1, 1x large cpu=4, min 3")
    assert bound(cycle(engine))["job-large-0"] == "n1"


def test_members_held_back_by_a_dependency_count_and_have_room_reserved():
    engine = engine_with(
        "3 nodes: cpu=4", "gang a: 2x worker cpu=4, ?1x launcher cpu=2 ~worker, min 3", "gang b: 2x cpu=2"
    )
    first = cycle(engine)
    assert gangs_bound(first) == {"a": 2}, "the second gang must not take the launcher's room"
    confirm(engine, first)
    engine.observe([pod("a-launcher-0", shape("cpu=2"), "a", task="launcher")])
    assert bound(cycle(engine)) == {"a-launcher-0": "n3"}


def test_gang_does_not_start_without_room_for_members_held_back():
    engine = engine_with("2 nodes: cpu=4", "gang a: 2x worker cpu=4, ?1x launcher cpu=2 ~worker, min 3")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "a") == "NeedsCapacity"


def test_reserved_room_is_given_up_with_the_gang():
    from flowbatch.engine.events import GangGone

    engine = engine_with("2 nodes: cpu=4", "gang a: 1x worker cpu=4, ?1x launcher cpu=4 ~worker", "gang b: 1x cpu=4")
    assert gangs_bound(cycle(engine)) == {"a": 1}
    engine.observe([GangGone("ns/a")])
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_reserved_room_moves_when_its_node_goes():
    engine = engine_with("2 nodes: cpu=4", "gang a: 1x worker cpu=4, ?1x launcher cpu=4 ~worker")
    first = bound(cycle(engine))
    other = ({"n1", "n2"} - set(first.values())).pop()
    engine.observe([NodeGone(other), node("n3", "cpu=4")])
    cycle(engine)
    engine.observe([pod("a-launcher-0", shape("cpu=4"), "a", task="launcher")])
    assert bound(cycle(engine)) == {"a-launcher-0": "n3"}


def test_failed_binding_gives_the_room_back_and_the_gang_is_completed_first():
    engine = engine_with("node n1: cpu=2", "gang a: 2x cpu=1, min 2", "gang b: 1x cpu=1, priority 9, phase Inqueue")
    engine.observe([node("n2", "cpu=1")])
    first = cycle(engine)
    assert gangs_bound(first) == {"a": 2, "b": 1}
    late = next(bind for bind in binds(first) if bind.gang == "ns/a")
    engine.observe([BindFailed(late.uid, late.node, "conflict"), *[]])
    again = cycle(engine)
    assert {late.name: late.node} == bound(again), "nobody else may take it, and there is no other node"


def test_failed_binding_avoids_the_node_where_there_is_another():
    engine = engine_with("2 nodes: cpu=1", "gang a: 1x cpu=1")
    first = bound(cycle(engine))
    engine.observe([BindFailed("a-0", first["a-0"], "OutOfcpu")])
    assert first["a-0"] != bound(cycle(engine))["a-0"]


def test_permanent_refusal_drops_the_task_until_it_is_seen_again():
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1")
    first = bound(cycle(engine))
    level = engine.state.tasks["a-0"].fact
    engine.observe([BindFailed("a-0", first["a-0"], "NotFound", permanent=True)])
    assert bound(cycle(engine)) == {}
    engine.observe([level])
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_late_conflict_leaves_bound_task_alone():
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1")
    first = cycle(engine)
    confirm(engine, first)
    engine.observe([BindFailed("a-0", "n1", "conflict")])
    assert bound(cycle(engine)) == {}
    assert engine.state.tasks["a-0"].state.name == "RUNNING"


def test_half_bound_gang_after_a_restart_is_completed_before_others_start():
    engine = engine_with("1 nodes: cpu=3", "gang b: 2x cpu=1, min 2, priority 5", "gang a: 3x cpu=1, phase Inqueue")
    engine.observe([seen_again(engine, "a-0", node="n1", phase="Running")])
    assert gangs_bound(cycle(engine)) == {"a": 2}


def test_pod_bound_elsewhere_by_somebody_is_believed():
    engine = engine_with("2 nodes: cpu=1", "gang a: 1x cpu=1")
    first = bound(cycle(engine))
    other = "n2" if first["a-0"] == "n1" else "n1"
    engine.observe([seen_again(engine, "a-0", node=other, phase="Running")])
    cycle(engine)
    assert other == engine.state.tasks["a-0"].node.name


def test_deleting_pods_hold_their_room_until_they_are_gone():
    engine = engine_with("1 nodes: cpu=2", "gang a: 1x cpu=2", "gang b: 1x cpu=2")
    confirm(engine, cycle(engine))
    engine.observe([seen_again(engine, "a-0", deleting=True)])
    assert bound(cycle(engine)) == {}
    engine.observe([PodGone("a-0")])
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_best_effort_pods_go_in_even_if_their_gang_cannot():
    engine = engine_with("1 nodes: cpu=2", "gang a: 2x big cpu=4, 1x free , min 3")
    assert bound(cycle(engine)) == {"a-free-0": "n1"}
    assert blocker(engine, "a") == "NeedsCapacity"


def test_best_effort_pods_count_towards_the_minimum():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x big cpu=2, 1x free , min 3")
    assert gangs_bound(cycle(engine)) == {"a": 3}


def test_gated_pods_neither_go_in_nor_block_others():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=2 gated, priority 9", "gang b: 2x cpu=2")
    first = cycle(engine)
    assert gangs_bound(first) == {"b": 2}
    assert blocker(engine, "a") == "Gated"
    confirm(engine, first)
    finish(engine, ["b-0", "b-1"])
    engine.observe([seen_again(engine, f"a-{i}", gated=False) for i in (0, 1)])
    assert gangs_bound(cycle(engine)) == {"a": 2}


def test_pods_without_podgroup_wait_for_it():
    engine = engine_with("1 nodes: cpu=4")
    engine.observe([pod("x", shape("cpu=1"), "late")])
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "late") == "NeedsGang"


def test_pods_of_others_use_up_their_node():
    engine = engine_with("1 nodes: cpu=4", "pod other: cpu=3 on n1", "gang a: 1x cpu=2")
    assert bound(cycle(engine)) == {}
    engine.observe([PodGone("other")])
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_nothing_is_decided_before_all_lists_are_in():
    from flowbatch.engine.engine import Engine
    from flowbatch.engine.events import Synced
    from tests.textcluster import facts

    engine = Engine(validate=True)
    engine.observe(facts("1 nodes: cpu=4", "gang a: 1x cpu=1"))
    assert cycle(engine).decisions == ()
    engine.observe([Synced()])
    assert gangs_bound(cycle(engine)) == {"a": 1}
