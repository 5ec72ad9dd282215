"""Claims to devices: who is given which, where that lets pods be, what is written, and why others wait."""

import json

import msgspec

from flowbatch.engine.decisions import Plan, Release
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    DeviceClaimGone,
    DeviceClaimSeen,
    DeviceSliceGone,
    DeviceSliceSeen,
    Event,
    LabelTest,
    PodGone,
    ReleaseFailed,
    StepFailed,
)
from flowbatch.model.claimasks import ClaimAsk, Given, PoolDevice
from flowbatch.model.claimfacts import DeviceClassGone
from flowbatch.policy.policy import Policy
from flowbatch.policy.volcano import read_volcano
from tests.claimtext import DRIVER, ask, claim, device_class, owning, sharing, slices
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
    leave,
    phase,
    why,
)

NODES = ("node n1: cpu=8 zone:a", "node n2: cpu=8 zone:b")


def engine(*events: Event, lines: tuple[str, ...] = NODES):
    made = engine_with(*lines)
    made.observe(list(events))
    return made


def given(plan) -> dict[str, list[str]]:
    """By claim, the devices that steps give it."""
    found: dict[str, list[str]] = {}
    for bind in binds(plan):
        for step in bind.before:
            said = json.loads(step.value)
            if said.get("given") is not None:
                found[step.name] = ["/".join(each[2:]) for each in said["given"]]
    return found


def test_pods_go_where_their_devices_are_and_each_is_given_its_own() -> None:
    world = engine(*slices("n2: a b c"), device_class(), *owning("gang g: 3x cpu=1", ask("1 gpu")))
    plan = cycle(world)
    assert bound(plan) == {"g-0": "n2", "g-1": "n2", "g-2": "n2"}
    assert sorted(each for names in given(plan).values() for each in names) == [f"pool-n2/{x}" for x in "abc"]


def test_what_is_written_names_the_claim_the_pod_and_the_only_node() -> None:
    world = engine(*slices("n2: a"), device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    ((step,),) = [bind.before for bind in binds(cycle(world))]
    assert (step.kind, step.name) == ("devices", "ns/g-0-gpu")
    assert json.loads(step.value) == {
        "claim": "ns/g-0-gpu",
        "uid": "uid-g-0-gpu",
        "pod": "g-0",
        "pod_uid": "g-0",
        "given": [["r0", DRIVER, "pool-n2", "a"]],
        "nodes": [{"fields": [["metadata.name", "In", ["n2"]]]}],
    }


def test_a_gang_gets_all_of_its_devices_or_none_and_is_told_how_many_there_are() -> None:
    world = engine(*slices("n1: a", "n2: a b"), device_class(), *owning("gang g: 2x cpu=1", ask("2 gpu")))
    assert bound(cycle(world)) == {}
    assert blocker(world, "g") == "NeedsCapacity"
    told = why(world, "g")
    assert "empty nodes would hold 1 of 2 pods" in told
    assert "1 node(s) didn't have free devices for 2 of class gpu (most: 1 on n1)" in told
    assert not world.state.device_claims.used
    world.observe(slices("n1: a b"))
    assert sorted(bound(cycle(world)).values()) == ["n1", "n2"]


def test_a_device_that_is_given_back_starts_who_waits_for_it_and_nothing_before_does() -> None:
    world = engine(*slices("n1: a"), device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    confirm(world, cycle(world))
    written = claim("g-0-gpu", ask("1 gpu"), "pool-n1/a", "n1", reserved=("g-0",))
    world.observe([written, *owning("gang h: 1x cpu=1", ask("1 gpu"))])
    assert bound(cycle(world)) == {}
    assert "room for 0 of 1 pods" in why(world, "h")
    assert "(most: 0)" in why(world, "h")
    # The pod has ended; its claim still has the device until somebody takes it back.
    finish(world, ["g-0"])
    assert bound(cycle(world)) == {}
    world.observe([msgspec.structs.replace(written, given=None, reserved=())])
    assert bound(cycle(world)) == {"h-0": "n1"}


def test_a_new_engine_reads_from_the_claims_what_is_taken() -> None:
    there = claim("other", ask("1 gpu"), "pool-n1/a", "n1")
    world = engine(there, *slices("n1: a b"), device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    assert given(cycle(world)) == {"ns/g-0-gpu": ["pool-n1/b"]}


def test_a_shared_claim_is_given_once_and_keeps_its_pods_together() -> None:
    shared = claim("data", ask("1 gpu"))
    pools = slices("n1: a b c", "n2: a b c")
    world = engine(*pools, device_class(), shared, *sharing("gang g: 3x cpu=1", "data"))
    plan = cycle(world)
    assert len(set(bound(plan).values())) == 1
    said = [json.loads(step.value)["given"] for bind in binds(plan) for step in bind.before]
    assert len(said) == 3
    assert said[0] == said[1] == said[2]
    assert sum(world.state.device_claims.used.values()) == 1


def test_a_shared_claim_takes_a_node_with_room_for_all_of_its_pods() -> None:
    lines = ("node n1: cpu=2", "node n2: cpu=8", "node n3: cpu=1")
    shared = claim("data", ask("1 gpu"))
    world = engine(*slices("n1: a", "n2: a", "n3: a"), device_class(), shared, lines=lines)
    world.observe(sharing("gang g: 4x cpu=1", "data"))
    assert sorted(bound(cycle(world)).values()) == ["n2"] * 4


def test_a_claim_that_has_devices_keeps_new_pods_where_those_are() -> None:
    shared = claim("data", ask("1 gpu"), "pool-n2/a", "n2", reserved=("somebody",))
    world = engine(*slices("n1: a", "n2: a"), device_class(), shared, *sharing("gang g: 2x cpu=1", "data"))
    plan = cycle(world)
    assert set(bound(plan).values()) == {"n2"}
    # It is only reserved for them.
    assert [json.loads(step.value).get("given") for bind in binds(plan) for step in bind.before] == [None, None]
    cordoned = engine(*slices("n2: a"), shared, *sharing("gang g: 1x cpu=1", "data"), lines=(NODES[0],))
    assert bound(cycle(cordoned)) == {}
    assert blocker(cordoned, "g") == "NeedsDevices"
    assert "1 node(s) do not reach the devices of the pod's resource claims" in why(cordoned, "g")


def test_what_is_missing_is_named_and_its_coming_is_the_cure() -> None:
    world = engine(*slices("n1: a"), *sharing("gang g: 1x cpu=1", "data"))
    assert bound(cycle(world)) == {}
    assert blocker(world, "g") == "NeedsDevices"
    assert '2 resourceclaim "data" not found' in why(world, "g")
    before = world.counters.attempts
    world.observe([claim("data", ask("1 gpu"))])
    assert bound(cycle(world)) == {}
    assert '2 device class "gpu" does not exist' in why(world, "g")
    world.observe([device_class()])
    assert bound(cycle(world)) == {"g-0": "n1"}
    assert world.counters.attempts == before + 2


def test_a_claim_that_cannot_be_given_says_why() -> None:
    wrong = msgspec.structs.replace(ask("1 gpu"), problem="request r0: admin access is not given here")
    world = engine(*slices("n1: a"), device_class(), *owning("gang g: 1x cpu=1", wrong))
    assert bound(cycle(world)) == {}
    assert "2 request r0: admin access is not given here" in why(world, "g")


def test_a_pod_whose_claim_is_not_made_yet_waits_for_that() -> None:
    events = owning("gang g: 1x cpu=1", ask("1 gpu"))
    pod = next(event for event in events if isinstance(event, type(facts("gang g: 1x cpu=1")[-1])))
    missing = (ClaimAsk(missing='resourceclaimtemplate "one" not found'),)
    early = msgspec.structs.replace(
        pod, shape=msgspec.structs.replace(pod.shape, device_claims=missing), device_claims=("",)
    )
    world = engine(*slices("n1: a"), device_class(), *[event for event in events if event is not pod], early)
    assert bound(cycle(world)) == {}
    assert '2 resourceclaimtemplate "one" not found' in why(world, "g")
    world.observe([pod])
    assert bound(cycle(world)) == {"g-0": "n1"}


def test_selectors_and_classes_choose_among_devices() -> None:
    pools = slices("n1: a b model=A; c model=B", "n2: a model=B")
    world = engine(*pools, device_class("big", "model=B"), *owning("gang g: 2x cpu=1", ask("1 big")))
    assert sorted(names[0] for names in given(cycle(world)).values()) == ["pool-n1/c", "pool-n2/a"]


def test_devices_that_must_be_alike_are() -> None:
    pools = slices("n1: a numa=0; b numa=1; c numa=1", "n2: a numa=0; b")
    world = engine(*pools, device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu", "1 gpu", alike="numa")))
    assert given(cycle(world)) == {"ns/g-0-gpu": ["pool-n1/b", "pool-n1/c"]}


def test_requests_that_compete_for_devices_are_matched_not_served_in_turn() -> None:
    pools = slices("n1: a model=A; b")
    claims = owning("gang g: 1x cpu=1", ask("1 gpu", "1 gpu model=A"))
    assert given(cycle(engine(*pools, device_class(), *claims))) == {"ns/g-0-gpu": ["pool-n1/b", "pool-n1/a"]}


def test_the_first_alternative_that_can_be_had_is_given() -> None:
    pools = slices("n1: a b model=A", "n2: c model=B")
    content = ask("1 gpu model=C | 2 gpu model=A")
    plan = cycle(engine(*pools, device_class(), *owning("gang g: 1x cpu=1", content)))
    assert bound(plan) == {"g-0": "n1"}
    assert given(plan) == {"ns/g-0-gpu": ["pool-n1/a", "pool-n1/b"]}


def test_all_devices_are_all_of_them_and_none_is_not_all() -> None:
    there = claim("other", ask("1 gpu"), "pool-n1/a", "n1")
    world = engine(there, *slices("n1: a b", "n2: a b c"), device_class(), *owning("gang g: 1x cpu=1", ask("all gpu")))
    plan = cycle(world)
    assert given(plan) == {"ns/g-0-gpu": ["pool-n2/a", "pool-n2/b", "pool-n2/c"]}
    empty = engine(device_class(), *owning("gang g: 1x cpu=1", ask("all gpu")))
    assert bound(cycle(empty)) == {}


def test_all_waits_until_the_whole_pool_is_known_and_a_count_does_not() -> None:
    (part,) = slices("n1: a b")
    part = msgspec.structs.replace(part, slices=2)
    world = engine(part, device_class(), *owning("gang g: 1x cpu=1", ask("all gpu")))
    assert bound(cycle(world)) == {}
    world.observe(owning("gang h: 1x cpu=1", ask("1 gpu")))
    assert bound(cycle(world)) == {"h-0": "n1"}
    world.observe([DeviceClaimGone("ns/h-0-gpu"), PodGone("h-0")])
    world.observe([msgspec.structs.replace(part, name="more", devices=(PoolDevice("c", passes=("any",)),))])
    assert given(cycle(world)) == {"ns/g-0-gpu": ["pool-n1/c", "pool-n1/a", "pool-n1/b"]}


def test_only_the_newest_generation_of_a_pool_counts_and_a_name_twice_spoils_it() -> None:
    (old,) = slices("n1: a b")
    new = msgspec.structs.replace(old, name="new", generation=1, devices=(PoolDevice("z", passes=("any",)),))
    world = engine(old, new, device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    assert given(cycle(world)) == {"ns/g-0-gpu": ["pool-n1/z"]}
    twice = msgspec.structs.replace(new, name="twice")
    spoiled = engine(new, twice, device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    assert bound(cycle(spoiled)) == {}


def test_devices_of_a_fabric_are_given_once_however_many_nodes_reach_them() -> None:
    world = engine(*slices("*: a b"), device_class(), *owning("gang g: 2x cpu=6", ask("1 gpu")))
    plan = cycle(world)
    assert sorted(bound(plan).values()) == ["n1", "n2"]
    assert sorted(names[0] for names in given(plan).values()) == ["pool-*/a", "pool-*/b"]
    assert "nodes" not in json.loads(binds(plan)[0].before[0].value)
    world.observe(owning("gang h: 1x cpu=1", ask("1 gpu")))
    assert bound(cycle(world)) == {}
    assert blocker(world, "h") in ("NeedsCapacity", "NeedsDevices")
    world.observe([DeviceClaimGone("ns/g-0-gpu"), PodGone("g-0")])
    assert len(bound(cycle(world))) == 1


def test_a_gang_that_needs_more_of_a_fabric_than_there_is_gets_nothing() -> None:
    world = engine(*slices("*: a b"), device_class(), *owning("gang g: 3x cpu=1", ask("1 gpu")))
    assert bound(cycle(world)) == {}
    assert not world.state.device_claims.used
    world.observe(slices("*: a b c"))
    assert len(bound(cycle(world))) == 3


def test_some_nodes_reach_a_pool_by_their_labels() -> None:
    world = engine(*slices("zone:b a"), device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    plan = cycle(world)
    assert bound(plan) == {"g-0": "n2"}
    assert json.loads(binds(plan)[0].before[0].value)["nodes"] == [{"labels": [["zone", "In", ["b"]]]}]


def test_a_taint_keeps_a_device_from_those_who_do_not_bear_it() -> None:
    (pool,) = slices("n1: a")
    tainted = msgspec.structs.replace(pool.devices[0], taints=(("broken", "", "NoSchedule"),))
    pool = msgspec.structs.replace(pool, devices=(tainted,))
    content = ask("1 gpu")
    world = engine(pool, device_class(), *owning("gang g: 1x cpu=1", content))
    assert bound(cycle(world)) == {}
    wish = msgspec.structs.replace(content.requests[0].wishes[0], tolerations=(("broken", "Exists", "", ""),))
    bears = msgspec.structs.replace(content, requests=(msgspec.structs.replace(content.requests[0], wishes=(wish,)),))
    world.observe(owning("gang h: 1x cpu=1", bears))
    assert bound(cycle(world)) == {"h-0": "n1"}


def test_a_step_that_fails_gives_the_devices_back() -> None:
    world = engine(*slices("n1: a", "n2: a"), device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    (first,) = bound(cycle(world)).values()
    world.observe([StepFailed("g-0", "ns/g-0-gpu", "conflict")])
    (second,) = bound(cycle(world)).values()
    assert {first, second} == {"n1", "n2"}
    assert sum(world.state.device_claims.used.values()) == 1


def test_a_pod_that_changes_while_it_is_bound_keeps_what_was_decided() -> None:
    events = owning("gang g: 1x cpu=1", ask("1 gpu"))
    world = engine(*slices("n1: a b"), device_class(), *events)
    cycle(world)
    before = dict(world.state.device_claims.decided)
    world.observe([msgspec.structs.replace(events[-1], labels=(("a", "b"),))])
    cycle(world)
    assert world.state.device_claims.decided == before


def test_devices_that_go_or_are_held_by_nobody_we_know_stay_counted_by_their_claims() -> None:
    there = claim("other", ask("1 gpu"), "pool-n1/a", "n1")
    world = engine(there, *slices("n1: a b"), device_class())
    world.observe([DeviceSliceGone("slice-n1")])
    cycle(world)
    world.observe([*slices("n1: a b"), *owning("gang g: 2x cpu=1", ask("1 gpu"))])
    assert bound(cycle(world)) == {}
    world.observe([DeviceClaimGone("ns/other")])
    assert len(bound(cycle(world))) == 2


def test_a_class_that_goes_takes_nothing_from_those_who_have() -> None:
    world = engine(*slices("n1: a b"), device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    confirm(world, cycle(world))
    world.observe([claim("g-0-gpu", ask("1 gpu"), "pool-n1/a", "n1"), DeviceClassGone("gpu")])
    world.observe(owning("gang h: 1x cpu=1", ask("1 gpu")))
    assert bound(cycle(world)) == {}
    assert phase(world, "g") == "Running"
    assert 'device class "gpu" does not exist' in why(world, "h")


QUEUED = ("queue q: weight=1 capability(deviceclass/gpu=2)",)


def test_a_queue_may_hold_so_many_devices_of_a_class() -> None:
    world = engine(*slices("n1: a b c d"), device_class(), lines=(*NODES, *QUEUED))
    world.observe(owning("gang g: 1x cpu=1, queue q", ask("2 gpu")))
    confirm(world, cycle(world))
    world.observe(owning("gang h: 1x cpu=1, queue q", ask("1 gpu")))
    assert bound(cycle(world)) == {}
    assert blocker(world, "h") == "NeedsQuota"
    assert "deviceclass/gpu" in why(world, "h")
    finish(world, ["g-0"])
    assert bound(cycle(world)) == {"h-0": "n1"}


def test_a_claim_that_several_pods_use_counts_once() -> None:
    world = engine(*slices("n1: a b c d"), device_class(), claim("data", ask("2 gpu")), lines=(*NODES, *QUEUED))
    world.observe(sharing("gang g: 3x cpu=1, queue q", "data"))
    assert len(bound(cycle(world))) == 3
    queue = world.state.queues.by_name["q"]
    axis = world.state.axes.axis("deviceclass/gpu")
    assert queue.allocated[axis] == 2
    world.observe(owning("gang h: 1x cpu=1, queue q", ask("1 gpu")))
    assert bound(cycle(world)) == {}
    assert blocker(world, "h") == "NeedsQuota"


def test_a_claim_that_is_too_large_for_its_queue_can_never_start() -> None:
    world = engine(*slices("n1: a b c d"), device_class(), claim("data", ask("3 gpu")), lines=(*NODES, *QUEUED))
    world.observe(sharing("gang g: 1x cpu=1, queue q", "data"))
    assert bound(cycle(world)) == {}
    assert "it can never fit the limits of its queue" in why(world, "g")


def test_a_claim_is_gone_while_its_pod_waits() -> None:
    events = owning("gang g: 1x cpu=1", ask("1 gpu"))
    shared = claim("data", ask("1 gpu"), deleting=True)
    world = engine(*slices("n1: a"), device_class(), shared, *sharing("gang h: 1x cpu=1", "data"), *events)
    plan = cycle(world)
    assert bound(plan) == {"g-0": "n1"}
    assert '2 resourceclaim "data" is being deleted' in why(world, "h")


def test_slices_are_facts_like_any_other() -> None:
    fact = slices("n1: a")[0]
    assert isinstance(fact, DeviceSliceSeen)
    line = msgspec.json.encode([fact, device_class(), claim("x", ask("1 gpu"))])
    assert msgspec.json.decode(line, type=list[Event])[0] == fact
    assert isinstance(msgspec.json.decode(line, type=list[Event])[2], DeviceClaimSeen)


def evicting(*plugins: str, actions: str) -> Policy:
    named = [{"name": name} for name in ("priority", "gang", "conformance", *plugins)]
    predicates = {"name": "predicates", "arguments": {"predicate.DynamicResourceAllocationEnable": True}}
    return read_volcano({"actions": actions, "tiers": [{"plugins": [*named, predicates]}]})


def run(world: Engine, plan: Plan) -> None:
    """Pods run, and their claims say what they were given."""
    confirm(world, plan)
    for name, decision in list(world.state.device_claims.decided.items()):
        names = [world.state.device_claims.pools.names[number] for _, number in decision.picks]
        given_to = tuple(Given(request, *key) for (request, _), key in zip(decision.picks, names, strict=True))
        fact = world.state.device_claims.claims[name]
        world.observe([msgspec.structs.replace(fact, given=given_to, terms=on_node(decision.node or ""))])


def on_node(name: str) -> tuple[tuple[LabelTest, ...], ...]:
    return ((LabelTest("metadata.name", "In", (name,), field=True),),)


def test_a_queue_gets_back_the_devices_that_it_deserves() -> None:
    policy = evicting("capacity", actions="enqueue, allocate, reclaim, gangreclaim")
    world = engine_with(
        NODES[0], "queue rich: deserved(deviceclass/gpu=1)", "queue poor: deserved(deviceclass/gpu=1)", policy=policy
    )
    world.observe([*slices("n1: a b"), device_class()])
    for index in range(2):
        world.observe(owning(f"gang rich{index}: 1x cpu=1, min 0, queue rich", ask("1 gpu")))
    run(world, cycle(world))
    world.observe(owning("gang poor: 1x cpu=1, queue poor", ask("1 gpu")))
    plan = cycle(world, 2_000)
    (gone,) = evicted(plan)
    assert gone.startswith("rich")
    # The pod has left; its devices are free once its claim is gone.
    leave(world, [gone])
    assert bound(cycle(world, 3_000)) == {}
    world.observe([DeviceClaimGone(f"ns/{gone}-gpu")])
    assert bound(cycle(world, 4_000)) == {"poor-0": "n1"}


def test_a_pod_of_higher_priority_gets_the_device_of_a_lower_one_and_not_another_ones() -> None:
    policy = evicting(actions="enqueue, allocate, preempt")
    world = engine_with(*NODES, policy=policy)
    world.observe([*slices("n1: a model=A; b"), device_class()])
    world.observe(owning("gang low: 1x cpu=1, min 0", ask("1 gpu model=A")))
    run(world, cycle(world))
    world.observe(owning("gang other: 1x cpu=1, min 0", ask("1 gpu")))
    run(world, cycle(world, 1_500))
    world.observe(owning("gang high: 1x cpu=1, priority 9", ask("1 gpu model=A")))
    assert evicted(cycle(world, 2_000)) == ["low-0"]


def test_nobody_is_evicted_for_devices_that_are_nowhere() -> None:
    world = engine_with(*NODES, policy=evicting(actions="enqueue, allocate, preempt"))
    world.observe([*slices("n1: a"), device_class(), *owning("gang low: 1x cpu=1, min 0", ask("1 gpu"))])
    run(world, cycle(world))
    world.observe(owning("gang high: 1x cpu=1, priority 9", ask("2 gpu")))
    assert evicted(cycle(world, 2_000)) == []


def test_devices_on_a_node_that_cannot_take_the_pod_are_taken_back_and_others_given() -> None:
    """Somebody gave them, and died before the binding; or the node went."""
    events = owning("gang g: 1x cpu=1", ask("1 gpu"))
    pod = events[-1]
    asking = msgspec.structs.replace(pod.shape, device_claims=(ClaimAsk(claim="ns/g-0-gpu"),))
    there = claim("g-0-gpu", ask("1 gpu"), "pool-n1/a", "n1", reserved=("g-0",))
    world = engine(*slices("n1: a", "n2: a"), device_class(), there, *events[:-2], lines=("node n2: cpu=8",))
    world.observe([msgspec.structs.replace(pod, shape=asking)])
    plan = cycle(world)
    assert bound(plan) == {}
    (order,) = [each for each in plan.decisions if isinstance(each, Release)]
    assert order == Release("ns/g-0-gpu", "uid-g-0-gpu", (("g-0", "g-0"),))
    # Asked for once; and nobody is placed with them in the meantime.
    world.observe(facts("node n1: cpu=8"))
    assert bound(cycle(world)) == {}
    assert 'devices of resourceclaim "g-0-gpu" are being taken back' in why(world, "g")
    world.observe([msgspec.structs.replace(there, given=None, terms=(), reserved=()), pod])
    assert len(bound(cycle(world))) == 1


def test_devices_that_are_not_taken_back_may_be_used_after_all() -> None:
    events = owning("gang g: 1x cpu=1", ask("1 gpu"))
    asking = msgspec.structs.replace(events[-1].shape, device_claims=(ClaimAsk(claim="ns/g-0-gpu"),))
    there = claim("g-0-gpu", ask("1 gpu"), "pool-n1/a", "n1", reserved=("g-0",))
    world = engine(*slices("n1: a"), device_class(), there, *events[:-2], lines=("node n2: cpu=8",))
    world.observe([msgspec.structs.replace(events[-1], shape=asking)])
    cycle(world)
    world.observe([*facts("node n1: cpu=8"), ReleaseFailed("ns/g-0-gpu", "conflict")])
    assert bound(cycle(world)) == {"g-0": "n1"}


def test_devices_that_others_use_are_not_taken_back() -> None:
    used = claim("data", ask("1 gpu"), "pool-n1/a", "n1", reserved=("somebody",))
    world = engine(used, device_class(), *sharing("gang g: 1x cpu=1", "data"), lines=("node n2: cpu=8",))
    assert not [each for each in cycle(world).decisions if isinstance(each, Release)]


def test_a_class_that_changes_starts_who_waits_for_it() -> None:
    world = engine(*slices("n1: a model=A"), device_class("gpu", "model=B"), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    assert bound(cycle(world)) == {}
    attempts = world.counters.attempts
    cycle(world)
    assert world.counters.attempts == attempts
    world.observe([device_class("gpu", "model=A")])
    assert bound(cycle(world)) == {"g-0": "n1"}


def test_a_selector_that_a_device_passes_from_now_on_starts_who_selects_by_it() -> None:
    world = engine(*slices("n1: a"), device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu model=A")))
    assert bound(cycle(world)) == {}
    world.observe(slices("n1: a model=A"))
    assert bound(cycle(world)) == {"g-0": "n1"}


def test_a_device_of_a_fabric_that_is_free_again_starts_who_waits_on_another_node() -> None:
    world = engine(*slices("*: a"), device_class(), *owning("gang g: 1x cpu=1 @zone:a", ask("1 gpu")))
    assert bound(cycle(world)) == {"g-0": "n1"}
    world.observe(owning("gang h: 1x cpu=1 @zone:b", ask("1 gpu")))
    assert bound(cycle(world)) == {}
    world.observe([PodGone("g-0")])
    assert bound(cycle(world)) == {"h-0": "n2"}


def test_which_nodes_reach_a_pool_is_worked_out_anew_when_that_or_they_change() -> None:
    (pool,) = slices("zone:a a b c")
    world = engine(pool, device_class(), *owning("gang g: 1x cpu=1", ask("1 gpu")))
    assert bound(cycle(world)) == {"g-0": "n1"}
    (moved,) = slices("zone:b a b c")
    world.observe([msgspec.structs.replace(moved, name=pool.name, pool=pool.pool)])
    world.observe(owning("gang h: 1x cpu=1", ask("1 gpu")))
    assert bound(cycle(world)) == {"h-0": "n2"}
    world.observe([*facts("node n1: cpu=8 zone:b", "node n2: cpu=8 zone:c"), *owning("gang i: 1x cpu=1", ask("1 gpu"))])
    assert bound(cycle(world)) == {"i-0": "n1"}


def test_a_claim_that_two_gangs_use_is_counted_for_the_first_of_them_and_then_for_the_other() -> None:
    queues = ("queue p: weight=1", "queue q: weight=1")
    world = engine(*slices("n1: a b"), device_class(), claim("data", ask("2 gpu")), lines=(*NODES, *queues))
    world.observe([*sharing("gang a: 1x cpu=1, queue p", "data"), *sharing("gang b: 1x cpu=1, queue q", "data")])
    assert len(bound(cycle(world))) == 2
    axis = world.state.axes.axis("deviceclass/gpu")

    def held() -> list[int]:
        return [world.state.queues.by_name[name].allocated.get(axis, 0) for name in "pq"]

    assert held() == [2, 0]
    world.observe([PodGone("a-0")])
    cycle(world)
    assert held() == [0, 2]


def test_what_was_decided_for_a_shared_claim_holds_for_those_who_come_before_it_is_written() -> None:
    shared = claim("data", ask("1 gpu"))
    world = engine(*slices("n1: a b", "n2: a b"), device_class(), shared, *sharing("gang g: 1x cpu=1", "data"))
    first = given(cycle(world))
    world.observe(sharing("gang h: 1x cpu=1", "data"))
    assert given(cycle(world)) == first == {"ns/data": ["pool-n1/a"]}


def test_claims_that_others_get_for_their_pods_wake_nobody() -> None:
    world = engine(*slices("n1: a"), device_class(), *sharing("gang g: 1x cpu=1", "data"))
    cycle(world)
    before = world.counters.attempts
    world.observe([claim(f"other-{index}", ask("1 gpu"), own=True) for index in range(5)])
    cycle(world)
    assert world.counters.attempts == before


def test_a_decision_holds_where_it_was_made_though_the_device_goes_before_it_is_written() -> None:
    shared = claim("data", ask("1 gpu"))
    world = engine(*slices("n1: a"), device_class(), shared, *sharing("gang g: 1x cpu=1", "data"))
    assert bound(cycle(world)) == {"g-0": "n1"}
    world.observe([DeviceSliceGone("slice-n1"), *sharing("gang h: 2x cpu=1", "data")])
    assert set(bound(cycle(world)).values()) == {"n1"}


def test_a_pod_that_comes_before_its_claim_is_not_bound_without_devices() -> None:
    events = owning("gang g: 1x cpu=1", ask("1 gpu"))
    world = engine(
        *slices("n1: a"), device_class(), *[each for each in events if not isinstance(each, DeviceClaimSeen)]
    )
    plan = cycle(world)
    assert given(plan) == {"ns/g-0-gpu": ["pool-n1/a"]}
    assert json.loads(binds(plan)[0].before[0].value)["uid"] == ""


def test_a_pod_whose_claim_was_given_devices_meanwhile_is_not_bound_elsewhere() -> None:
    world = engine(*slices("n1: a", "n2: a"), device_class(), *owning("gang g: 1x cpu=1 @zone:a", ask("1 gpu")))
    # The pod itself will be told anew; here it has not been yet.
    world.observe([claim("g-0-gpu", ask("1 gpu"), "pool-n2/a", "n2", reserved=("g-0",), own=True)])
    (step,) = [step for bind in binds(cycle(world)) for step in bind.before]
    assert json.loads(step.value)["elsewhere"] is True
