"""Does the store keep the newest, tell what changed, find by index, and share equal parts without mixing them up?"""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.podfactory import pod as realistic
from flowbatch.api.core import Node, Pod
from flowbatch.api.kinds import NODE, POD, POD_GROUP
from flowbatch.api.scheduling import PodGroup
from flowbatch.informer import interning
from flowbatch.informer.interning import PodParts
from flowbatch.informer.store import Store, is_older


def pod(name: str, version: int, uid: str = "u", **spec: Any) -> Pod:
    metadata = {"name": name, "namespace": "a", "uid": uid, "resourceVersion": str(version)}
    return msgspec.convert({"metadata": metadata, "spec": spec}, Pod)


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("10", "10", False),
        ("", "10", False),
        ("10", "", False),
        ("x", "y", False),
    ],
)
def test_versions_compare_as_numbers_or_not_at_all(version: str, than: str, older: bool):
    assert is_older(version, than) is older


def test_an_index_follows_what_moves_and_forgets_what_goes():
    store: Store[Pod] = Store({"node": lambda each: [each.spec.node_name] if each.spec.node_name else []})
    store.put(pod("p", 1))
    assert store.index("node", "n1") == []
    store.put(pod("p", 2, nodeName="n1"))
    store.put(pod("q", 3, nodeName="n1"))
    assert [each.metadata.name for each in store.index("node", "n1")] == ["p", "q"]
    store.remove("a/p")
    store.keep_only({"a/other"})
    assert store.index("node", "n1") == []
    assert len(store) == 0


def test_what_was_held_is_told_beside_what_is_new():
    store: Store[Pod] = Store()
    told: list[tuple[str, str]] = []
    store.subscribe(
        lambda old, new: told.append((old.spec.node_name if old else "-", new.spec.node_name if new else "-"))
    )
    for each in (pod("p", 1), pod("p", 2, nodeName="n1"), pod("p", 3, nodeName="n1"), pod("p", 4, uid="v")):
        store.put(each)
    assert told == [("-", ""), ("", "n1"), ("n1", "-"), ("-", "")]


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.integers(1, 30), st.sampled_from(["", "n1", "n2"])), max_size=40))
def test_whatever_the_order_the_newest_version_wins(events: list[tuple[str, int, str]]):
    store: Store[Pod] = Store({"node": lambda each: [each.spec.node_name]}, PodParts())
    newest: dict[str, tuple[int, str]] = {}
    for name, version, node in events:
        store.put(pod(name, version, nodeName=node))
        if version > newest.get(name, (0, ""))[0]:
            newest[name] = (version, node)
    assert {
        each.metadata.name: (int(each.metadata.resource_version), each.spec.node_name) for each in store.values()
    } == (newest)
    for node in ("", "n1", "n2"):
        expected = sorted(name for name, (_, at) in newest.items() if at == node)
        assert sorted(each.metadata.name for each in store.index("node", node)) == expected


def decoded(number: int, phase: str = "Running") -> Pod:
    return msgspec.convert(realistic(number, phase), Pod)


def test_sharing_changes_no_object_in_any_field():
    store: Store[Pod] = Store(None, PodParts())
    for number in range(250):
        store.put(decoded(number))
    for number in range(250):
        expected = decoded(number)
        assert store.get(expected.metadata.key) == expected


def test_equal_parts_are_one():
    store: Store[Pod] = Store(None, PodParts())
    one, two = decoded(1), decoded(2)
    store.put(one)
    store.put(two)
    assert one.spec.containers is two.spec.containers
    assert one.metadata.owner_references is two.metadata.owner_references
    assert one.spec.node_name != two.spec.node_name


def test_running_pods_say_the_same_whenever_they_began_to():
    store: Store[Pod] = Store(None, PodParts())
    one, other = decoded(1), decoded(20_000)
    store.put(one)
    store.put(other)
    assert one.status.start_time != other.status.start_time
    assert one.status.conditions is other.status.conditions
    assert one.status.container_statuses is other.status.container_statuses
    assert one.status.phase is other.status.phase


def test_a_full_table_is_emptied_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interning, "NAME_SETS", 0)
    store: Store[Pod] = Store(None, PodParts(size=3))
    for number in range(120):
        store.put(decoded(number))
    assert all(store.get(decoded(number).metadata.key) == decoded(number) for number in range(120))


def test_a_pod_store_is_for_pods():
    assert interning.parts_of(POD) is not None


def group(name: str, members: int = 2, phase: str = "Running", version: int = 1) -> PodGroup:
    owner = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "name": name, "uid": f"u-{name}"}
    metadata = {"name": name, "namespace": "a", "resourceVersion": str(version), "ownerReferences": [owner]}
    spec = {"minMember": members, "minTaskMember": {"w": members}, "minResources": {"cpu": "4"}, "queue": "q"}
    value = {"metadata": metadata, "spec": spec, "status": {"phase": phase}}
    return msgspec.json.decode(msgspec.json.encode(value), type=PodGroup)


def test_pod_groups_of_jobs_that_are_alike_share_their_specs():
    store: Store[PodGroup] = Store(None, interning.parts_of(POD_GROUP))
    one, other, larger = group("one"), group("other"), group("larger", members=3)
    for each in (one, other, larger):
        store.put(each)
    assert one.spec is other.spec
    assert one.metadata.namespace is other.metadata.namespace
    assert one.metadata.owner_references[0].kind is other.metadata.owner_references[0].kind
    assert one.status.phase is other.status.phase
    assert store.get("a/larger") == group("larger", members=3)
    store.put(group("one", phase="Completed", version=2))
    now = store.get("a/one")
    assert now == group("one", phase="Completed", version=2)
    assert now is not None
    assert now.spec is other.spec


def test_nodes_share_the_images_that_they_list():
    def listing(name: str) -> Node:
        images = [{"names": ["reg/x:1", "reg/x@sha256:1"], "sizeBytes": 7}]
        return msgspec.convert({"metadata": {"name": name, "resourceVersion": "1"}, "status": {"images": images}}, Node)

    store: Store[Node] = Store(None, interning.parts_of(NODE))
    for name in ("a", "b"):
        store.put(listing(name))
    one, other = (store.get(name) for name in ("a", "b"))
    assert one is not None
    assert other is not None
    assert one == listing("a")
    assert one.status.images[0] is other.status.images[0]
