"""HyperNodes from labels of nodes: Volcano's label_test.go, and what it logs and goes on with."""

import msgspec
import pytest

from flowbatch.api.topology import HyperNode
from flowbatch.workload.discovery import SOURCE, TopologyType, changes, concerns, discovered, read_discovery

FABRIC = TopologyType("fabric", ("leaf", "spine"))


def source(types=None, **changes):
    config = {"networkTopologyTypes": types or {"fabric": labels("spine", "leaf", "kubernetes.io/hostname")}}
    return {"source": "label", "enabled": True, "config": config, **changes}


def labels(*keys):
    return [{"nodeLabel": key} for key in keys]


def read(*sources):
    return read_discovery(list(sources), "d")


def test_the_narrowest_label_is_tier_one_and_the_host_is_the_node_itself():
    assert read(source()) == ((FABRIC,), [])


def test_sources_that_are_off_are_not_looked_at():
    assert read(source(enabled=False), {"source": "ufm", "enabled": False, "config": {"endpoint": "x"}}) == ((), [])
    assert read_discovery(None, "d") == ((), [])


@pytest.mark.parametrize(
    ("sources", "path"),
    [
        ([source(source="ufm")], "d[0].source"),
        ([source(intervall="1m")], "d[0].intervall"),
        ([source({"fabric": labels("leaf")})], "d[0].config.networkTopologyTypes.fabric"),
        ([source({"fabric": labels("kubernetes.io/hostname")})], "d[0].config.networkTopologyTypes.fabric"),
        ([source({"x" * 21: labels("a", "kubernetes.io/hostname")})], f"d[0].config.networkTopologyTypes.{'x' * 21}"),
        (
            [source({"fabric": labels("a", "a", "kubernetes.io/hostname")})],
            "d[0].config.networkTopologyTypes.fabric[1].nodeLabel",
        ),
        (
            [source({"fabric": labels("a b", "kubernetes.io/hostname")})],
            "d[0].config.networkTopologyTypes.fabric[0].nodeLabel",
        ),
        (
            [source({"fabric": [{}, *labels("kubernetes.io/hostname")]})],
            "d[0].config.networkTopologyTypes.fabric[0].nodeLabel",
        ),
        (["label"], "d[0]"),
    ],
)
def test_each_mistake_is_named_and_nothing_else_is_lost(sources, path):
    types, problems = read(*sources, source({"good": labels("leaf", "kubernetes.io/hostname")}))
    assert [each.path for each in problems] == [path]
    assert types == (TopologyType("good", ("leaf",)),)


def test_a_type_that_is_said_twice_is_a_mistake():
    _, problems = read(source(), source())
    assert [each.path for each in problems] == ["d[1].config.networkTopologyTypes.fabric"]


NODES = [
    ("n0", {"leaf": "l0", "spine": "s0"}),
    ("n1", {"leaf": "l0", "spine": "s0"}),
    ("n2", {"leaf": "l1", "spine": "s0"}),
    ("n3", {"leaf": "l2", "spine": "s1"}),
]


def tree(nodes, existing=(), types=(FABRIC,)):
    """(tier, value) -> members, with the names of inner HyperNodes replaced by their values."""
    found = discovered(types, nodes, existing)
    value_of = {name: value(each) for name, each in found.items()}
    return {
        (each["spec"]["tier"], value_of[name]): sorted(
            value_of.get(member["selector"]["exactMatch"]["name"], member["selector"]["exactMatch"]["name"])
            for member in each["spec"]["members"]
        )
        for name, each in found.items()
    }


def value(manifest):
    return next(text for key, text in manifest["metadata"]["labels"].items() if key != SOURCE)


def objects(manifests):
    return [msgspec.convert(each, HyperNode) for each in manifests]


def test_labels_become_a_tree():
    assert tree(NODES) == {
        (1, "l0"): ["n0", "n1"],
        (1, "l1"): ["n2"],
        (1, "l2"): ["n3"],
        (2, "s0"): ["l0", "l1"],
        (2, "s1"): ["l2"],
    }


def test_a_node_takes_part_up_to_the_first_label_it_lacks():
    # Volcano: test2 and test3.
    nodes = [("n0", {"leaf": "l0"}), ("n1", {"leaf": "l0", "spine": "s0"}), ("n2", {"spine": "s0"}), ("n3", {})]
    assert tree(nodes) == {(1, "l0"): ["n0", "n1"], (2, "s0"): ["l0"]}


def test_two_types_make_two_trees():
    other = TopologyType("power", ("pdu",))
    nodes = [("n0", {"leaf": "l0", "pdu": "p0"}), ("n1", {"pdu": "p0"})]
    assert tree(nodes, types=(FABRIC, other)) == {(1, "l0"): ["n0"], (1, "p0"): ["n0", "n1"]}


def test_names_are_volcanos_but_always_the_same():
    first, second = discovered((FABRIC,), NODES, ()), discovered((FABRIC,), reversed(NODES), ())
    assert first == second
    assert all(name.startswith(("hypernode-fabric-tier1-", "hypernode-fabric-tier2-")) for name in first)
    odd = discovered((TopologyType("Fabric_A", ("leaf",)),), NODES[:1], ())
    assert next(iter(odd)).startswith("hypernode-fabric-a-tier1-")


def test_what_volcano_made_keeps_its_name():
    # Volcano: test4 and test5.
    meta = {"name": "hypernode-fabric-tier1-mnsx6", "labels": {SOURCE: "label", "leaf": "l0"}}
    existing = objects([{"metadata": meta, "spec": {"tier": 1}}])
    assert "hypernode-fabric-tier1-mnsx6" in discovered((FABRIC,), NODES, existing)


def test_what_is_right_is_left_alone_and_the_rest_is_mended():
    wanted = discovered((FABRIC,), NODES, ())
    there = objects(wanted.values())
    assert changes(wanted, there).empty
    later = discovered((FABRIC,), [*NODES[:3], ("n4", {"leaf": "l0", "spine": "s0"})], there)
    todo = changes(later, there)
    assert not todo.creates
    assert [len(each.body["spec"]["members"]) for each in todo.patches] == [3]
    assert len(todo.deletes) == 2  # the leaf and the spine that have nobody left


def test_what_is_going_is_not_touched():
    gone = {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z", "labels": {SOURCE: "label"}}
    assert changes({}, objects([{"metadata": gone}])).empty


def test_only_labels_that_matter_matter():
    assert concerns((FABRIC,), {"leaf": "l0", "other": "x"}) == ("l0", None)
