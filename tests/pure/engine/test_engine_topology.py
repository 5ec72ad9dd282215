"""Do gangs keep as close together as they must, in the tightest domain that holds them, and say why not?"""

from itertools import pairwise

import pytest

from flowbatch.engine.events import HyperNodeGone, NodeGone, PodGone
from tests.textcluster import (
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    facts,
    finish,
    gangs_bound,
    hypernode,
    node,
    nodes_used,
    pod,
    seen_again,
    shape,
    why,
)

#: Volcano's end-to-end tree: s6 (s4 (s0 (n0 n1) s1 (n2 n3)) s5 (s2 (n4 n5) s3 (n6 n7))), 8 cores each.
TREE = (
    *(f"node n{i}: cpu=8" for i in range(8)),
    *(f"hypernode s{i}: tier 1, n{2 * i} n{2 * i + 1}" for i in range(4)),
    "hypernode s4: tier 2, hypernodes s0 s1",
    "hypernode s5: tier 2, hypernodes s2 s3",
    "hypernode s6: tier 3, hypernodes s4 s5",
)


def taken(**cpus):
    """Somebody's pods that take so many cores of these nodes."""
    return [f"pod on-{name}: cpu={cpu} on {name}" for name, cpu in cpus.items()]


def test_case_1_1_a_gang_goes_where_the_domain_is_fullest_and_it_still_fits():
    engine = engine_with(*TREE, *taken(n2=1, n3=1), "gang job: 2x cpu=4, hard 1")
    assert nodes_used(cycle(engine)) in (["n2"], ["n2", "n3"])


def test_case_1_2_a_gang_moves_on_when_a_domain_is_full():
    engine = engine_with(*TREE, *taken(n0=6, n1=6, n2=6, n3=6, n4=1, n5=1), "gang job: 4x cpu=3, hard 1")
    assert nodes_used(cycle(engine)) == ["n4", "n4", "n5", "n5"]


def test_case_1_3_a_gang_waits_when_no_domain_has_room():
    engine = engine_with(*TREE, *taken(**{f"n{i}": 6 for i in range(8)}), "gang job: 3x cpu=2, hard 1")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "job") == "NeedsTopology"
    assert "the fullest-fitting domain s0 of tier 1 has room for 2 of 3 pods" in why(engine, "job")


def test_case_2_1_a_gang_goes_to_the_next_tier_when_no_lower_domain_has_room():
    engine = engine_with(*TREE, *taken(**{f"n{i}": 4 for i in range(6)}), "gang job: 4x cpu=3, hard 2")
    assert nodes_used(cycle(engine)) == ["n6", "n6", "n7", "n7"]
    engine = engine_with(*TREE, *taken(**{f"n{i}": 4 for i in range(6)}), "gang job: 5x cpu=3, hard 2")
    assert {*nodes_used(cycle(engine))} <= {"n4", "n5", "n6", "n7"}


def test_case_2_2_a_gang_waits_when_the_allowed_tier_has_no_room():
    engine = engine_with(*TREE, "gang job: 9x cpu=4, hard 2")
    assert bound(cycle(engine)) == {}
    assert "it can never fit: the largest would hold 8 of 9 pods" in why(engine, "job")


@pytest.mark.parametrize("restarted", [False, True])
def test_case_2_3_a_killed_pod_returns_to_the_same_domain(restarted):
    lines = [*TREE, *taken(n6=2, n7=2), "gang job: 4x cpu=2, hard 1"]
    engine = engine_with(*lines)
    first = cycle(engine)
    assert {*nodes_used(first)} == {"n6", "n7"} or {*nodes_used(first)} <= {"n6", "n7"}
    confirm(engine, first)
    cycle(engine)
    if restarted:
        running = [task.fact for task in engine.state.tasks.values()]
        engine = engine_with(*lines[:-1])
        engine.observe([each for each in facts(lines[-1]) if type(each).__name__ == "GangSeen"] + running)
        cycle(engine)
    engine.observe([PodGone("job-0"), pod("job-9", shape("cpu=2"), "job", task="task", index=0)])
    assert {*nodes_used(cycle(engine))} <= {"n6", "n7"}
    assert len(engine.state.gangs["ns/job"].pending) == 0


def test_a_replacement_waits_rather_than_leave_the_domain():
    engine = engine_with(*TREE, *taken(n6=2, n7=2), "gang job: 6x cpu=2, hard 1")
    confirm(engine, cycle(engine))
    engine.observe([PodGone("job-0"), pod("job-9", shape("cpu=3"), "job", task="task", index=0)])
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "job") == "NeedsTopology"
    assert "domain s3 of tier 1 has room for 0 of 1" in why(engine, "job")
    finish(engine, ["on-n6"])
    assert bound(cycle(engine)) == {"job-9": "n6"}


def test_case_3_1_a_soft_gang_goes_into_one_domain_if_it_can():
    engine = engine_with(*TREE, "gang job: 8x cpu=4, soft")
    used = {*nodes_used(cycle(engine))}
    assert used in ({"n0", "n1", "n2", "n3"}, {"n4", "n5", "n6", "n7"})


def test_a_soft_gang_never_waits_for_closeness():
    engine = engine_with(*TREE, "gang job: 16x cpu=4, soft")
    assert gangs_bound(cycle(engine)) == {"job": 16}


def test_a_soft_gang_without_hypernodes_is_like_any_other():
    engine = engine_with("2 nodes: cpu=4", "gang job: 2x cpu=4, soft", "gang big: 3x cpu=4, soft, phase Inqueue")
    assert gangs_bound(cycle(engine)) == {"job": 2}
    assert blocker(engine, "big") == "NeedsCapacity"


def test_a_hard_gang_without_hypernodes_says_that_there_are_none_and_starts_when_one_comes():
    engine = engine_with("2 nodes: cpu=4", "gang job: 2x cpu=4, hard 1")
    assert bound(cycle(engine)) == {}
    assert "must be inside one HyperNode of tier 1 or lower; there is none" in why(engine, "job")
    engine.observe([hypernode("rack", "tier 1, n1 n2")])
    assert gangs_bound(cycle(engine)) == {"job": 2}


def test_tiers_can_be_named():
    named = [line.replace("tier 1", 'tier 1 "rack"').replace("tier 2", 'tier 2 "block"') for line in TREE]
    engine = engine_with(*named, "gang a: 5x cpu=4, hard block", "gang b: 5x cpu=4, hard rack, phase Inqueue")
    assert gangs_bound(cycle(engine)) == {"a": 5}
    assert 'inside one HyperNode of tier "rack"' in why(engine, "b")
    engine = engine_with(*named, *taken(n0=4, n1=4, n4=8, n6=8, n7=4), "gang c: 2x cpu=4, hard block")
    assert nodes_used(cycle(engine)) == ["n0", "n1"], "a rack that is just large enough, though its block is emptier"


def test_room_outside_every_domain_that_would_do_wakes_nobody():
    engine = engine_with(*TREE[:8], *TREE[8:10], *taken(n0=8, n1=8, n2=8, n3=8, n4=8), "gang job: 4x cpu=4, hard 1")
    cycle(engine)
    attempts = engine.counters.attempts
    finish(engine, ["on-n4"])
    assert bound(cycle(engine)) == {}
    finish(engine, ["on-n0"])
    assert bound(cycle(engine)) == {}
    finish(engine, ["on-n2"])
    assert bound(cycle(engine)) == {}
    assert engine.counters.attempts == attempts, "half a domain is not enough, twice"
    finish(engine, ["on-n1"])
    assert nodes_used(cycle(engine)) == ["n0", "n0", "n1", "n1"]


def test_a_node_that_joins_a_domain_wakes_who_waits_for_it():
    engine = engine_with(
        "node n1: cpu=4 rack:a", "node n2: cpu=4", "hypernode a: tier 1, @rack:a", "gang job: 2x cpu=4, hard 1"
    )
    assert bound(cycle(engine)) == {}
    engine.observe([node("n2", "cpu=4 rack:a")])
    assert nodes_used(cycle(engine)) == ["n1", "n2"]


def test_members_held_back_have_their_room_in_the_same_domain():
    engine = engine_with(
        *TREE, *taken(n2=4, n3=4), "gang job: 2x worker cpu=4, ?2x launcher cpu=4 ~worker, min 4, hard 1"
    )
    first = cycle(engine)
    used = {*nodes_used(first)}
    home = next(pair for pair in ({"n0", "n1"}, {"n4", "n5"}, {"n6", "n7"}) if used <= pair)
    confirm(engine, first)
    engine.observe([pod(f"job-launcher-{i}", shape("cpu=4"), "job", task="launcher", index=i) for i in range(2)])
    assert {*nodes_used(cycle(engine))} <= home


def test_members_held_back_have_their_room_in_the_domain_even_after_the_first_phase_has_ended():
    engine = engine_with(
        *TREE, *taken(n2=4, n3=4), "gang job: 2x worker cpu=4, ?2x launcher cpu=4 ~worker, min 4, hard 1"
    )
    first = cycle(engine)
    home = {*nodes_used(first)}
    confirm(engine, first)
    finish(engine, ["job-worker-0", "job-worker-1"])
    cycle(engine)
    engine.observe([pod(f"job-launcher-{i}", shape("cpu=4"), "job", task="launcher", index=i) for i in range(2)])
    second = {*nodes_used(cycle(engine))}
    assert any(home | second <= pair for pair in ({"n0", "n1"}, {"n4", "n5"}, {"n6", "n7"}))


def test_a_gang_of_several_shapes_stays_together():
    engine = engine_with(*TREE, *taken(n0=7, n2=7), "gang job: 1x ps cpu=6, 3x worker cpu=2, hard 1")
    used = {*nodes_used(cycle(engine))}
    assert used in ({"n4", "n5"}, {"n6", "n7"})


def test_surplus_stays_in_reach_and_nearest_first():
    engine = engine_with(*TREE, *taken(n2=6, n3=6), "gang job: 6x cpu=4, min 4, hard 1", "gang other: 1x cpu=4")
    plan = cycle(engine)
    assert gangs_bound(plan)["job"] == 4
    mine = {n for name, n in bound(plan).items() if name.startswith("job")}
    assert mine in ({"n0", "n1"}, {"n4", "n5"}, {"n6", "n7"})
    assert blocker(engine, "job") == "NeedsTopology"


def test_a_gang_returns_to_its_old_home_if_nothing_of_it_runs():
    engine = engine_with(*TREE, *taken(n0=2), "gang job: 2x cpu=2, hard 1, home s3")
    assert {*nodes_used(cycle(engine))} <= {"n6", "n7"}


def test_a_gang_does_not_wait_for_its_old_home():
    engine = engine_with(*TREE, *taken(n6=8, n7=8), "gang job: 2x cpu=2, hard 1, home s3")
    assert gangs_bound(cycle(engine)) == {"job": 2}


def test_neighbouring_ranks_come_to_neighbouring_nodes():
    engine = engine_with(*TREE, *taken(n1=4, n4=4), "gang job: 14x cpu=4, hard 3")
    where = bound(cycle(engine))
    racks = [int(where[f"job-{rank}"][1:]) // 2 for rank in range(14)]
    changes = sum(one != other for one, other in pairwise(racks))
    assert changes == len({*racks}) - 1, racks
    assert racks == sorted(racks), "in the order of a walk over the tree"
    blocks = [rack // 2 for rack in racks]
    assert sum(one != other for one, other in pairwise(blocks)) == 1


def test_a_wide_gang_uses_as_few_racks_as_it_can():
    engine = engine_with(*TREE, *taken(n0=4, n1=4, n2=4), "gang job: 6x cpu=4, hard 3")
    assert len({int(name[1:]) // 2 for name in nodes_used(cycle(engine))}) == 2


def test_best_effort_members_stay_in_reach_too():
    engine = engine_with(*TREE, "gang job: 2x worker cpu=8, 2x helper, hard 1")
    used = {int(name[1:]) // 2 for name in nodes_used(cycle(engine))}
    assert len(used) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hypernode s7: tier 2, hypernodes s0", "it belongs to several HyperNodes (s4 and s7)"),
        ("hypernode s0: tier 2, n0 n1", "its tier 2 is not below tier 2 of its parent s4"),
        ("hypernode s0: tier 1, ~(a+)+$", "may take for ever"),
    ],
)
def test_a_broken_branch_is_named_and_hurts_only_those_who_need_it(line, words):
    engine = engine_with(*TREE[:8], *TREE[9:], line, *([] if line.startswith("hypernode s0") else [TREE[8]]))
    engine.observe(
        [*facts("gang wide: 7x cpu=4, hard 2", "gang near: 4x cpu=4, hard 1", "gang high: 8x cpu=4, hard 2")]
    )
    plan = cycle(engine)
    assert gangs_bound(plan).get("near") == 4
    assert gangs_bound(plan).get("wide") == 7, "the sound branch holds it"
    assert blocker(engine, "high") == "NeedsTopology"
    assert words in why(engine, "high")


def test_circles_are_reported_and_hurt_nobody_else():
    engine = engine_with(*TREE, "hypernode a: tier 1, hypernodes b", "hypernode b: tier 1, hypernodes a")
    engine.observe(facts("gang job: 4x cpu=4, hard 1", "gang wait: 5x cpu=4, hard 1, phase Inqueue"))
    assert gangs_bound(cycle(engine)) == {"job": 4}
    assert "they contain each other" in why(engine, "wait")


def test_a_hypernode_that_goes_while_its_gang_runs_blocks_only_replacements():
    engine = engine_with(*TREE, "gang job: 2x cpu=4, hard 1")
    first = cycle(engine)
    confirm(engine, first)
    rack = int(nodes_used(first)[0][1:]) // 2
    engine.observe([HyperNodeGone(f"s{rack}"), PodGone("job-0"), pod("job-9", shape("cpu=4"), "job", index=0)])
    assert bound(cycle(engine)) == {}
    assert "none holds the members that run" in why(engine, "job")
    engine.observe([hypernode(f"s{rack}", f"tier 1, n{2 * rack} n{2 * rack + 1}")])
    assert len(bound(cycle(engine))) == 1


def test_what_runs_on_a_node_that_is_gone_does_not_hold_its_gang_back():
    engine = engine_with(*TREE, "gang job: 4x cpu=4, hard 1")
    first = cycle(engine)
    confirm(engine, first)
    lost = nodes_used(first)[0]
    engine.observe([NodeGone(lost), *[PodGone(name) for name, place in bound(first).items() if place == lost]])
    engine.observe([pod(f"job-{9 + i}", shape("cpu=1"), "job", task="task", index=i) for i in range(2)])
    assert bound(cycle(engine)) == {}, "its other node is full"
    finish(engine, [name for name, place in bound(first).items() if place != lost][:1])
    assert len(bound(cycle(engine))) == 2


def test_equal_gangs_that_do_not_fit_cost_one_attempt():
    engine = engine_with(*TREE, *(f"gang g{i}: 5x cpu=4, hard 1, phase Inqueue" for i in range(20)))
    cycle(engine)
    assert engine.counters.attempts == 1
    assert blocker(engine, "g19") == "NeedsTopology"


def test_areas_for_an_eviction_come_tightest_first_and_where_least_is_missing():
    engine = engine_with(*TREE, *taken(n0=8, n1=8, n2=8, n3=4, n4=8), "gang job: 7x cpu=4, hard 2, phase Inqueue")
    cycle(engine)
    index = engine.state.topology.index
    areas = engine.domains.domains(engine.state.gangs["ns/job"])
    assert [index.domains[area.place].name for area in areas] == ["s3", "s2", "s1", "s0", "s5", "s4"]
    assert areas[0].mask.sum() == 2


def test_looking_for_a_domain_takes_two_searches_however_many_there_are():
    engine = engine_with(*TREE, "gang job: 4x cpu=4, hard 1")
    cycle(engine)
    assert engine.counters.shapes_evaluated == 2


def running(engine, places):
    """Members that run already, by a scheduler before us."""
    engine.observe([seen_again(engine, name, node=place, phase="Running") for name, place in places.items()])


def test_a_replacement_goes_where_most_of_its_gang_is():
    engine = engine_with(*TREE, *taken(n0=4, n1=8), "gang job: 5x cpu=2, hard 2, phase Running")
    running(engine, {"job-0": "n0", "job-1": "n2", "job-2": "n2", "job-3": "n3"})
    assert bound(cycle(engine))["job-4"] in ("n2", "n3"), "s0 would be filled to the brim, but only one member is there"


def test_a_gang_larger_than_a_block_fills_the_roomiest_and_then_as_little_as_can_be():
    engine = engine_with(*TREE, *taken(n0=8, n1=4, n2=4), "gang job: 10x cpu=4, hard 3")
    assert {int(name[1:]) // 2 for name in nodes_used(cycle(engine))} == {1, 2, 3}


def test_gangs_that_differ_only_in_closeness_do_not_speak_for_each_other():
    engine = engine_with(*TREE, "gang a: 5x cpu=4, hard 1, phase Inqueue", "gang b: 5x cpu=4, hard 2, phase Inqueue")
    assert gangs_bound(cycle(engine)) == {"b": 5}
