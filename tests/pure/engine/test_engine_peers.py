"""Pod affinity, anti-affinity and topology spread: where others are decides where one may go."""

import msgspec
import pytest

from flowbatch.engine.events import (
    NamespaceGone,
    NamespaceSeen,
    NodeSeen,
    PeerTerm,
    PodGone,
    PodSeen,
    PodSelector,
    ShapeSpec,
)
from flowbatch.model.ids import GangId, NodeName, PodUid
from flowbatch.policy.presets import PREEMPTING
from tests.textcluster import (
    binds,
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    evicted,
    facts,
    finish,
    gangs_bound,
    label_test,
    leave,
    more,
    node,
    nodes_used,
    running,
    seen_again,
    why,
)

ZONES = (
    "node a1: cpu=4 zone:a",
    "node a2: cpu=4 zone:a",
    "node b1: cpu=4 zone:b",
    "node b2: cpu=4 zone:b",
    "node bare: cpu=4",
)


def placed(*lines: str) -> dict[str, str]:
    return bound(cycle(engine_with(*lines)))


def zones(nodes: dict[str, str]) -> list[str]:
    return sorted(name[0] for name in nodes.values())


# -- required affinity


def test_affinity_goes_where_the_others_are() -> None:
    found = placed(*ZONES, "pod web: cpu=1 #app=web on b1", "gang g: 3x cpu=2 near[zone app=web]")
    assert zones(found) == ["b", "b", "b"]


def test_affinity_counts_only_the_named_namespace() -> None:
    lines = (*ZONES, "pod web: cpu=1 #app=web on b1")
    assert placed(*lines, "gang g: 1x cpu=2 near[zone app=web in=other]") == {}
    assert placed(*lines, "gang g: 1x cpu=2 near[zone app=web in=other in=ns]")
    assert placed(*lines, "gang g: 1x cpu=2 near[zone app=web all-namespaces]")


def test_an_existing_pod_must_pass_all_affinity_terms() -> None:
    lines = (*ZONES, "pod web: cpu=1 #app=web on b1", "pod db: cpu=1 #app=db on b1")
    assert placed(*lines, "gang g: 1x cpu=2 near[zone app=web] near[zone app=db]") == {}
    both = (*ZONES, "pod both: cpu=1 #app=web #tier=x on b1")
    assert placed(*both, "gang g: 1x cpu=2 near[zone app=web] near[host tier=x]") == {"g-0": "b1"}


def test_the_first_of_a_series_that_is_affine_to_itself_may_begin_anywhere_with_the_label() -> None:
    found = placed(*ZONES, "gang g: 4x cpu=2 #app=web near[zone app=web]")
    assert zones(found) in (["a"] * 4, ["b"] * 4)
    assert "bare" not in found.values()


def test_the_first_of_a_series_must_select_itself() -> None:
    engine = engine_with(*ZONES, "gang g: 4x cpu=2 #app=db near[zone app=web]")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "g") == "NeedsPeers"
    assert "5 node(s) didn't match pod affinity rules" in why(engine, "g")


def test_a_gang_that_is_affine_to_itself_needs_one_domain_for_all() -> None:
    engine = engine_with(*ZONES, "gang g: 5x cpu=2 #app=web near[zone app=web]")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "g") == "NeedsPeers"


def test_a_gang_that_is_affine_to_itself_begins_where_all_of_it_fits() -> None:
    found = placed("node tight: cpu=1", "node wide: cpu=4", "gang g: 2x cpu=1 #app=web near[host app=web]")
    assert found == {"g-0": "wide", "g-1": "wide"}


def test_workers_may_be_near_the_driver_of_their_own_gang() -> None:
    for lines in (
        "gang g: 1x driver cpu=1 #role=driver, 3x worker cpu=2 near[zone role=driver]",
        "gang g: 3x worker cpu=2 near[zone role=driver], 1x driver cpu=1 #role=driver",
    ):
        found = placed(*ZONES, lines)
        assert len(found) == 4
        assert len({name[0] for name in found.values()}) == 1


# -- anti-affinity


def test_anti_affinity_to_itself_by_host_puts_one_on_each_node() -> None:
    assert nodes_used(cycle(engine_with("3 nodes: cpu=4", "gang g: 3x cpu=1 #app=x apart[host app=x]"))) == [
        "n1",
        "n2",
        "n3",
    ]


def test_more_than_one_a_node_is_refused_with_numbers() -> None:
    engine = engine_with("3 nodes: cpu=4", "gang g: 4x cpu=1 #app=x apart[host app=x]")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "g") == "NeedsPeers"
    assert "a place for 3 of 4 pods" in why(engine, "g")


def test_anti_affinity_keeps_away_from_others() -> None:
    found = placed("2 nodes: cpu=4", "pod x: cpu=1 #app=x on n1", "gang g: 2x cpu=1 apart[host app=x]")
    assert sorted(found.values()) == ["n2", "n2"]


def test_an_existing_pod_s_anti_affinity_keeps_newcomers_away() -> None:
    lines = ("2 nodes: cpu=4", "pod shy: cpu=1 apart[host app=x] on n1")
    assert sorted(placed(*lines, "gang g: 2x cpu=1 #app=x").values()) == ["n2", "n2"]
    engine = engine_with("1 nodes: cpu=4", "pod shy: cpu=1 apart[host app=x] on n1", "gang g: 1x cpu=1 #app=x")
    cycle(engine)
    assert "1 node(s) didn't satisfy existing pods anti-affinity rules" in why(engine, "g")


def test_anti_affinity_by_zone_puts_one_into_each_zone_and_any_number_where_there_is_none() -> None:
    found = placed(*ZONES, "gang g: 5x cpu=1 #app=x apart[zone app=x]")
    assert sorted(found.values()).count("bare") == 3
    assert zones(found) == ["a", "b", "b", "b", "b"]


def test_two_gangs_that_do_not_bear_each_other_share_no_node() -> None:
    found = bound(
        cycle(engine_with("2 nodes: cpu=4", "gang a: 2x cpu=1 #app=a apart[host app=b]", "gang b: 2x cpu=1 #app=b"))
    )
    assert {node for pod, node in found.items() if pod[0] == "a"}.isdisjoint(
        {node for pod, node in found.items() if pod[0] == "b"}
    )


def test_what_nobody_asks_about_stays_on_the_fast_path() -> None:
    engine = engine_with("9 nodes: cpu=4", "gang a: 2x cpu=1 #app=a apart[host app=b]", "gang g: 6x cpu=1 #app=x")
    before = engine.counters.shapes_evaluated
    assert gangs_bound(cycle(engine)) == {"a": 2, "g": 6}
    assert engine.counters.shapes_evaluated - before <= 3


# -- topology spread


def test_spread_fills_domains_evenly() -> None:
    found = placed(*ZONES, "gang g: 4x cpu=1 #app=x spread[zone app=x]")
    assert zones(found) == ["a", "a", "b", "b"]


def test_spread_counts_those_that_are_there_and_stay() -> None:
    lines = (
        *ZONES,
        "pod x1: cpu=1 #app=x on a1",
        "pod x2: cpu=1 #app=x on a2",
        "gang g: 2x cpu=1 #app=x spread[zone app=x]",
    )
    assert zones(placed(*lines)) == ["b", "b"]
    engine = engine_with(*lines[:-1])
    engine.observe([seen_again(engine, "x1", deleting=True), seen_again(engine, "x2", deleting=True)])
    engine.observe(facts(lines[-1]))
    assert zones(bound(cycle(engine))) == ["a", "b"]


def test_a_node_without_the_label_takes_none() -> None:
    engine = engine_with("1 nodes: cpu=4", "gang g: 1x cpu=1 #app=x spread[zone app=x]")
    cycle(engine)
    assert "1 node(s) didn't match pod topology spread constraints (missing required label)" in why(engine, "g")


def test_min_domains_holds_the_minimum_at_zero_while_domains_are_few() -> None:
    few = (*ZONES[:4], "gang g: 3x cpu=1 #app=x spread[zone app=x min=3]")
    engine = engine_with(*few)
    assert bound(cycle(engine)) == {}
    assert "a place for 2 of 3 pods" in why(engine, "g")
    engine.observe([node("c1", "cpu=4 zone:c")])
    assert zones(bound(cycle(engine))) == ["a", "b", "c"]


def test_nodes_that_the_selector_rules_out_make_no_domain_unless_told_so() -> None:
    lines = ("node a1: cpu=4 zone:a disk:ssd", "node b1: cpu=4 zone:b")
    assert len(placed(*lines, "gang g: 3x cpu=1 @disk:ssd #app=x spread[zone app=x]")) == 3
    assert placed(*lines, "gang g: 3x cpu=1 @disk:ssd #app=x spread[zone app=x any-node]") == {}


def test_tainted_nodes_make_domains_unless_told_otherwise() -> None:
    lines = ("node a1: cpu=4 zone:a", "node b1: cpu=4 zone:b !hot")
    assert placed(*lines, "gang g: 3x cpu=1 #app=x spread[zone app=x]") == {}
    assert len(placed(*lines, "gang g: 3x cpu=1 #app=x spread[zone app=x tainted]")) == 3


def test_pods_that_a_constraint_does_not_count_are_not_spread_by_it() -> None:
    lines = (*ZONES, "pod x: cpu=1 #app=x on a1", "pod y: cpu=1 #app=x on a2")
    assert zones(placed(*lines, "gang g: 4x cpu=1 spread[zone app=x]")) == ["b"] * 4


# -- preferences


def test_preferred_affinity_and_aversion_decide_between_equal_nodes() -> None:
    lines = ("3 nodes: cpu=4", "pod x: cpu=1 #app=x on n2", "pod y: cpu=1 #app=y on n3", "pod z: cpu=1 on n1")
    assert placed(*lines, "gang g: 1x cpu=1 likes[10 host app=y]") == {"g-0": "n3"}
    assert placed(*lines, "gang g: 1x cpu=1 likes[-10 host app=x] likes[-5 host app=y]") == {"g-0": "n1"}


def test_what_existing_pods_prefer_counts_too() -> None:
    lines = ("3 nodes: cpu=4", "pod x: cpu=1 on n1", "pod fan: cpu=1 likes[10 host app=y] on n2", "pod z: cpu=1 on n3")
    assert placed(*lines, "gang g: 1x cpu=1 #app=y") == {"g-0": "n2"}


def test_soft_spread_prefers_emptier_domains_and_forbids_nothing() -> None:
    found = placed(*ZONES, "pod x: cpu=1 #app=x on a1", "gang g: 1x cpu=1 #app=x spread[zone app=x soft]")
    assert zones(found) == ["b"]
    assert len(placed("2 nodes: cpu=4 zone:a", "gang g: 6x cpu=1 #app=x spread[zone app=x soft]")) == 6


# -- waking


def asleep(*lines: str):
    engine = engine_with(*lines)
    cycle(engine)
    before = engine.counters.attempts
    cycle(engine)
    assert engine.counters.attempts == before
    return engine


def test_a_gang_that_waits_for_company_wakes_when_it_comes_and_not_before() -> None:
    engine = asleep(*ZONES, "pod other: cpu=1 #app=db on b2", "gang g: 1x cpu=2 near[zone app=web]")
    tried = engine.counters.attempts
    finish(engine, ["other"])
    engine.observe(facts("pod other2: cpu=1 #app=db on a1"))
    cycle(engine)
    assert engine.counters.attempts == tried
    engine.observe(facts("pod web: cpu=1 #app=web on b1"))
    assert zones(bound(cycle(engine))) == ["b"]


def test_company_that_the_engine_places_itself_wakes_those_who_wait_for_it() -> None:
    engine = asleep(*ZONES, "gang g: 1x cpu=2 near[zone app=web]")
    engine.observe(facts("gang web: 1x cpu=2 #app=web"))
    found = bound(cycle(engine))
    assert found["g-0"][0] == found["web-0"][0]


def test_a_gang_that_waits_for_others_to_go_wakes_when_they_do() -> None:
    engine = asleep("1 nodes: cpu=4", "pod x: cpu=1 #app=x on n1", "gang g: 1x cpu=1 apart[host app=x]")
    engine.observe([PodGone(PodUid("x"))])
    assert bound(cycle(engine)) == {"g-0": "n1"}


def test_a_gang_kept_away_by_a_shy_pod_wakes_when_that_goes() -> None:
    engine = asleep("1 nodes: cpu=4", "pod shy: cpu=1 apart[host app=x] on n1", "gang g: 1x cpu=1 #app=x")
    finish(engine, ["shy"])
    assert bound(cycle(engine)) == {"g-0": "n1"}


def test_a_gang_that_spread_holds_back_wakes_when_the_balance_shifts() -> None:
    engine = asleep(
        "node a1: cpu=4 zone:a",
        "node b1: cpu=1 zone:b",
        "pod x: cpu=1 #app=x on a1",
        "pod full: cpu=1 on b1",
        "gang g: 1x cpu=1 #app=x spread[zone app=x]",
    )
    assert blocker(engine, "g") == "NeedsPeers"
    finish(engine, ["x"])
    assert bound(cycle(engine)) == {"g-0": "a1"}


def test_room_where_others_allow_it_wakes_and_room_elsewhere_does_not() -> None:
    engine = asleep(
        "2 nodes: cpu=4",
        "pod x: cpu=1 #app=x on n1",
        "pod big: cpu=2 on n1",
        "pod full: cpu=4 on n2",
        "gang g: 1x cpu=1 apart[host app=x]",
    )
    tried = engine.counters.attempts
    finish(engine, ["big"])
    cycle(engine)
    assert engine.counters.attempts == tried
    finish(engine, ["full"])
    assert bound(cycle(engine)) == {"g-0": "n2"}


def test_a_node_that_gets_the_label_wakes_those_who_lack_it() -> None:
    engine = asleep("1 nodes: cpu=4", "gang g: 1x cpu=1 #app=x spread[zone app=x]")
    engine.observe([node("n1", "cpu=4 zone:a")])
    assert bound(cycle(engine)) == {"g-0": "n1"}


def test_counts_follow_a_node_that_changes_its_zone() -> None:
    engine = engine_with("node n1: cpu=4 zone:a", "node n2: cpu=4 zone:b", "pod x: cpu=1 #app=x on n1")
    engine.observe([node("n1", "cpu=4 zone:b")])
    engine.observe(facts("gang g: 1x cpu=4 near[zone app=x]"))
    assert bound(cycle(engine)) == {"g-0": "n2"}


def test_equal_gangs_that_are_refused_cost_what_one_costs() -> None:
    gangs = [f"gang g{i}: 1x cpu=1 near[zone app=web]" for i in range(20)]
    engine = engine_with(*ZONES, *gangs)
    cycle(engine)
    assert engine.counters.attempts <= 21 + 20  # each passes the gate, one is tried


# -- labels that come late


def test_a_selector_that_comes_later_finds_pods_that_are_there() -> None:
    engine = engine_with("2 nodes: cpu=4", "gang old: 1x cpu=1 #app=x")
    confirm(engine, cycle(engine))
    engine.observe(facts("gang g: 1x cpu=1 apart[host app=x]"))
    assert bound(cycle(engine)) == {"g-0": "n2"}


def test_pods_that_change_their_labels_change_sides() -> None:
    engine = engine_with("1 nodes: cpu=4", "pod x: cpu=1 #app=x on n1", "gang g: 1x cpu=1 apart[host app=x]")
    assert not binds(cycle(engine))
    engine.observe([seen_again(engine, "x", labels=())])
    assert bound(cycle(engine)) == {"g-0": "n1"}


def test_a_shape_is_forgotten_with_its_groups() -> None:
    engine = engine_with("1 nodes: cpu=4", "pod x: cpu=1 #app=x apart[host app=x] on n1")
    engine.observe([PodGone(PodUid("x"))])
    assert not list(engine.state.peers.groups())
    assert not list(engine.state.peers.kinds())
    assert len(engine.state.shapes) == 0


@pytest.mark.parametrize("name", ["n1", "n2"])
def test_a_node_s_end_takes_its_pods_from_the_counts(name: str) -> None:
    engine = engine_with("2 nodes: cpu=4", "pod x: cpu=1 #app=x on n1")
    engine.observe(facts("gang g: 2x cpu=1 near[host app=x]"))
    fact = engine.state.nodes[NodeName(name)].fact
    assert isinstance(fact, NodeSeen)
    engine.state.forget_node(NodeName(name))
    found = bound(cycle(engine))
    assert set(found.values()) == ({"n1"} if name == "n2" else set())
    assert GangId("ns/g") in engine.state.gangs


# -- members to come


def test_room_for_members_to_come_minds_their_terms_as_far_as_their_labels_are_known() -> None:
    lines = ("3 nodes: cpu=4", "gang g: 1x a cpu=1, ?{} b cpu=1 #app=x apart[host app=x] ~a")
    fine = engine_with(lines[0], lines[1].format("3x"))
    assert len(bound(cycle(fine))) == 1
    (held,) = fine.state.gangs[GangId("ns/g")].reservations
    assert held.counts.tolist() == [1, 1, 1]
    engine = engine_with(lines[0], lines[1].format("4x"))
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "g") == "NeedsPeers"


def test_room_for_members_to_come_is_spread_as_they_will_be() -> None:
    engine = engine_with(*ZONES, "gang g: 1x a cpu=1, ?4x b cpu=1 #app=x spread[zone app=x] ~a")
    cycle(engine)
    (held,) = engine.state.gangs[GangId("ns/g")].reservations
    names = {node.row: name for name, node in engine.state.nodes.items()}
    where = [names[row][0] for row, n in zip(held.rows.tolist(), held.counts.tolist(), strict=True) for _ in range(n)]
    assert sorted(where) == ["a", "a", "b", "b"]


def test_namespaces_that_change_their_labels_change_who_counts() -> None:
    engine = engine_with(*ZONES[:3])
    web = msgspec.structs.replace(facts("pod web: cpu=1 #app=web on b1")[-1], namespace="other")
    near = PeerTerm("zone", PodSelector((label_test("app", "In", "web"),), (), (label_test("team", "In", "blue"),)))
    (seen,) = (each for each in facts("gang g: 1x cpu=1") if isinstance(each, PodSeen))
    engine.observe([web, *facts("gang g: 1x cpu=1"), msgspec.structs.replace(seen, shape=ShapeSpec(near=(near,)))])
    assert not binds(cycle(engine))
    engine.observe([NamespaceSeen("other", (("team", "blue"),))])
    assert bound(cycle(engine)) == {"g-0": "b1"}
    engine.observe([NamespaceGone("other")])
    cycle(engine)
    engine.observe(facts("gang h: 1x cpu=1"))
    engine.observe([msgspec.structs.replace(seen, uid="h-0", name="h-0", gang="ns/h", shape=ShapeSpec(near=(near,)))])
    assert not binds(cycle(engine))


def test_a_pod_that_begins_to_leave_no_longer_counts_for_spreading() -> None:
    engine = engine_with(
        *ZONES,
        "pod x1: cpu=1 #app=x on a1",
        "pod x2: cpu=1 #app=x on a1",
        "gang g: 1x cpu=4 @zone:a #app=x spread[zone app=x any-node]",
    )
    assert not binds(cycle(engine))
    engine.observe([seen_again(engine, "x1", deleting=True)])
    assert not binds(cycle(engine))
    engine.observe([seen_again(engine, "x2", deleting=True)])
    assert bound(cycle(engine)) == {"g-0": "a2"}


# -- preemption


def test_nobody_is_evicted_where_the_beneficiary_may_not_be() -> None:
    lines = ("2 nodes: cpu=2", "pod y: cpu=1 #app=x on n1", "pod z: cpu=2 on n2", "gang low: 1x cpu=1, min 1")
    engine = running(*lines, policy=PREEMPTING)
    assert evicted(more(engine, "gang high: 1x cpu=1 apart[host app=x], priority 10")) == []


def test_victims_are_looked_for_where_others_allow_the_beneficiary() -> None:
    lines = ("2 nodes: cpu=2", "pod y: cpu=1 #app=x on n1", "gang low: 3x cpu=1, min 1")
    engine = running(*lines, policy=PREEMPTING)
    gone = evicted(more(engine, "gang high: 1x cpu=1 apart[host app=x], priority 10"))
    assert len(gone) == 1
    leave(engine, gone)
    assert bound(cycle(engine, 3_000)) == {"high-0": "n2"}


def test_a_victim_goes_for_being_in_the_way_although_there_is_room() -> None:
    """Volcano: preempt with an anti-affinity constraint."""
    engine = running("1 nodes: cpu=4", "gang low: 1x cpu=1 #app=x, min 1", policy=PREEMPTING)
    gone = evicted(more(engine, "gang high: 1x cpu=1 apart[host app=x], priority 10"))
    assert gone == ["low-0"]
    leave(engine, gone)
    assert bound(cycle(engine, 3_000)) == {"high-0": "n1"}


def zoned(*lines: str):
    """A zone of two nodes, and another one that is full of what nobody may evict."""
    nodes = [f"node {name}: cpu=4 zone:{name[0]}" for name in ("a1", "a2", "b1")]
    return running(*nodes, "pod full: cpu=4 on b1", *lines, policy=PREEMPTING)


def test_those_go_from_a_whole_zone_who_keep_it_away_from_there() -> None:
    host = "@kubernetes.io/hostname:"
    engine = zoned(*[f"gang low{node}: 1x cpu=1 #app=x {host}{node}, min 0" for node in ("a1", "a2")])
    gone = evicted(more(engine, "gang high: 1x cpu=1 apart[zone app=x], priority 10"))
    assert gone == ["lowa1-0", "lowa2-0"]
    leave(engine, gone[:1])
    assert bound(cycle(engine, 2_500)) == {}
    leave(engine, gone[1:])
    assert set(bound(cycle(engine, 3_000))) == {"high-0"}


def test_somebody_goes_from_a_full_node_so_that_another_one_of_the_zone_takes_it() -> None:
    engine = zoned("gang low: 1x cpu=1 #app=x @kubernetes.io/hostname:a1, min 0", "pod stays: cpu=3 on a1")
    gone = evicted(more(engine, "gang high: 1x cpu=4 apart[zone app=x], priority 10"))
    assert gone == ["low-0"]
    leave(engine, gone)
    assert bound(cycle(engine, 3_000)) == {"high-0": "a2"}


def test_pods_whose_own_terms_keep_it_away_go_from_the_zone_too() -> None:
    line = "gang low: 1x cpu=1 apart[zone app=y] @kubernetes.io/hostname:a1, min 0"
    engine = zoned(line, "pod stays: cpu=3 on a1")
    gone = evicted(more(engine, "gang high: 1x cpu=2 #app=y, priority 10"))
    assert gone == ["low-0"]
    leave(engine, gone)
    assert bound(cycle(engine, 3_000)) == {"high-0": "a2"}


def test_nobody_goes_from_a_zone_where_one_of_those_in_the_way_stays() -> None:
    engine = zoned("gang low: 1x cpu=1 #app=x, min 0", "pod stays: cpu=1 #app=x on a1")
    assert evicted(more(engine, "gang high: 1x cpu=1 apart[zone app=x], priority 10")) == []


def test_the_zone_is_taken_where_fewer_are_in_the_way() -> None:
    nodes = [f"node {name}: cpu=4 zone:{name[0]}" for name in ("a1", "a2", "b1", "b2")]
    engine = running(*nodes, policy=PREEMPTING)
    lines = [
        f"gang low{i}: 1x cpu=1 #app=x @kubernetes.io/hostname:{where}, min 0"
        for i, where in enumerate(("a1", "a2", "b1"))
    ]
    confirm(engine, more(engine, *lines))
    assert evicted(more(engine, "gang high: 1x cpu=1 apart[zone app=x], priority 10", now=3_000)) == ["low2-0"]
