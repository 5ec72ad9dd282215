"""Claims and volumes: where they let a pod be, who gets which, and what is written before the binding."""

import msgspec
import pytest

from flowbatch.engine.events import (
    AttachSeen,
    BindFailed,
    ClaimGone,
    ClaimSeen,
    ClaimsHidden,
    ClassSeen,
    Event,
    LabelTest,
    PodSeen,
    StepFailed,
    VolumeSeen,
)
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, PREEMPTING
from tests.textcluster import binds, blocker, bound, confirm, cycle, engine_with, evicted, facts, finish, more, why

NODES = ("node n1: cpu=4 zone:a", "node n2: cpu=4 zone:b")
LATE = ClassSeen("local", late=True)
MADE = ClassSeen("made", "csi.example", late=True)


def gang(
    name: str, count: int = 1, claims: tuple[str, ...] = ("ns/data",), each: bool = False, more: str = ""
) -> list[Event]:
    """Pods that share claims, or have one `each`."""
    found: list[Event] = []
    for event in facts(f"gang {name}: {count}x cpu=1{more}"):
        if isinstance(event, PodSeen):
            own = (f"ns/{event.name}",) if each else claims
            event = msgspec.structs.replace(event, shape=msgspec.structs.replace(event.shape, claims=own))
        found.append(event)
    return found


def on(*nodes: str) -> tuple[tuple[LabelTest, ...], ...]:
    return ((LabelTest("kubernetes.io/hostname", "In", nodes),),)


def volume(name: str, node: str, size: int = 10, **more: object) -> VolumeSeen:
    return VolumeSeen(name, terms=on(node), storage_class="local", capacity=size, modes=("ReadWriteOnce",), **more)


def claim(name: str, size: int = 5, storage_class: str = "local", **more: object) -> ClaimSeen:
    return ClaimSeen(f"ns/{name}", f"uid-{name}", "", storage_class, size, ("ReadWriteOnce",), **more)


def engine(*events: Event, lines: tuple[str, ...] = NODES, policy: Policy = DEFAULT):
    made = engine_with(*lines, policy=policy)
    made.observe(list(events))
    return made


def test_a_missing_claim_is_named_and_its_coming_is_the_cure() -> None:
    world = engine(LATE, volume("v", "n2"), *gang("g"))
    assert bound(cycle(world)) == {}
    assert blocker(world, "g") == "NeedsVolume"
    assert '2 persistentvolumeclaim "data" not found' in why(world, "g")
    before = world.counters.attempts
    finish(world, [])
    cycle(world)
    assert world.counters.attempts == before
    world.observe([claim("data")])
    assert bound(cycle(world)) == {"g-0": "n2"}


def test_a_bound_claim_keeps_its_pods_where_the_volume_is() -> None:
    there = msgspec.structs.replace(claim("data"), volume="v")
    world = engine(volume("v", "n2", claim="ns/data", phase="Bound"), there, *gang("g", 3))
    plan = cycle(world)
    assert sorted(bound(plan).values()) == ["n2"] * 3
    assert all(not bind.before for bind in binds(plan))


def test_a_zone_label_of_the_volume_counts_where_nodes_have_zones() -> None:
    zoned = VolumeSeen("v", labels=(("topology.kubernetes.io/zone", "x__y"),), claim="ns/data", phase="Bound")
    nodes = ("node n1: cpu=4 topology.kubernetes.io/zone:z", "node n2: cpu=4 topology.kubernetes.io/zone:y")
    world = engine(zoned, msgspec.structs.replace(claim("data"), volume="v"), *gang("g"), lines=nodes)
    assert bound(cycle(world)) == {"g-0": "n2"}


def test_an_unbound_immediate_claim_waits_for_its_volume() -> None:
    world = engine(ClassSeen("now", "csi.example"), claim("data", storage_class="now"), *gang("g"))
    assert bound(cycle(world)) == {}
    assert "pod has unbound immediate PersistentVolumeClaims" in why(world, "g")
    world.observe([VolumeSeen("v", claim="ns/data", phase="Bound")])
    world.observe([msgspec.structs.replace(claim("data", storage_class="now"), volume="v")])
    assert len(bound(cycle(world))) == 1


def test_a_late_claim_takes_the_smallest_volume_that_will_do_and_the_binding_says_so_first() -> None:
    world = engine(
        LATE, volume("huge", "n2", 100), volume("fits", "n2", 6), volume("tiny", "n1", 1), claim("data"), *gang("g")
    )
    (bind,) = binds(cycle(world))
    assert bind.node == "n2"
    give, wait = bind.before
    assert msgspec.json.decode(give.value) == {"claim": "ns/data", "uid": "uid-data", "volume": "fits"}
    assert msgspec.json.decode(wait.value) == {"bound": ["ns/data"], "seconds": 600}


def test_a_class_that_makes_volumes_is_told_the_node() -> None:
    zone_b = msgspec.structs.replace(MADE, topologies=((LabelTest("zone", "In", ("b",)),),))
    world = engine(zone_b, claim("data", storage_class="made"), *gang("g"))
    (bind,) = binds(cycle(world))
    assert bind.node == "n2"
    assert msgspec.json.decode(bind.before[0].value) == {"claim": "ns/data", "uid": "uid-data", "node": "n2"}


def test_a_node_selected_before_is_kept() -> None:
    for node in ("n1", "n2"):
        chosen = claim("data", storage_class="made", selected=node)
        assert bound(cycle(engine(MADE, chosen, *gang("g")))) == {"g-0": node}


def test_two_pods_are_never_promised_one_volume() -> None:
    claims = [claim(f"g-{i}") for i in range(3)]
    two = [volume("v1", "n1"), volume("v2", "n2")]
    world = engine(LATE, *two, *claims, *gang("g", 3, each=True))
    assert bound(cycle(world)) == {}
    assert "volumes leave a place for 0 of 1 pods" in why(world, "g")
    assert not world.state.volumes.promised
    world.observe([volume("v3", "n2")])
    found = binds(cycle(world))
    given = [msgspec.json.decode(bind.before[0].value)["volume"] for bind in found]
    assert sorted(given) == ["v1", "v2", "v3"]


def test_a_pod_with_two_claims_needs_two_volumes_on_one_node() -> None:
    both = gang("g", 1, ("ns/a", "ns/b"))
    world = engine(LATE, volume("v1", "n1"), volume("v2", "n2"), claim("a"), claim("b", 7), *both)
    assert bound(cycle(world)) == {}
    world.observe([volume("v3", "n1", 6)])
    (bind,) = binds(cycle(world))
    said = [msgspec.json.decode(step.value) for step in bind.before[:-1]]
    assert {each["claim"]: each["volume"] for each in said} == {"ns/a": "v3", "ns/b": "v1"}


def test_pods_that_share_a_late_claim_go_where_the_first_one_went() -> None:
    found = bound(cycle(engine(MADE, claim("data", storage_class="made"), *gang("g", 4))))
    assert len(found) == 4
    assert len(set(found.values())) == 1


def test_pods_that_share_a_late_claim_begin_where_all_of_them_fit() -> None:
    world = engine(MADE, *facts("gang filler: 3x cpu=1"))
    assert set(bound(cycle(world)).values()) == {"n1"}
    world.observe([claim("data", storage_class="made"), *gang("g", 2)])
    assert bound(cycle(world, 2_000)) == {"g-0": "n2", "g-1": "n2"}


def test_an_exclusive_claim_is_for_one_pod_at_a_time() -> None:
    alone = msgspec.structs.replace(claim("data"), volume="v", modes=("ReadWriteOncePod",))
    world = engine(VolumeSeen("v", claim="ns/data", phase="Bound"), alone, *gang("g", 2))
    assert bound(cycle(world)) == {}
    world = engine(VolumeSeen("v", claim="ns/data", phase="Bound"), alone, *gang("g"), *gang("h"))
    plan = cycle(world)
    (first,) = bound(plan)
    confirm(world, plan)
    other = "h" if first == "g-0" else "g"
    assert "ReadWriteOncePod" in why(world, other)
    finish(world, [first])
    assert list(bound(cycle(world))) == [f"{other}-0"]


def test_attach_limits_count_each_volume_once() -> None:
    shared = [VolumeSeen(f"v{i}", driver="csi", claim=f"ns/c{i}", phase="Bound") for i in range(3)]
    claims = [msgspec.structs.replace(claim(f"c{i}"), volume=f"v{i}") for i in range(3)]
    world = engine(*shared, *claims, AttachSeen("n1", (("csi", 2),)), lines=NODES[:1])
    world.observe([*gang("a", 2, ("ns/c0",)), *gang("b", 1, ("ns/c0", "ns/c1")), *gang("c", 1, ("ns/c2",))])
    plan = cycle(world)
    assert sorted(bound(plan)) == ["a-0", "a-1", "b-0"]
    assert "1 node(s) exceed max volume count" in why(world, "c")
    confirm(world, plan)
    finish(world, ["b-0"])
    assert list(bound(cycle(world))) == ["c-0"]


def test_a_step_that_failed_gives_the_promise_back() -> None:
    world = engine(LATE, volume("v", "n1"), claim("data"), *gang("g"))
    assert len(binds(cycle(world))) == 1
    assert world.state.volumes.promised == {"v": "ns/data"}
    world.observe([StepFailed("g-0", "bound", "not bound within 600 s")])
    assert world.state.volumes.promised == {}
    assert len(binds(cycle(world))) == 1
    world.observe([BindFailed("g-0", "n1", "conflict")])
    assert world.state.volumes.decided == {}


def test_a_claim_that_goes_away_leaves_running_pods_alone() -> None:
    there = msgspec.structs.replace(claim("data"), volume="v")
    world = engine(VolumeSeen("v", claim="ns/data", phase="Bound"), there, *gang("g"))
    confirm(world, cycle(world))
    world.observe([ClaimGone("ns/data")])
    cycle(world)
    finish(world, ["g-0"])
    cycle(world)
    assert world.state.volumes.users == {}


def test_where_nobody_shows_claims_none_is_missing() -> None:
    world = engine(ClaimsHidden(), *gang("g"))
    assert len(bound(cycle(world))) == 1
    world.observe([*gang("h", claims=("ns/other",)), claim("data")])
    assert bound(cycle(world)) == {}
    assert 'persistentvolumeclaim "other" not found' in why(world, "h")


# -- whoever keeps a volume from those who are more important


def evicting(*events: Event, lines: tuple[str, ...] = NODES):
    """An engine whose low gang has what the events say, and runs."""
    world = engine(*events, lines=lines, policy=PREEMPTING)
    confirm(world, cycle(world))
    return world


def test_others_go_from_the_node_where_its_volume_is() -> None:
    there = msgspec.structs.replace(claim("data"), volume="v")
    world = evicting(volume("v", "n1"), there, *facts("gang low: 4x cpu=1 @zone:a, min 0"))
    world.observe(gang("high", more=", priority 9"))
    plan = cycle(world, 2_000)
    assert len(evicted(plan)) == 1, "there is room on the other node, which is no use"
    finish(world, evicted(plan), "Failed")
    assert bound(cycle(world, 3_000)) == {"high-0": "n1"}


def test_who_has_a_claim_for_himself_goes_wherever_he_is() -> None:
    alone = msgspec.structs.replace(claim("data"), volume="v", modes=("ReadWriteOncePod",))
    world = evicting(VolumeSeen("v", claim="ns/data", phase="Bound"), alone, *gang("low", more=", min 0"))
    more(world, "gang other: 4x cpu=1, min 0")
    world.observe(gang("high", more=", priority 9"))
    plan = cycle(world, 2_000)
    assert evicted(plan) == ["low-0"]
    assert blocker(world, "high") == "NeedsRoom"
    world.observe([claim("another")])
    cycle(world, 2_500)
    assert blocker(world, "high") == "NeedsRoom", "it has not been let down: he is still leaving"
    finish(world, evicted(plan), "Failed")
    assert "high-0" in bound(cycle(world, 3_000))


def test_who_takes_up_the_last_attachment_goes() -> None:
    shared = [VolumeSeen(f"v{i}", driver="csi", claim=f"ns/c{i}", phase="Bound") for i in range(3)]
    claims = [msgspec.structs.replace(claim(f"c{i}"), volume=f"v{i}") for i in range(3)]
    low = [
        *gang("a", 1, ("ns/c0",), more=", min 0"),
        *gang("b", 1, ("ns/c1",), more=", min 0"),
        *facts("gang c: 1x cpu=1"),
    ]
    world = evicting(*shared, *claims, AttachSeen("n1", (("csi", 2),)), *low, lines=NODES[:1])
    world.observe(gang("high", 1, ("ns/c2",), more=", priority 9"))
    plan = cycle(world, 2_000)
    assert len(evicted(plan)) == 1
    assert evicted(plan) != ["plain-0"], "it has no volume"
    finish(world, evicted(plan), "Failed")
    assert "high-0" in bound(cycle(world, 3_000))


@pytest.mark.parametrize("facts_of", [(), (claim("data"),)], ids=["no claim", "no volume"])
def test_nobody_goes_where_that_would_be_no_use(facts_of: tuple[Event, ...]) -> None:
    world = evicting(LATE, *facts_of, *facts("gang low: 8x cpu=1, min 0"))
    world.observe(gang("high", more=", priority 9"))
    assert evicted(cycle(world, 2_000)) == []
    assert blocker(world, "high") in ("NeedsVolume", "NeedsCapacity")
