"""Is a queue heard as it was meant, and is what cannot be understood left out alone, and said?"""

import json

import msgspec
import pytest

from flowbatch.api.scheduling import Queue
from flowbatch.engine.decisions import Remember
from flowbatch.engine.events import NodeGroups, OwnerLimit, OwnerUse, PastUse
from flowbatch.scheduler.queue_facts import queue_fact
from flowbatch.scheduler.requests import past_use_request
from flowbatch.scheduler.translate import UnreadableError


def read(spec=None, **annotations):
    marks = {key.replace("__", "/").replace("_", "-"): value for key, value in annotations.items()}
    body = {"metadata": {"name": "q", "annotations": marks}, "spec": spec or {}}
    return queue_fact(msgspec.convert(body, Queue))


def test_fields_that_only_flowbatch_has_are_read():
    fact = read(
        {
            "dequeueStrategy": "fifo",
            "borrowingLimit": {"cpu": "2"},
            "lendingLimit": {"cpu": "500m"},
            "limits": [{"users": ["ann", "*"], "resources": {"cpu": 1}, "jobs": 2}, {"namespaces": ["a"], "jobs": 1}],
        }
    )
    assert (fact.dequeue, fact.borrowing, fact.lending) == ("fifo", (("cpu", 2000),), (("cpu", 500),))
    assert fact.limits == (OwnerLimit((), ("ann", "*"), (("cpu", 1000),), 2), OwnerLimit(("a",), jobs=1))
    assert fact.problems == ()


def test_annotations_say_the_same_where_the_fields_are_not_served():
    fact = queue_fact(
        msgspec.convert(
            {
                "metadata": {
                    "name": "q",
                    "annotations": {
                        "flowbatch.dev/borrowing-limit": '{"cpu": "2"}',
                        "flowbatch.dev/lending-limit": "{}",
                        "flowbatch.dev/limits": json.dumps([{"namespaces": ["a"], "jobs": 1}]),
                        "flowbatch.dev/past-use": json.dumps({"at": 7, "used": {"cpu": 1.5}, "held": {"cpu": 1000}}),
                    },
                }
            },
            Queue,
        )
    )
    assert (fact.borrowing, fact.lending, fact.limits) == ((("cpu", 2000),), (), (OwnerLimit(("a",), jobs=1),))
    assert fact.past_use == PastUse(7, (("cpu", 1.5),), (("cpu", 1000),))


def test_what_is_noted_of_a_queue_is_read_again():
    owners = (OwnerUse("namespace", "ns", 6, (("cpu", 1.0),)), OwnerUse("user", "ann", 5, (), (("cpu", 2),)))
    note = PastUse(7, (("cpu", 1.5),), (("cpu", 1000),), owners)
    request = past_use_request(
        Remember("q", note.at, note.used, note.held, note.owners), msgspec.convert({"metadata": {"name": "q"}}, Queue)
    )
    annotations = json.loads(request.body)["metadata"]["annotations"]
    written = msgspec.convert({"metadata": {"name": "q", "annotations": annotations}}, Queue)
    assert queue_fact(written).past_use == note


def test_affinity_to_node_groups_is_heard_in_all_four_kinds():
    def kinds(*names):
        return {
            "requiredDuringSchedulingIgnoredDuringExecution": [names[0]],
            "preferredDuringSchedulingIgnoredDuringExecution": [names[1]],
        }

    fact = read({"affinity": {"nodeGroupAffinity": kinds("a", "b"), "nodeGroupAntiAffinity": kinds("c", "d")}})
    assert fact.affinity == NodeGroups(("a",), ("b",), ("c",), ("d",))
    assert read().affinity == NodeGroups()


def hierarchy(path, weights):
    marks = {"volcano.sh/hierarchy": path, "volcano.sh/hierarchy-weights": weights}
    return queue_fact(msgspec.convert({"metadata": {"name": "q", "annotations": marks}}, Queue))


def test_the_path_of_the_drf_plugin_comes_with_its_weights():
    fact = hierarchy("root/a/b", "1/2.5/8")
    assert fact.hierarchy == (("root", 1.0), ("a", 2.5), ("b", 8.0))
    assert fact.problems == ()


@pytest.mark.parametrize(
    ("path", "weights"),
    [
        ("root/a", "1"),
        ("root/a", ""),
        ("", "1/2"),
        ("root/a", "1/0"),
        ("root/a", "1/-2"),
        ("root/a", "1/1e3"),
        ("root//a", "1/1/1"),
        ("/".join("a" * 100), "/".join("1" * 100)),
    ],
)
def test_a_path_that_makes_no_sense_is_left_out_and_said(path, weights):
    fact = hierarchy(path, weights)
    assert fact.hierarchy == ()
    assert fact.problems[0].startswith("annotation volcano.sh/hierarchy: ")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"weight": 0}, "spec.weight 0 is not from 1 to 65535 and counts as 1"),
        ({"weight": 10**9}, "spec.weight 1000000000 is not from 1 to 65535 and counts as 65535"),
        ({"capability": {"cpu": "-1"}}, "spec.capability.cpu is negative and counts as 0"),
        ({"deserved": {"memory": "8Ei"}}, "spec.deserved.memory is too large and is cut to 1152921504606846976"),
        ({"borrowingLimit": {"cpu": -1}}, "spec.borrowingLimit.cpu is negative and counts as 0"),
        ({"dequeueStrategy": "lifo"}, "spec.dequeueStrategy 'lifo' is neither fifo nor traverse: traverse it is"),
        ({"limits": [{"jobs": 1}]}, "spec.limits[0] must name namespaces or users, and not both: it is left out"),
    ],
)
def test_a_number_or_word_out_of_range_is_bounded_and_said(spec, told):
    assert read(spec).problems == (told,)


def noted(name, text):
    body = {"metadata": {"name": "q", "annotations": {f"flowbatch.dev/{name}": text}}}
    return queue_fact(msgspec.convert(body, Queue))


@pytest.mark.parametrize("text", ["{", "7", '"x"', '{"at": "now"}'])
def test_a_memory_that_cannot_be_read_is_left_out_and_said(text):
    fact = noted("past-use", text)
    assert fact.past_use is None
    assert fact.problems[0].startswith("annotation flowbatch.dev/past-use is left out: ")


@pytest.mark.parametrize("name", ["borrowing-limit", "lending-limit", "limits"])
@pytest.mark.parametrize("text", ["{", "7", '"x"', '{"cpu": "many"}', '[{"users": ["a"], "resources": {"cpu": "x"}}]'])
def test_a_limit_that_cannot_be_read_is_not_no_limit(name, text):
    with pytest.raises(UnreadableError, match=f"flowbatch.dev/{name}|spec.limits"):
        noted(name, text)


def test_an_amount_that_cannot_be_read_names_its_field():
    with pytest.raises(UnreadableError, match=r"spec\.capability"):
        read({"capability": {"cpu": "many"}})


def test_limits_of_node_groups_are_an_annotation_and_one_that_cannot_be_read_closes_the_queue():
    key = "volcano.sh__nodegroup_resource_limits"
    fact = read(**{key: '{"b": {"cpu": "2", "memory": "1Gi"}, "a": {"nvidia.com/gpu": 4}}'})
    assert fact.group_limits == (
        ("a", (("nvidia.com/gpu", 4),)),
        ("b", (("cpu", 2000), ("memory", 1 << 30))),
    )
    for text in ("{", "[]", '{"a": 3}', '{"a": {"cpu": "x"}}'):
        with pytest.raises(UnreadableError):
            read(**{key: text})
