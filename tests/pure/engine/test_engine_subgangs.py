"""Do sub-gangs go in whole, each inside its own domain and all inside their gang's, and do both minima hold?

The cases are those of Volcano's end-to-end tests (network_topology_task_test.go), on the same tree of eight nodes.
"""

import pytest

from flowbatch.engine.events import PodGone
from tests.pure.engine.test_engine_topology import TREE, taken
from tests.textcluster import (
    PARTITION,
    TASK,
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    finish,
    gangs_bound,
    nodes_used,
    pod,
    shape,
    why,
)

FULL = {f"n{i}": 6 for i in range(8)}


def racks(plan):
    """Rack -> members there."""
    found = {}
    for name in nodes_used(plan):
        rack = f"s{int(name[1:]) // 2}"
        found[rack] = found.get(rack, 0) + 1
    return found


def teams_are_together(plan, size):
    """Every sub-gang of one task is inside one rack."""
    where = {}
    for name, place in bound(plan).items():
        where.setdefault(int(name.rpartition("-")[2]) // size, []).append(int(place[1:]) // 2)
    return all(len({*places}) == 1 and len(places) == size for places in where.values())


@pytest.mark.parametrize(
    ("case", "busy", "gang", "expected"),
    [
        ("4.1", {"n2": 1, "n3": 1}, "4x t cpu=2, hard 1, split t 2 hard 1", {"s1": 4}),
        ("4.2", FULL, "2x t cpu=4, hard 1, split t 1 hard 1", {}),
        ("4.3", {f"n{i}": 2 if i % 2 else 6 for i in range(8)}, "2x t cpu=4, hard 1, split t 1 hard 1", {}),
        ("5.1", {"n2": 1, "n3": 1}, "4x t cpu=2, hard 2, split t 2 hard 1", {"s1": 4}),
        (
            "5.2",
            {"n0": 3, "n2": 3, "n4": 6, "n5": 6, "n6": 6, "n7": 6},
            "4x t cpu=3, hard 2, split t 2 hard 1",
            {"s0": 2, "s1": 2},
        ),
        ("5.4", {"n0": 6, "n1": 6, "n2": 1, "n3": 1}, "4x t cpu=2, hard 2, split t 2 hard 1", {"s1": 4}),
        ("5.5", FULL, "2x t cpu=4, hard 2, split t 1 hard 1", {}),
        ("5.6", {f"n{i}": 4 if i < 2 else 8 for i in range(8)}, "4x t cpu=4, hard 2, split t 2 hard 1", {}),
        ("6.1", {"n2": 1, "n3": 1}, "4x t cpu=2, hard 2, split t 2 soft", {"s1": 4}),
        (
            "6.2",
            {"n0": 3, "n1": 3, "n2": 3, "n3": 5, "n4": 2, "n6": 2},
            "4x t cpu=4, hard 2, split t 2 soft",
            {"s2": 2, "s3": 2},
        ),
        (
            "6.3",
            {"n0": 6, "n1": 2, "n2": 2, "n3": 2, "n4": 6, "n5": 2, "n6": 2, "n7": 2},
            "4x t cpu=4, hard 2, split t 2 soft",
            {},
        ),
        (
            "7.1",
            {"n0": 4, "n4": 4, "n2": 6, "n3": 6, "n6": 6, "n7": 6},
            "4x t cpu=3, soft, split t 2 hard 1",
            {"s0": 2, "s2": 2},
        ),
        ("7.2", FULL, "3x t cpu=4, soft, split t 1 hard 1", {}),
        (
            "8.1",
            {"n0": 4, "n4": 4, "n2": 6, "n3": 6, "n6": 6, "n7": 6},
            "4x t cpu=3, split t 2 hard 1",
            {"s0": 2, "s2": 2},
        ),
        ("9.1", {"n2": 1, "n3": 1}, "4x t cpu=3, min 4, hard 1, split t 2 min 2 hard 1", {"s1": 4}),
        ("9.1 more", {"n2": 1, "n3": 1}, "8x t cpu=3, min 4, hard 1, split t 2 min 2 hard 1", {"s1": 4}),
        ("9.2", {"n2": 1, "n3": 1}, "8x t cpu=3, min 4, hard 2, split t 2 min 4 hard 1", {"s0": 4, "s1": 4}),
        ("9.3", {}, "12x t cpu=3, min 6, hard 1, split t 2 min 2 hard 1", {}),
        ("9.4", {}, "12x t cpu=3, min 4, hard 1, split t 2 min 4 hard 1", {}),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:1].isdigit() and value[1] == "." else "",
)
def test_the_cases_of_volcano(case, busy, gang, expected):
    engine = engine_with(*TREE, *taken(**busy), f"gang job: {gang}")
    plan = cycle(engine)
    assert racks(plan) == expected, case
    if not expected:
        assert blocker(engine, "job") == "NeedsTopology"
        assert "must be inside one HyperNode" in why(engine, "job")


def partition(name, index, size, cpu):
    """A pod of a partitioned task, made again."""
    labels = ((PARTITION, str(index // size)), (TASK, "t"))
    return pod(name, shape(f"cpu={cpu}"), "job", task="t", index=index, labels=labels)


@pytest.mark.parametrize(
    ("case", "gang", "killed"),
    [
        ("5.3", "4x t cpu=2, hard 2, split t 2 hard 1", [0]),
        ("9.5", "4x t cpu=3, hard 2, split t 2 min 2 hard 1", [0]),
        ("9.6", "4x t cpu=3, min 4, hard 1, split t 2 min 2 hard 1", [0, 1]),
    ],
)
def test_killed_members_return_to_their_domain(case, gang, killed):
    engine = engine_with(*TREE, *taken(n6=1, n7=1), f"gang job: {gang}")
    first = cycle(engine)
    assert racks(first) == {"s3": 4}
    confirm(engine, first)
    cycle(engine)
    cpu = 2 if case == "5.3" else 3
    engine.observe([PodGone(f"job-t-{index}") for index in killed])
    engine.observe([partition(f"job-new-{index}", index, 2, cpu) for index in killed])
    assert racks(cycle(engine)) == {"s3": len(killed)}


def test_a_lost_member_of_a_sub_gang_returns_to_its_sub_gangs_rack_not_only_to_its_gangs_block():
    engine = engine_with(*TREE, *taken(n4=8, n5=8, n6=8, n7=8), "gang job: 8x t cpu=4, hard 2, split t 4 hard 1")
    first = cycle(engine)
    assert racks(first) == {"s0": 4, "s1": 4}
    assert teams_are_together(first, 4)
    confirm(engine, first)
    place = bound(first)["job-t-5"]
    engine.observe([PodGone("job-t-0"), PodGone("job-t-5")])
    engine.observe([partition(f"job-new-{index}", index, 4, 4) for index in (5, 0)])
    assert bound(cycle(engine)) == {"job-new-5": place, "job-new-0": bound(first)["job-t-0"]}


def test_a_sub_gang_without_topology_is_still_whole_or_not_at_all():
    engine = engine_with("1 nodes: cpu=5", "gang job: 6x t cpu=1, min 2, split t 2")
    assert gangs_bound(cycle(engine)) == {"job": 4}, "the fifth core is of no use to half a sub-gang"
    assert len(engine.state.gangs["ns/job"].pending) == 2


def test_sub_gangs_wake_when_there_is_room_for_a_whole_one():
    engine = engine_with(
        "node n1: cpu=4", "pod a: cpu=1 on n1", "pod b: cpu=1 on n1", "gang job: 4x t cpu=1, split t 2"
    )
    assert bound(cycle(engine)) == {}
    finish(engine, ["a", "b"])
    assert gangs_bound(cycle(engine)) == {"job": 4}


def test_both_minima_hold():
    two_of_three = "gang job: 6x t cpu=2, min 2, split t 2 min 2"
    assert bound(cycle(engine_with("1 nodes: cpu=6", two_of_three))) == {}
    assert gangs_bound(cycle(engine_with("1 nodes: cpu=8", two_of_three))) == {"job": 4}
    five = "gang job: 6x t cpu=2, min 5, split t 2 min 1"
    assert bound(cycle(engine_with("1 nodes: cpu=10", five))) == {}
    assert gangs_bound(cycle(engine_with("1 nodes: cpu=12", five))) == {"job": 6}


def test_a_sub_gang_that_misses_members_is_waited_for():
    engine = engine_with("1 nodes: cpu=8", "gang job: 3x t cpu=1, min 2, split t 2 min 2")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "job") == "NeedsMembers"
    engine.observe([partition("job-t-3", 3, 2, 1)])
    assert gangs_bound(cycle(engine)) == {"job": 4}


def test_members_of_no_sub_gang_go_with_the_others():
    engine = engine_with(*TREE, "gang job: 1x boss cpu=1, 4x t cpu=3, hard 2, split t 2 hard 1")
    plan = cycle(engine)
    assert gangs_bound(plan) == {"job": 5}
    assert len({int(name[1:]) // 4 for name in nodes_used(plan)}) == 1


def test_teams_of_one_policy_do_not_stand_in_for_those_of_another():
    engine = engine_with("node n1: cpu=4", "gang job: 2x a cpu=8, 2x b cpu=1, min 2, split a 2 min 1, split b 2 min 1")
    assert bound(cycle(engine)) == {}


def test_a_spare_sub_gang_is_taken_if_the_first_is_too_large():
    engine = engine_with("node n1: cpu=4", "gang job: 4x t cpu=2, min 2, split t 2 min 1")
    engine.observe([partition("job-t-0", 0, 2, 9)])
    assert sorted(bound(cycle(engine))) == ["job-t-2", "job-t-3"]


def test_sub_gangs_that_cannot_fit_any_domain_are_hopeless():
    engine = engine_with(*TREE, "gang job: 6x t cpu=6, hard 3, split t 3 hard 1, phase Inqueue")
    assert bound(cycle(engine)) == {}
    assert "sub-group t/0 must be inside one HyperNode of tier 1 or lower; it can never fit" in why(engine, "job")


def test_equal_gangs_of_sub_gangs_cost_one_attempt():
    engine = engine_with(*TREE, *(f"gang g{i}: 6x t cpu=6, hard 3, split t 3 hard 1, phase Inqueue" for i in range(9)))
    cycle(engine)
    assert engine.counters.attempts == 1


def test_sub_gangs_beyond_the_minimum_come_when_there_is_room():
    engine = engine_with(*TREE, *taken(n1=8, n2=4, n3=4), "gang job: 6x t cpu=4, min 2, hard 2, split t 2 min 1 hard 1")
    plan = cycle(engine)
    assert teams_are_together(plan, 2)
    assert gangs_bound(plan) == {"job": 4}
    assert blocker(engine, "job") == "NeedsTopology"
    finish(engine, ["on-n1"])
    assert gangs_bound(cycle(engine)) == {"job": 2}


def test_a_lost_member_returns_to_its_team_though_another_rack_would_come_first():
    full = taken(n1=8, n3=8, n4=8, n5=8, n6=8, n7=8)
    engine = engine_with(*TREE, *full, "gang job: 4x t cpu=4, hard 2, split t 2 hard 1")
    first = cycle(engine)
    assert racks(first) == {"s0": 2, "s1": 2}
    confirm(engine, first)
    lost = next(name for name, place in bound(first).items() if place == "n2")
    finish(engine, ["on-n1"])
    index = int(lost.rpartition("-")[2])
    engine.observe(
        [PodGone(lost), pod("busy", shape("cpu=4"), node="n1", phase="Running"), partition("new", index, 2, 4)]
    )
    assert bound(cycle(engine)) == {"new": "n2"}


def test_gangs_that_differ_only_in_their_sub_gangs_do_not_speak_for_each_other():
    engine = engine_with(
        *TREE,
        "gang a: 3x t cpu=6, hard 2, split t 3 hard 1, phase Inqueue",
        "gang b: 3x t cpu=6, hard 2, split t 3 hard 2, phase Inqueue",
    )
    assert gangs_bound(cycle(engine)) == {"b": 3}
