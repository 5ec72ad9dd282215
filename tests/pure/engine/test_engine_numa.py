"""Cpus of one's own and topology managers: who may go where, who has what, and what is said of those who wait."""

import json

import pytest
from msgspec import structs

from flowbatch.engine.events import GangGone, NodeGone, NumaGone, PodGone
from flowbatch.model.cpusets import written
from flowbatch.model.ids import GangId, NodeName, PodUid
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import (
    binds,
    blocker,
    bound,
    cycle,
    engine_with,
    evicted,
    gang,
    gangs_bound,
    leave,
    node,
    numa,
    pod,
    running,
    seen_again,
    shape,
    why,
)


def configured(actions="enqueue, allocate, backfill", **arguments):
    plugins = [{"name": name} for name in ("priority", "gang", "conformance", "predicates", "binpack")]
    plugins.append({"name": "numa-aware", **({"arguments": arguments} if arguments else {})})
    return read_volcano({"actions": actions, "tiers": [{"plugins": plugins}]})


AWARE = configured()
PREEMPTING = configured("enqueue, allocate, preempt, backfill")


def aware(*lines, policy=AWARE):
    return engine_with(*lines, policy=policy)


def held(engine, *names):
    return [written(engine.state.tasks[PodUid(name)].cpus or 0) for name in names]


def decision(bind):
    (step,) = bind.before
    patch = json.loads(step.value)["metadata"]
    assert patch["uid"] == bind.uid
    return json.loads(patch["annotations"]["volcano.sh/topology-decision"])


ONE = ("node n1: cpu=8", "numa n1: single-numa-node 2x 4")


def test_a_pod_gets_cpus_of_one_numa_node_and_its_annotation_says_which():
    engine = aware(*ONE, "gang g: 2x cpu=3 own 3")
    plan = cycle(engine)
    assert bound(plan) == {"g-0": "n1", "g-1": "n1"}
    assert held(engine, "g-0", "g-1") == ["0-2", "4-6"]
    assert [decision(each) for each in binds(plan)] == [
        {"numa": {"0": {"cpu": "3"}}, "cpus": "0-2"},
        {"numa": {"1": {"cpu": "3"}}, "cpus": "4-6"},
    ]


def test_cpus_over_two_numa_nodes_are_told_for_each():
    engine = aware("node n1: cpu=8", "numa n1: best-effort 2x 4", "gang g: 1x cpu=6 own 6")
    assert [decision(each) for each in binds(cycle(engine))] == [
        {"numa": {"0": {"cpu": "4"}, "1": {"cpu": "2"}}, "cpus": "0-5"}
    ]


def test_what_fits_the_sum_but_no_numa_node_waits_and_says_why():
    engine = aware(*ONE, "gang g: 3x cpu=2.5 own 3")
    assert not binds(cycle(engine))
    assert blocker(engine, "g") == "NeedsCapacity"
    assert "would hold 2 of 3 pods" in why(engine, "g") or "room for 2 of 3 pods" in why(engine, "g")


def test_the_reason_names_policy_numbers_and_nodes():
    engine = aware(
        "2 nodes: cpu=8",
        "node n9: cpu=1",
        "numa n1: single-numa-node 2x 4, taken 0-1,4-5",
        "numa n2: restricted 2x 4, taken 0-1,4-5",
        "gang g: 1x cpu=3 own 3",
    )
    cycle(engine)
    assert "1 node(s) couldn't align 3 exclusive cpus under restricted" in why(engine, "g")
    assert "1 node(s) couldn't align 3 exclusive cpus under single-numa-node" in why(engine, "g")
    assert "1 Insufficient cpu" in why(engine, "g")
    assert "0/3 nodes are available" in why(engine, "g")


def test_the_reason_tells_containers_apart():
    engine = aware("node n1: cpu=8", "numa n1: restricted 2x 4, taken 0-1,4-5", "gang g: 1x cpu=5 own 2+2+1")
    cycle(engine)
    assert "couldn't align 2 + 2 + 1 exclusive cpus under restricted" in why(engine, "g")


@pytest.mark.parametrize(
    ("policy", "count", "fits"),
    [
        ("best-effort", 3, True),
        ("best-effort", 4, True),
        ("best-effort", 5, False),
        ("restricted", 2, True),
        ("restricted", 3, False),
        ("single-numa-node", 2, True),
        ("single-numa-node", 3, False),
    ],
)
def test_each_policy_admits_what_its_kubelet_would(policy, count, fits):
    engine = aware("node n1: cpu=8", f"numa n1: {policy} 2x 4, taken 0-1,4-5", f"gang g: 1x cpu={count} own {count}")
    assert bool(binds(cycle(engine))) == fits


def test_restricted_takes_two_numa_nodes_for_what_no_single_one_could_hold():
    engine = aware("node n1: cpu=8", "numa n1: restricted 2x 4", "gang g: 1x cpu=6 own 6")
    assert bound(cycle(engine)) == {"g-0": "n1"}
    engine = aware(*ONE, "gang g: 1x cpu=6 own 6")
    assert not binds(cycle(engine))
    assert "couldn't align 6 exclusive cpus under single-numa-node" in why(engine, "g")


# -- whose policy is whose


def test_a_pod_that_names_a_policy_goes_only_where_that_one_rules():
    engine = aware(
        "4 nodes: cpu=8",
        "numa n1: single-numa-node 2x 4",
        "numa n2: none 2x 4",
        "numa n3: shared restricted 2x 4",
        "gang g: 1x cpu=2 own 2 like restricted",
    )
    assert not binds(cycle(engine))
    assert blocker(engine, "g") == "NeedsNode"
    for reason in (
        "1 node(s) had topology manager policy single-numa-node, not restricted",
        "1 node(s) had topology manager policy none, not restricted",
        "1 node(s) didn't have the cpu manager policy static",
        "1 node(s) didn't report their NUMA topology",
    ):
        assert reason in why(engine, "g")
    engine.observe([numa("n4", "restricted 2x 4")])
    assert bound(cycle(engine, 2_000)) == {"g-0": "n4"}


def test_a_guaranteed_pod_without_a_policy_is_aligned_wherever_it_goes():
    engine = aware("2 nodes: cpu=8", "numa n1: single-numa-node 2x 4, taken 0-2,4-6", "gang g: 1x cpu=2 own 2")
    assert bound(cycle(engine)) == {"g-0": "n2"}
    assert held(engine, "g-0") == [""]


def test_pods_that_are_not_guaranteed_are_nobodys_business_here():
    engine = aware("node n1: cpu=8", "numa n1: single-numa-node 2x 4, taken 0-7", "gang g: 4x cpu=2")
    assert gangs_bound(cycle(engine)) == {"g": 4}


def test_a_policy_without_whole_cpus_chooses_among_nodes_and_takes_no_cpu():
    engine = aware("2 nodes: cpu=8", "numa n2: restricted 2x 4, taken 0-7", "gang g: 1x cpu=0.5 like restricted")
    plan = cycle(engine)
    assert bound(plan) == {"g-0": "n2"}
    assert binds(plan)[0].before == ()


def test_without_the_plugin_nobody_is_aligned():
    engine = engine_with(*ONE, "gang g: 2x cpu=4 own 3 like restricted")
    plan = cycle(engine)
    assert gangs_bound(plan) == {"g": 2}
    assert all(each.before == () for each in binds(plan))


# -- which node


def test_few_numa_nodes_are_preferred_by_weight():
    lines = (
        "2 nodes: cpu=8",
        "numa n1: best-effort 2x 4, taken 0-1,4-5",
        "numa n2: best-effort 2x 4",
        "gang g: 1x cpu=3 own 3 like best-effort",
    )
    full = ("pod other: cpu=4 on n1",)
    assert bound(cycle(aware(*lines[:3], *full, lines[3], policy=configured(weight=0)))) == {"g-0": "n1"}
    assert bound(cycle(aware(*lines[:3], *full, lines[3], policy=configured(weight=10)))) == {"g-0": "n2"}


def test_pods_that_name_no_policy_are_scored_alike():
    engine = aware(
        "2 nodes: cpu=8",
        "numa n1: best-effort 2x 4, taken 0-1,4-5",
        "numa n2: best-effort 2x 4",
        "pod other: cpu=4 on n1",
        "gang g: 1x cpu=3 own 3",
        policy=configured(weight=10),
    )
    assert bound(cycle(engine)) == {"g-0": "n1"}


def test_many_pods_are_scored_one_after_the_other():
    engine = aware(
        "2 nodes: cpu=8",
        "numa n1: best-effort 2x 4",
        "numa n2: best-effort 2x 4",
        "gang g: 4x cpu=3 own 3 like best-effort",
        policy=configured(weight=10),
    )
    assert sorted(bound(cycle(engine)).values()) == ["n1", "n1", "n2", "n2"]
    assert held(engine, "g-0", "g-1", "g-2", "g-3").count("0-2") == 2


# -- who has what


def test_a_bound_pod_keeps_its_cpus_over_a_restart():
    engine = aware(*ONE, "pod old: cpu=3 own 3 on n1 has cpus 0-2", "gang g: 1x cpu=3 own 3")
    cycle(engine)
    assert held(engine, "old", "g-0") == ["0-2", "4-6"]


def test_the_kubelets_word_on_a_pod_counts_for_more_than_its_annotation():
    engine = aware(
        "node n1: cpu=8",
        "numa n1: single-numa-node 2x 4, pod ns/old 4-6",
        "pod old: cpu=3 own 3 on n1 has cpus 0-2",
        "gang g: 1x cpu=4 own 4",
    )
    cycle(engine)
    assert held(engine, "old", "g-0") == ["4-6", "0-3"]


def test_what_the_kubelet_did_is_learnt_later():
    engine = aware(*ONE, "pod old: cpu=3 own 3 on n1 has cpus 0-2")
    engine.observe([numa("n1", "single-numa-node 2x 4, pod ns/old 4-6")])
    assert held(engine, "old") == ["4-6"]
    engine.observe([numa("n1", "single-numa-node 2x 4")])
    assert held(engine, "old") == ["0-2"]


def test_a_pod_that_says_later_which_cpus_it_has_is_believed():
    engine = aware(*ONE, "pod old: cpu=3 own 3 on n1")
    assert engine.state.numa.content() == {0: (2, 0xFF, 3)}
    engine.observe([seen_again(engine, "old", cpus="0-2")])
    assert engine.state.numa.content() == {0: (2, 0xF8, 0)}


def test_a_pod_is_known_by_its_uid_too():
    engine = aware(
        "node n1: cpu=8", "numa n1: single-numa-node 2x 4, pod old 4-6", "pod old: cpu=3 own 3 on n1 has cpus 0-2"
    )
    assert held(engine, "old") == ["4-6"]


def test_cpus_that_nobody_accounts_for_are_on_every_numa_node_until_the_kubelet_says_where():
    lines = (*ONE, "pod old: cpu=2 own 2 on n1", "gang g: 1x cpu=3 own 3")
    engine = aware(*lines)
    assert not binds(cycle(engine))
    assert "couldn't align 3 exclusive cpus" in why(engine, "g")
    engine.observe([numa("n1", "single-numa-node 2x 4, taken 2-3")])
    assert bound(cycle(engine, 2_000)) == {"g-0": "n1"}
    assert held(engine, "g-0") == ["4-6"]


def test_cpus_come_back_when_a_pod_ends():
    engine = aware(*ONE, "gang a: 2x cpu=3 own 3", "gang b: 1x cpu=2 own 2")
    assert gangs_bound(cycle(engine)) == {"a": 2}
    assert not binds(cycle(engine, 2_000))
    engine.observe([seen_again(engine, "a-0", node="n1", phase="Succeeded")])
    assert gangs_bound(cycle(engine, 3_000)) == {"b": 1}
    assert held(engine, "b-0") == ["0-1"]


def test_cpus_come_back_only_once_the_kubelet_is_done_with_them():
    engine = aware(
        "node n1: cpu=8",
        "numa n1: single-numa-node 2x 4, taken 4-7, pod ns/old 0-2",
        "pod old: cpu=3 own 3 on n1",
        "gang g: 1x cpu=2 own 2",
    )
    assert not binds(cycle(engine))
    engine.observe([PodGone(PodUid("old"))])
    assert not binds(cycle(engine, 2_000))
    engine.observe([numa("n1", "single-numa-node 2x 4, taken 4-7")])
    assert bound(cycle(engine, 3_000)) == {"g-0": "n1"}


def test_a_refused_binding_gives_its_cpus_back():
    engine = aware(*ONE, "gang g: 1x cpu=3 own 3")
    cycle(engine)
    engine.state.refuse(PodUid("g-0"), NodeName("n1"), permanent=False)
    assert engine.state.numa.content() == {0: (2, 0xFF, 0)}


def test_members_to_come_have_their_cpus_kept():
    engine = aware(*ONE, "gang g: 1x cpu=3 own 3, ?1x late cpu=3 own 3 ~task", "gang h: 1x cpu=2 own 2")
    assert gangs_bound(cycle(engine)) == {"g": 1}
    assert engine.state.numa.content() == {0: (2, 0b10001000, 0)}
    assert "couldn't align 2 exclusive cpus" in why(engine, "h")
    engine.observe([pod("g-late-0", shape("cpu=3 own 3"), "g", task="late")])
    assert bound(cycle(engine, 2_000)) == {"g-late-0": "n1"}
    assert held(engine, "g-0", "g-late-0") == ["0-2", "4-6"]


def test_room_kept_for_members_to_come_outlasts_news_that_do_not_concern_it():
    engine = aware(*ONE, "gang g: 1x cpu=3 own 3, ?1x late cpu=3 own 3 ~task")
    cycle(engine)
    (kept,) = engine.state.gangs[GangId("ns/g")].reservations
    engine.observe([seen_again(engine, "g-0", node="n1", phase="Running", cpus="0-2")])
    engine.observe([numa("n1", "single-numa-node 2x 4, pod ns/g-0 0-2")])
    cycle(engine, 2_000)
    assert engine.state.gangs[GangId("ns/g")].reservations == (kept,)
    engine.observe([numa("n1", "single-numa-node 2x 4, pod ns/g-0 0-2, taken 4")])
    assert engine.state.gangs[GangId("ns/g")].reservations == ()


def test_news_of_cpus_wake_those_who_wait_for_another_policy_only_when_it_changes():
    engine = aware(*ONE, "gang g: 1x cpu=3 own 3 like restricted")
    cycle(engine)
    tried = engine.counters.attempts
    engine.observe([numa("n1", "single-numa-node 2x 4, taken 0-1")])
    cycle(engine, 2_000)
    assert engine.counters.attempts == tried
    engine.observe([numa("n1", "restricted 2x 4, taken 0-1")])
    assert bound(cycle(engine, 3_000)) == {"g-0": "n1"}


def test_cpus_kept_for_members_who_never_come_are_free_again():
    engine = aware(*ONE, "gang g: 1x cpu=3 own 3, ?1x late cpu=3 own 3 ~task", "gang h: 1x cpu=4 own 4")
    assert gangs_bound(cycle(engine)) == {"g": 1}
    engine.observe([GangGone(GangId("ns/g"))])
    assert bound(cycle(engine, 2_000)) == {"h-0": "n1"}
    assert held(engine, "h-0") == ["4-7"]


def test_what_is_told_before_its_node_waits_for_it():
    engine = aware("numa n1: single-numa-node 2x 4", "gang g: 1x cpu=3 own 3 like single-numa-node")
    assert not binds(cycle(engine))
    engine.observe([node("n1", "cpu=8")])
    assert bound(cycle(engine, 2_000)) == {"g-0": "n1"}


def test_a_numatopology_that_goes_takes_its_policy_along():
    engine = aware(*ONE, "gang g: 1x cpu=3 own 3 like single-numa-node")
    engine.observe([NumaGone(NodeName("n1"))])
    assert not binds(cycle(engine))
    assert "didn't report their NUMA topology" in why(engine, "g")
    assert not engine.state.numa


def test_a_node_that_comes_back_has_its_cpus_again():
    engine = aware(*ONE)
    engine.observe([NodeGone(NodeName("n1"))])
    assert not engine.state.numa
    engine.observe([node("n1", "cpu=8"), *gang("g", "1x cpu=3 own 3 like single-numa-node")])
    assert bound(cycle(engine)) == {"g-0": "n1"}


def test_sets_that_cannot_be_read_are_no_cpus():
    engine = aware("node n1: cpu=8", "gang g: 1x cpu=3 own 3")
    engine.observe([structs.replace(numa("n1", "single-numa-node 2x 4"), free="all of them", told=(("x", "?"),))])
    assert not binds(cycle(engine))
    engine.observe([structs.replace(numa("n1", "single-numa-node 2x 4"), cores=("no set",))])
    engine.observe(gang("named", "1x cpu=3 own 3 like single-numa-node", 9))
    assert bound(cycle(engine, 2_000)) == {"g-0": "n1"}
    assert "1 node(s) reported a NUMA topology that cannot be understood" in why(engine, "named")


# -- room that others make


def test_whoever_is_sent_away_makes_room_for_a_whole_set():
    engine = running(*ONE, "gang low: 4x cpu=2 own 2, min 1", policy=PREEMPTING)
    assert held(engine, "low-0", "low-1", "low-2", "low-3") == ["0-1", "2-3", "4-5", "6-7"]
    engine.observe(gang("high", "1x cpu=4 own 4, priority 90", 20))
    victims = evicted(cycle(engine, 5_000))
    sets = sorted(held(engine, *victims))
    # By amounts alone any two of them would do.
    assert sets in (["0-1", "2-3"], ["4-5", "6-7"])
    leave(engine, victims)
    assert bound(cycle(engine, 6_000)) == {"high-0": "n1"}


def test_whose_cpus_are_taken_does_not_stay_though_amounts_would_allow_it():
    engine = running(*ONE, "gang low: 4x cpu=1 own 2, min 1", policy=PREEMPTING)
    engine.observe(gang("high", "1x cpu=1 own 4, priority 90", 20))
    victims = evicted(cycle(engine, 5_000))
    assert sorted(held(engine, *victims)) in (["0-1", "2-3"], ["4-5", "6-7"])


@pytest.mark.parametrize("low", ["cpu=2 like restricted", "cpu=2 own 2"])
def test_no_more_go_than_must_where_nobody_is_aligned_or_has_cpus(low):
    """Guaranteed pods without cpus of their own, and those of whom nobody knows theirs while the plugin is off."""
    policy = read_volcano(
        {"actions": "allocate, preempt", "tiers": [{"plugins": [{"name": "priority"}, {"name": "gang"}]}]}
    )
    policy = policy if "own" in low else PREEMPTING
    lines = ("node n1: cpu=8", "numa n1: restricted 2x 4", f"gang low: 4x {low}, min 1")
    engine = running(*lines, policy=policy)
    tasks = engine.state.gangs[GangId("ns/low")].tasks.values()
    assert all(engine.state.pieces.bear(each) for each in tasks)
    engine.observe(gang("high", "1x cpu=2, priority 90", 20))
    assert len(evicted(cycle(engine, 5_000))) == 1


def test_guaranteed_pods_without_cpus_of_their_own_may_be_promised_a_window():
    engine = aware(*ONE, "gang g: 1x cpu=2 like single-numa-node")
    (task,) = engine.state.gangs[GangId("ns/g")].pending.values()
    assert not engine.state.pieces.matter(task.shape)


def test_room_that_aligns_nobody_wakes_nobody():
    engine = running(*ONE, "gang low: 3x cpu=2 own 2", "gang other: 2x cpu=1", policy=AWARE)
    engine.observe(gang("g", "1x cpu=1 own 4", 20))
    cycle(engine, 5_000)
    tried = engine.counters.attempts
    engine.observe([seen_again(engine, "other-0", node="n1", phase="Succeeded")])
    cycle(engine, 6_000)
    assert engine.counters.attempts == tried


def test_nobody_is_sent_away_where_that_would_align_nobody():
    engine = running(
        *ONE,
        "gang kept: 1x cpu=2 own 2 kept, priority 95",
        "gang low: 2x cpu=2 own 2, min 1",
        policy=PREEMPTING,
    )
    assert held(engine, "kept-0", "low-0", "low-1") == ["0-1", "2-3", "4-5"]
    engine.observe(gang("high", "1x cpu=4 own 4, priority 90", 20))
    assert evicted(cycle(engine, 5_000)) == ["low-1"]
    engine = running(
        *ONE,
        "gang kept: 2x cpu=1 own 3 kept, priority 95",
        "gang low: 2x cpu=1 own 1, min 1",
        policy=PREEMPTING,
    )
    engine.observe(gang("high", "1x cpu=4 own 4, priority 90", 20))
    assert not evicted(cycle(engine, 5_000))
    assert blocker(engine, "high") == "NeedsCapacity"


def test_room_that_a_kubelet_still_holds_is_waited_for():
    sets = {"low-0": "0-3", "low-1": "4-7"}
    told = [f"pod ns/{name} {cpus}" for name, cpus in sets.items()]
    engine = aware(
        "node n1: cpu=8",
        f"numa n1: single-numa-node 2x 4, {', '.join(told)}",
        "gang low: 2x cpu=4 own 4, min 1",
        policy=PREEMPTING,
    )
    engine.observe([seen_again(engine, name, node="n1", phase="Running") for name in sets])
    engine.observe(gang("high", "1x cpu=4 own 4, priority 90", 20))
    (victim,) = evicted(cycle(engine, 5_000))
    leave(engine, [victim])
    assert not binds(cycle(engine, 6_000))
    (stays,) = (name for name in sets if name != victim)
    engine.observe([numa("n1", f"single-numa-node 2x 4, pod ns/{stays} {sets[stays]}")])
    assert bound(cycle(engine, 7_000)) == {"high-0": "n1"}
    assert held(engine, "high-0") == [sets[victim]]
