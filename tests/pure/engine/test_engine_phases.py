"""Which phase does a PodGroup have, and what does its report say?"""

import msgspec

from flowbatch.engine.decisions import QueueReport
from flowbatch.engine.events import GangSeen, PodGone
from tests.textcluster import (
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    finish,
    gangs_bound,
    node,
    phase,
    reports,
    seen_again,
    why,
)


def test_pending_gang_is_admitted_before_it_has_pods():
    engine = engine_with("1 nodes: cpu=4")
    engine.observe([GangSeen("ns/a", "u", "default", min_members=2, min_resources=(("cpu", 2000),), phase="Pending")])
    assert reports(cycle(engine))["a"].phase == "Inqueue"
    assert blocker(engine, "a") == "NeedsMembers"


def test_overcommitted_cluster_keeps_gangs_pending():
    engine = engine_with("1 nodes: cpu=10")
    for name in ("a", "b"):
        engine.observe(
            [GangSeen(f"ns/{name}", name, "default", min_members=2, min_resources=(("cpu", 7000),), phase="Pending")]
        )
    cycle(engine)
    assert [phase(engine, "a"), phase(engine, "b")] == ["Inqueue", "Pending"]
    assert "short 4 cpu: it asks for 7 cpu; of the cluster's 10 cpu, 7 cpu is taken" in why(engine, "b")


def test_promises_end_with_the_gang_on_every_way_out():
    from flowbatch.engine.events import GangGone

    engine = engine_with("1 nodes: cpu=10")
    for name in ("a", "b"):
        engine.observe(
            [GangSeen(f"ns/{name}", name, "default", min_members=2, min_resources=(("cpu", 7000),), phase="Pending")]
        )
    cycle(engine)
    engine.observe([GangGone("ns/a")])
    cycle(engine)
    assert phase(engine, "b") == "Inqueue"


def test_gated_members_are_not_promised_room():
    engine = engine_with("1 nodes: cpu=10", "gang a: 1x cpu=9 gated, needs(cpu=9)", "gang b: 1x cpu=9, needs(cpu=9)")
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_closed_queue_admits_nothing_new_but_lets_admitted_gangs_go_on():
    engine = engine_with(
        "1 nodes: cpu=4", "queue q: closed", "gang new: 1x cpu=1, queue q", "gang old: 1x cpu=1, queue q, phase Inqueue"
    )
    assert gangs_bound(cycle(engine)) == {"old": 1}
    assert blocker(engine, "new") == "QueueClosed"
    assert '"q" is Closed' in why(engine, "new")


def test_missing_queue_is_said_and_cured():
    from tests.textcluster import queue

    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1, queue ghost")
    assert 'queue "ghost" does not exist' in reports(cycle(engine))["a"].message
    engine.observe([queue("ghost")])
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_gang_that_terminates_gracefully_stays_running():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=1")
    confirm(engine, cycle(engine))
    engine.observe([seen_again(engine, f"a-{i}", deleting=True) for i in (0, 1)])
    cycle(engine)
    assert phase(engine, "a") == "Running"


def test_gang_whose_members_are_all_lost_is_pending_again():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=1")
    confirm(engine, cycle(engine))
    engine.observe([PodGone("a-0"), PodGone("a-1")])
    plan = cycle(engine)
    assert reports(plan)["a"].phase in ("Pending", "Inqueue")
    assert phase(engine, "a") != "Running"


def test_completed_only_when_as_many_have_finished_as_are_expected():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=1, min 1")
    confirm(engine, cycle(engine))
    finish(engine, ["a-0"])
    cycle(engine)
    assert phase(engine, "a") == "Running"
    finish(engine, ["a-1"], phase="Failed")
    cycle(engine)
    assert phase(engine, "a") == "Completed"


def test_member_that_is_being_replaced_does_not_flap_the_phase():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=1")
    confirm(engine, cycle(engine))
    engine.observe([PodGone("a-0")])
    plan = cycle(engine, now=10_000)
    assert phase(engine, "a") == "Running"
    assert plan.wake_at == 12_000
    cycle(engine, now=12_000)
    assert phase(engine, "a") == "Unknown"


def test_running_gang_that_cannot_be_completed_is_unknown_at_once():
    engine = engine_with("2 nodes: cpu=1", "gang a: 2x cpu=1")
    confirm(engine, cycle(engine))
    lost = engine.state.tasks["a-0"].fact
    home = lost.node
    from tests.textcluster import pod

    engine.observe([node(home, "cpu=1 cordoned"), PodGone("a-0"), pod("a-0b", lost.shape, "a", task="task")])
    assert reports(cycle(engine))["a"].phase == "Unknown"


def test_message_counts_tasks_nodes_and_reasons():
    engine = engine_with("2 nodes: cpu=1", "node t: cpu=4 !gpu=yes:NoSchedule", "gang a: 2x cpu=4, min 2")
    report = reports(cycle(engine))["a"]
    assert report.message.startswith("2/2 tasks in gang unschedulable: ")
    assert "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 Insufficient cpu." in report.message
    assert report.reason == "NotEnoughResources"
    assert [name for _, _, name in report.tasks[0].pods] == ["a-0", "a-1"]


def test_impossible_gang_is_told_so_with_the_largest_node():
    engine = engine_with("2 nodes: cpu=4", "gang a: 1x cpu=5", "gang b: 3x cpu=4")
    cycle(engine)
    assert "can never fit: one pod asks for 5 cpu, the largest node has 4 cpu" in why(engine, "a")
    assert "can never fit: empty nodes would hold 2 of 3 pods" in why(engine, "b")
    assert engine.explain("ns/a").hopeless


def test_gang_above_its_queues_capability_is_told_so():
    engine = engine_with("1 nodes: cpu=9", "queue q: capability(cpu=2)", "gang a: 3x cpu=1, queue q, phase Inqueue")
    cycle(engine)
    assert 'it can never fit the limits of its queue: short 1 cpu in queue "q"' in why(engine, "a")


def test_explanation_names_who_comes_first():
    engine = engine_with("1 nodes: cpu=1", "gang a: 1x cpu=1", "gang b: 1x cpu=1", "gang c: 1x cpu=1")
    cycle(engine)
    assert engine.explain("ns/c").behind == ("ns/b",)
    assert engine.explain("ns/c").cure == "room for 1 more pods"


def test_settled_gang_is_reported_once_and_not_per_pod():
    engine = engine_with("1 nodes: cpu=4", "gang a: 3x cpu=1")
    plan = cycle(engine)
    said = ["a" in reports(plan)]
    for name in bound(plan):
        engine.observe([seen_again(engine, name, node="n1", phase="Running")])
        said.append("a" in reports(cycle(engine)))
    assert said == [True, False, False, True]


def test_idle_cluster_says_and_does_nothing():
    engine = engine_with("2 nodes: cpu=4", "gang a: 2x cpu=1", "gang b: 9x cpu=4")
    confirm(engine, cycle(engine))
    cycle(engine)
    before = engine.counters.as_dict()
    assert cycle(engine, now=99_000).decisions == ()
    after = engine.counters.as_dict()
    assert {"cycles"} == {name for name in after if after[name] != before[name]}


def test_queue_reports_what_it_holds():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=1")
    held = [each for each in cycle(engine).decisions if isinstance(each, QueueReport)]
    assert QueueReport("default", (("cpu", 2000), ("pods", 2))) in held


def test_restarted_engine_repeats_nothing_that_the_wire_says_already():
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1, phase Running")
    engine.observe([seen_again(engine, "a-0", node="n1", phase="Running")])
    assert reports(cycle(engine)) == {}


def test_a_gang_beyond_the_whole_cluster_is_told_so_at_the_gate():
    engine = engine_with("2 nodes: cpu=4")
    engine.observe([GangSeen("ns/whole", "u", "default", min_resources=(("cpu", 100_000),), phase="Pending")])
    cycle(engine)
    assert "it can never fit: it asks for 100 cpu, the whole cluster has 8 cpu" in why(engine, "whole")


def test_a_group_made_anew_under_the_same_name_is_admitted_aloud():
    engine = engine_with("1 nodes: cpu=4", "gang a: ?2x cpu=1, min 2")
    assert reports(cycle(engine))["a"].phase == "Inqueue"
    old = engine.state.gangs["ns/a"].fact
    # Its end and the successor's beginning come as one level: the mailbox keeps the latest of each name.
    engine.observe([msgspec.structs.replace(old, uid="another")])
    assert reports(cycle(engine))["a"].phase == "Inqueue", "the successor's own status says nothing yet"
    assert reports(cycle(engine)) == {}
