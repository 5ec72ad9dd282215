"""The predicates and nodeorder plugins: each switch takes its check away, each weight ranks as Kubernetes does."""

import msgspec
import pytest

from flowbatch.engine.events import AttachSeen, ClaimSeen, PodSeen, VolumeSeen
from flowbatch.model.claimasks import ClaimAsk
from flowbatch.policy.volcano import read_volcano
from flowbatch.policy.volumes import VolumeSteps
from tests.textcluster import bound, cycle, engine_with, facts, label_test, node, shape, why

SWITCHES = {
    "NodeAffinity": (("node n1: cpu=4", "gang g: 1x cpu=1 @zone:a"), "node affinity/selector"),
    "TaintToleration": (("node n1: cpu=4 !hot", "gang g: 1x cpu=1"), "untolerated taint"),
    "PodAffinity": (("node n1: cpu=4", "gang g: 1x cpu=1 near[host app=x]"), "pod affinity rules"),
    "PodTopologySpread": (("node n1: cpu=4", "gang g: 1x cpu=1 #app=x spread[zone app=x]"), "topology spread"),
}


def policy_of(plugin: str, **arguments: object):
    plugins = [{"name": plugin, "arguments": arguments}]
    if plugin != "predicates":
        plugins.append({"name": "predicates"})
    return read_volcano({"tiers": [{"plugins": plugins}]})


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_takes_its_check_away(name: str) -> None:
    lines, reason = SWITCHES[name]
    on = engine_with(*lines, policy=policy_of("predicates"))
    assert bound(cycle(on)) == {}
    assert reason in why(on, "g")
    off = engine_with(*lines, policy=policy_of("predicates", **{f"predicate.{name}Enable": False}))
    assert bound(cycle(off)) == {"g-0": "n1"}


def test_a_cordoned_node_is_closed_whatever_the_switches_say() -> None:
    switches = {f"predicate.{name}Enable": "false" for name in (*SWITCHES, "NodePorts", "Cache")}
    engine = engine_with("node n1: cpu=4 cordoned", "gang g: 1x cpu=1", policy=policy_of("predicates", **switches))
    assert bound(cycle(engine)) == {}


def test_host_ports_and_caching_have_switches_without_effect() -> None:
    switches = {"predicate.NodePortsEnable": False, "predicate.CacheEnable": False}
    lines = ("node n1: cpu=4", "pod x: cpu=1 %80 on n1", "gang g: 1x cpu=1 %80")
    assert bound(cycle(engine_with(*lines, policy=policy_of("predicates", **switches)))) == {}


def test_proportional_keeps_cpu_for_idle_gpus() -> None:
    arguments = {
        "predicate.ProportionalEnable": True,
        "predicate.resources": "nvidia.com/gpu",
        "predicate.resources.nvidia.com/gpu.cpu": 4,
        "predicate.resources.nvidia.com/gpu.memory": 0,
    }
    lines = ("node n1: cpu=10 nvidia.com/gpu=2", "gang g: 3x cpu=1, min 1")
    assert len(bound(cycle(engine_with(*lines, policy=policy_of("predicates", **arguments))))) == 2
    assert len(bound(cycle(engine_with(*lines, policy=policy_of("predicates"))))) == 3


def only(score: str, weight: float = 1):
    names = (
        "nodeaffinity",
        "podaffinity",
        "leastrequested",
        "mostrequested",
        "balancedresource",
        "tainttoleration",
        "imagelocality",
        "podtopologyspread",
    )
    return policy_of("nodeorder", **{f"{name}.weight": weight if name == score else 0 for name in names})


RANKED = {
    "podaffinity": (
        ("3 nodes: cpu=4", "pod x: cpu=1 #app=x on n2"),
        "gang g: 1x cpu=1 likes[10 host app=x]",
        "n2",
    ),
    "leastrequested": (("2 nodes: cpu=4 memory=4Gi", "pod x: cpu=1 on n1"), "gang g: 1x cpu=1", "n2"),
    "mostrequested": (("2 nodes: cpu=4 memory=4Gi", "pod x: cpu=1 on n2"), "gang g: 1x cpu=1", "n2"),
    "balancedresource": (
        ("2 nodes: cpu=4 memory=4Gi", "pod x: cpu=2 on n1", "pod y: memory=1Gi on n2"),
        "gang g: 1x cpu=1",
        "n2",
    ),
    "tainttoleration": (("node n1: cpu=4 !hot:PreferNoSchedule", "node n2: cpu=4"), "gang g: 1x cpu=1", "n2"),
    "podtopologyspread": (
        ("node n1: cpu=4 zone:a", "node n2: cpu=4 zone:b", "pod x: cpu=1 #app=x on n1"),
        "gang g: 1x cpu=1 #app=x spread[zone app=x soft]",
        "n2",
    ),
}


@pytest.mark.parametrize("score", RANKED)
def test_each_score_alone_decides(score: str) -> None:
    lines, asking, best = RANKED[score]
    assert bound(cycle(engine_with(*lines, asking, policy=only(score)))) == {"g-0": best}


def test_preferred_nodes_count_as_parts_of_the_most_that_is_to_be_had() -> None:
    """The wish for a zone that no node has does not water down the one that can be met."""
    policy = policy_of("nodeorder", **{"nodeaffinity.weight": 2, "leastrequested.weight": 1})
    engine = engine_with("node n1: cpu=4 memory=4Gi disk:ssd", "node n2: cpu=4 memory=4Gi", policy=policy)
    engine.observe(facts("pod x: cpu=3 on n1", "gang g: 1x cpu=1"))
    test, far = label_test("disk", "In", "ssd"), label_test("disk", "In", "none")
    wishing = msgspec.structs.replace(shape("cpu=1"), preferred=((1, (test,)), (99, (far,))))
    (seen,) = (each for each in facts("gang g: 1x cpu=1") if isinstance(each, PodSeen))
    engine.observe([msgspec.structs.replace(seen, shape=wishing)])
    assert bound(cycle(engine)) == {"g-0": "n1"}


def test_nodes_that_have_a_large_image_come_first_the_more_so_the_more_of_them_have_it() -> None:
    engine = engine_with("3 nodes: cpu=4", policy=only("imagelocality"))
    big, small = ("reg/big:1", 2000 << 20), ("reg/small:1", 10 << 20)
    for name, images in (("n1", (small,)), ("n2", (small,)), ("n3", (big,))):
        engine.observe([msgspec.structs.replace(node(name, "cpu=4"), images=images)])
    engine.observe(facts("gang g: 1x cpu=1", "gang h: 1x cpu=1"))
    for name, image in (("g", "reg/big:1"), ("h", "reg/small:1")):
        (seen,) = (each for each in facts(f"gang {name}: 1x cpu=1") if isinstance(each, PodSeen))
        engine.observe([msgspec.structs.replace(seen, shape=msgspec.structs.replace(seen.shape, images=(image,)))])
    assert bound(cycle(engine)) == {"g-0": "n3", "h-0": "n1"}


def mounting(name: str, claim: str = "ns/data"):
    (seen,) = (each for each in facts(f"gang {name}: 1x cpu=1") if isinstance(each, PodSeen))
    return msgspec.structs.replace(seen, shape=msgspec.structs.replace(seen.shape, claims=(claim,)))


VOLUME_SWITCHES = {
    "VolumeBinding": ([], "not found"),
    "VolumeZone": (
        [
            VolumeSeen("v", labels=(("topology.kubernetes.io/zone", "b"),), claim="ns/data", phase="Bound"),
            ClaimSeen("ns/data", volume="v"),
        ],
        "no available volume zone",
    ),
    "NodeVolumeLimits": (
        [
            VolumeSeen("v", driver="d", claim="ns/data", phase="Bound"),
            ClaimSeen("ns/data", volume="v"),
            AttachSeen("n1", (("d", 0),)),
        ],
        "exceed max volume count",
    ),
}


@pytest.mark.parametrize("name", VOLUME_SWITCHES)
def test_each_switch_of_volumes_takes_its_check_away(name: str) -> None:
    storage, reason = VOLUME_SWITCHES[name]
    for on in (True, False):
        policy = policy_of("predicates", **{f"predicate.{name}Enable": on})
        engine = engine_with("node n1: cpu=4 topology.kubernetes.io/zone:a", policy=policy)
        engine.observe([*storage, *facts("gang g: 1x cpu=1"), mounting("g")])
        assert bound(cycle(engine)) == ({} if on else {"g-0": "n1"})
        assert not on or reason in why(engine, "g")


def test_how_long_a_binding_waits_for_claims_is_an_argument() -> None:
    assert policy_of("predicates", **{"volumebinding.bindTimeoutSeconds": 30}).steps == (VolumeSteps(30),)


def test_claims_to_devices_are_looked_at_where_the_switch_says_so() -> None:
    (seen,) = (each for each in facts("gang g: 1x cpu=1") if isinstance(each, PodSeen))
    shape = msgspec.structs.replace(seen.shape, device_claims=(ClaimAsk(claim="ns/a", shared=True),))
    asking = msgspec.structs.replace(seen, shape=shape, device_claims=("ns/a",))
    for on in (True, False):
        policy = policy_of("predicates", **{"predicate.DynamicResourceAllocationEnable": on})
        engine = engine_with("node n1: cpu=4", policy=policy)
        engine.observe([*facts("gang g: 1x cpu=1"), asking])
        assert bound(cycle(engine)) == ({} if on else {"g-0": "n1"})
        assert not on or 'resourceclaim "a" not found' in why(engine, "g")
