"""Do patches compute the right object, and leave the one they start from untouched?"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.embedded.apiserver.patch import json_patch, merge_patch
from flowbatch.embedded.apiserver.refusals import Refusal
from flowbatch.embedded.apiserver.strategic import strategic_patch

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def strategic(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """As a pod's spec."""
    before = copy.deepcopy(target)
    result = strategic_patch("core.v1.PodSpec", target, patch)
    assert target == before
    return result


# The examples of RFC 7386, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_by_the_book(target: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(target, patch) == expected


@given(OBJECTS, OBJECTS)
def test_merge_patch_never_touches_its_target_and_is_idempotent(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy(target)
    once = merge_patch(target, patch)
    assert target == before
    assert merge_patch(once, patch) == once


# The examples of RFC 6902, appendix A, that succeed.
@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        (
            {"foo": ["a", "b", "c", "d"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["a", "c", "d", "b"]},
        ),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_json_patch_by_the_book(document: Any, operations: Any, expected: Any) -> None:
    before = copy.deepcopy(document)
    assert json_patch(document, operations) == expected
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": "2"},
        {"op": "test", "path": "/flag", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "remove", "path": "/list/2"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/none/b", "value": 1},
        {"op": "move", "from": "/none", "path": "/a"},
        {"op": "add", "path": "no-slash", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "frob", "path": "/a"},
        {"path": "/a"},
        "add",
    ],
)
def test_json_patch_that_does_not_fit_is_refused(operation: Any) -> None:
    document = {"a": 1, "list": [1, 2], "flag": True}
    with pytest.raises(Refusal) as refused:
        json_patch(document, [operation])
    assert refused.value.code in (400, 422)
    assert document == {"a": 1, "list": [1, 2], "flag": True}


def test_lists_of_objects_merge_by_their_key() -> None:
    spec = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}
    patch = {"containers": [{"name": "b", "image": "3"}, {"name": "c", "image": "4"}]}
    assert strategic(spec, patch)["containers"] == [
        {"name": "a", "image": "1"},
        {"name": "b", "image": "3"},
        {"name": "c", "image": "4"},
    ]


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("containers", "name"),
        ("initContainers", "name"),
        ("volumes", "name"),
        ("imagePullSecrets", "name"),
        ("hostAliases", "ip"),
        ("schedulingGates", "name"),
        ("topologySpreadConstraints", "topologyKey"),
    ],
)
def test_merge_keys_of_the_pod_spec(field: str, key: str) -> None:
    merged = strategic({field: [{key: "a", "x": 1}]}, {field: [{key: "a", "y": 2}, {key: "b"}]})
    assert merged[field] == [{key: "a", "x": 1, "y": 2}, {key: "b"}]


def test_merge_keys_inside_a_container() -> None:
    container = {
        "name": "c",
        "env": [{"name": "E"}],
        "ports": [{"containerPort": 1}],
        "volumeMounts": [{"mountPath": "/m", "name": "v"}],
    }
    change = {
        "name": "c",
        "env": [{"name": "E", "value": "x"}],
        "ports": [{"containerPort": 2}],
        "volumeMounts": [{"mountPath": "/m", "readOnly": True}],
    }
    [merged] = strategic({"containers": [container]}, {"containers": [change]})["containers"]
    assert merged["env"] == [{"name": "E", "value": "x"}]
    assert [each["containerPort"] for each in merged["ports"]] == [1, 2]
    assert merged["volumeMounts"] == [{"mountPath": "/m", "name": "v", "readOnly": True}]


def test_atomic_lists_are_replaced() -> None:
    spec = {"tolerations": [{"key": "a"}], "containers": [{"name": "c", "command": ["a", "b"]}]}
    patch = {"tolerations": [{"key": "b"}], "containers": [{"name": "c", "command": ["z"]}]}
    merged = strategic(spec, patch)
    assert merged["tolerations"] == [{"key": "b"}]
    assert merged["containers"][0]["command"] == ["z"]


def test_maps_merge_and_null_removes() -> None:
    assert strategic({"nodeSelector": {"a": "1", "b": "2"}}, {"nodeSelector": {"a": None, "c": "3"}}) == {
        "nodeSelector": {"b": "2", "c": "3"}
    }


def test_replace_directive_on_an_object() -> None:
    merged = strategic({"securityContext": {"runAsUser": 1}}, {"securityContext": {"$patch": "replace", "fsGroup": 2}})
    assert merged["securityContext"] == {"fsGroup": 2}


def test_entry_without_its_key_is_refused() -> None:
    with pytest.raises(Refusal, match="merge key"):
        strategic({}, {"containers": [{"image": "x"}]})
    with pytest.raises(Refusal, match="directive"):
        strategic({}, {"$patch": "frob"})


def test_new_entries_lose_their_directives_and_nulls() -> None:
    patch = {"containers": [{"name": "c", "image": None, "env": [{"name": "A", "$patch": "delete"}, {"name": "B"}]}]}
    assert strategic({}, patch) == {"containers": [{"name": "c", "env": [{"name": "B"}]}]}


def test_order_keeps_what_it_does_not_name_near_its_place() -> None:
    spec = {"containers": [{"name": name} for name in "abcd"]}
    patch = {"$setElementOrder/containers": [{"name": "d"}, {"name": "b"}], "containers": [{"name": "d"}]}
    assert [each["name"] for each in strategic(spec, patch)["containers"]] == ["a", "c", "d", "b"]
