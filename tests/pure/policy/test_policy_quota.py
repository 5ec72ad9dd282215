"""Volcano's resourcequota plugin: is a gang let in only where its namespace's quotas have room for all of its pods?"""

import yaml

from flowbatch.engine.events import GangGone, QuotaGone
from flowbatch.model.ids import GangId
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import blocker, confirm, cycle, engine_with, gang, phase, quota, why

POLICY = read_volcano(
    yaml.safe_load(
        """
        tiers:
        - plugins: [{name: gang}, {name: resourcequota}, {name: predicates}, {name: binpack}]
        """
    )
)


def engine_of(*lines):
    return engine_with("9 nodes: cpu=4", *lines, policy=POLICY)


def test_a_gang_waits_whole_while_a_quota_has_no_room_and_says_which():
    engine = engine_of("quota team: hard(cpu=4) used(cpu=2)", "gang g: ?3x cpu=1, min 3, needs(cpu=3)")
    cycle(engine)
    assert phase(engine, "g") == "Pending"
    assert blocker(engine, "g") == "NeedsNamespaceQuota"
    assert 'short 1 cpu in ResourceQuota "team" of namespace "ns": it asks for 3 cpu' in why(engine, "g")
    engine.observe([quota("team", "hard(cpu=5) used(cpu=2)")])
    cycle(engine)
    assert phase(engine, "g") == "Inqueue"


def test_a_quota_may_use_any_of_kubernetes_names():
    for hard in ("requests.cpu=2", "pods=2", "count/pods=2"):
        engine = engine_of(f"quota q: hard({hard})", "gang g: ?3x cpu=1, min 3, needs(cpu=3)")
        cycle(engine)
        assert blocker(engine, "g") == "NeedsNamespaceQuota", hard
        assert "it can never fit" in why(engine, "g")


def test_the_removal_of_the_quota_lets_the_gang_in():
    engine = engine_of("quota q: hard(cpu=1)", "gang g: ?2x cpu=1, min 2, needs(cpu=2)")
    cycle(engine)
    engine.observe([QuotaGone("ns", "q")])
    cycle(engine)
    assert phase(engine, "g") == "Inqueue"


def test_two_gangs_are_never_let_in_on_the_same_remainder():
    engine = engine_of(
        "quota q: hard(cpu=4)",
        "gang a: ?3x cpu=1, min 3, needs(cpu=3)",
        "gang b: ?3x cpu=1, min 3, needs(cpu=3)",
    )
    cycle(engine)
    assert (phase(engine, "a"), phase(engine, "b")) == ("Inqueue", "Pending")
    engine.observe([GangGone(GangId("ns/a"))])
    cycle(engine)
    assert phase(engine, "b") == "Inqueue"


def test_pods_that_exist_are_counted_by_the_quota_alone():
    engine = engine_of("quota q: hard(cpu=4)", "gang a: ?3x cpu=1, min 3, needs(cpu=3)")
    cycle(engine)
    engine.observe(gang("a", "3x cpu=1, min 3, needs(cpu=3), phase Inqueue", 1))
    engine.observe([quota("q", "hard(cpu=4) used(cpu=3)")])
    confirm(engine, cycle(engine))
    engine.observe(gang("b", "?1x cpu=1, min 1, needs(cpu=1)", 2))
    cycle(engine)
    assert phase(engine, "b") == "Inqueue"


def test_a_gang_without_stated_resources_always_passes():
    engine = engine_of("quota q: hard(cpu=0)", "gang g: ?1x cpu=1, min 1")
    cycle(engine)
    assert phase(engine, "g") == "Inqueue"


def test_a_quota_that_comes_later_knows_what_was_promised_before():
    engine = engine_of("gang a: ?3x cpu=1, min 3, needs(cpu=3)")
    cycle(engine)
    engine.observe([quota("q", "hard(cpu=4)"), *gang("b", "?3x cpu=1, min 3, needs(cpu=3)", 2)])
    cycle(engine)
    assert blocker(engine, "b") == "NeedsNamespaceQuota"
