"""Do structural schemas default, prune and judge as apiextensions does? Do built-in types decode strictly?"""

import copy
from typing import Any

import orjson
import pytest

from flowbatch.embedded.apiserver.columns import compile_path, human
from flowbatch.embedded.apiserver.fieldtypes import all_types, decoder, inspect
from flowbatch.embedded.apiserver.quantities import canonical
from flowbatch.embedded.apiserver.refusals import Refusal
from flowbatch.embedded.apiserver.resources import version_rank
from flowbatch.embedded.apiserver.structural import Structural


def fields(schema: dict[str, Any], value: Any) -> set[str]:
    return {cause.get("field", "") for cause in Structural(schema).check(value, "x")}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_defaults_fill_what_is_absent_and_go_deep_only_where_there_is_something() -> None:
    schema = Structural(
        obj(
            a={"type": "integer", "default": 1},
            b={**obj(c={"type": "string", "default": "x"}), "default": {}},
            d=obj(e={"type": "string", "default": "y"}),
            items={"type": "array", "items": obj(f={"type": "integer", "default": 2})},
            map={"type": "object", "additionalProperties": obj(g={"type": "integer", "default": 3})},
            n={"type": "string", "nullable": True, "default": "z"},
        )
    )
    value: dict[str, Any] = {"items": [{}, {"f": 5}], "map": {"k": {}}, "n": None, "a": None}
    schema.default(value)
    assert value == {"a": 1, "b": {"c": "x"}, "items": [{"f": 2}, {"f": 5}], "map": {"k": {"g": 3}}, "n": None}


def test_defaults_are_not_shared_between_objects() -> None:
    schema = Structural(obj(a={"type": "object", "default": {"list": []}}))
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    schema.default(first)
    first["a"]["list"].append(1)
    schema.default(second)
    assert second == {"a": {"list": []}}


def test_pruning_drops_and_names_the_unknown() -> None:
    schema = Structural(
        obj(
            a=obj(b={"type": "string"}),
            free={"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"known": obj()}},
            any={"type": "object", "additionalProperties": True},
            template={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": obj()}},
            items={"type": "array", "items": obj()},
        ),
        root=True,
    )
    value: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"anything": 1},
        "a": {"b": "", "x": 1},
        "y": 1,
        "free": {"q": 1, "known": {"pruned": 1}},
        "any": {"q": 1},
        "template": {"kind": "Pod", "metadata": {}, "z": 1},
        "items": [{"w": 1}],
    }
    dropped = schema.prune(value)
    assert set(dropped) == {"a.x", "y", "free.known.pruned", "template.z", "items[0].w"}
    assert value["free"] == {"q": 1, "known": {}}
    assert value["metadata"] == {"anything": 1}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, -1, 2.0], [1.5, "1", True, None, []]),
        ({"type": "number"}, [1, 1.5], ["1", False]),
        ({"type": "boolean"}, [True], [0, "true"]),
        ({"type": "string"}, ["", "a"], [1, None, {}]),
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "string", "enum": ["a", "b"]}, ["a"], ["c"]),
        ({"type": "integer", "minimum": 1, "maximum": 3}, [1, 3], [0, 4]),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, [2], [1]),
        ({"type": "integer", "format": "int32"}, [2**31 - 1], [2**31]),
        ({"type": "number", "multipleOf": 5}, [10], [7]),
        ({"type": "string", "pattern": "^a+$", "maxLength": 3, "minLength": 1}, ["aa"], ["b", "aaaa", ""]),
        ({"type": "string", "format": "date-time"}, ["2026-01-02T03:04:05Z"], ["yesterday", "2026-01-02"]),
        (
            {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
            [["a"]],
            [[], ["a", "b", "c"], [1]],
        ),
        ({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}, [["a", "b"]], [["a", "a"]]),
        ({"x-kubernetes-int-or-string": True}, [1, "1"], [1.5, True, []]),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 1},
            [{"a": 1}],
            [{"a": "1"}, {"a": 1, "b": 2}],
        ),
        ({"type": "object", "required": ["a"]}, [{"a": 1}], [{}]),
        ({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}, [0, 6], [3]),
        ({"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 6}]}, [4, 7], [5]),
        ({"type": "integer", "allOf": [{"minimum": 1}], "not": {"enum": [3]}}, [2], [0, 3]),
    ],
)
def test_values_are_judged(schema: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert fields(schema, value) == set(), value
    for value in bad:
        assert fields(schema, value), value


def test_map_lists_may_not_repeat_their_keys() -> None:
    schema = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": obj(name={"type": "string"}),
    }
    assert fields(schema, [{"name": "a"}, {"name": "a"}]) == {"x[1]"}


def test_strict_decoder_and_walk_agree_on_a_pod() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 1}}}]},
    }
    decoder("core.v1.Pod").decode(orjson.dumps(pod))
    assert inspect("core.v1.Pod", copy.deepcopy(pod)).unknown == []
    wrong = copy.deepcopy(pod)
    wrong["spec"] |= {"x": 1, "nodeName": 5}  # type: ignore[operator]
    with pytest.raises(Exception, match=r"unknown field|Expected"):
        decoder("core.v1.Pod").decode(orjson.dumps(wrong))
    findings = inspect("core.v1.Pod", wrong)
    assert findings.unknown == ["spec.x"]
    assert findings.mistyped == ["spec.nodeName: expected string, got number"]


def test_every_built_in_type_has_a_decoder() -> None:
    for name in all_types():
        decoder(name).decode(b"{}")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("1", "1"),
        ("1000", "1k"),
        ("1500m", "1500m"),
        ("2000m", "2"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("100e-3", "100e-3"),
        ("1E", "1E"),
        ("-500m", "-500m"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("12345", "12345"),
        ("1M", "1M"),
        ("1000k", "1M"),
    ],
)
def test_quantities_are_written_canonically(written: str, shown: str) -> None:
    assert canonical(written) == shown
    assert canonical(shown) == shown


@pytest.mark.parametrize("text", ["", "1 Gi", "1GB", "１", "nan", "1_000", "--1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        canonical(text)


def test_versions_rank_as_kubernetes_ranks_them() -> None:
    versions = ["v1alpha1", "v2beta1", "foo", "v1", "v1beta2", "v2", "v10", "v2alpha3"]
    assert sorted(versions, key=version_rank) == [
        "v10",
        "v2",
        "v1",
        "v2beta1",
        "v1beta2",
        "v2alpha3",
        "v1alpha1",
        "foo",
    ]


def test_json_paths_of_printer_columns() -> None:
    value = {"a": {"b.c": 1}, "list": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}]}
    for path, expected in (
        (".a.b\\.c", [1]),
        (".a['b.c']", [1]),
        (".list[0].type", ["Ready"]),
        (".list[*].type", ["Ready", "X"]),
        ('.list[?(@.type=="X")].status', ["False"]),
        (".none.x", []),
        (".list[-1].type", ["X"]),
    ):
        assert list(compile_path(path)(value)) == expected, path


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (5, "5s"),
        (119, "119s"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (7200, "120m"),
        (10800, "3h"),
        (18060, "5h1m"),
        (86400, "24h"),
        (200000, "2d7h"),
        (864000, "10d"),
    ],
)
def test_ages_are_short(seconds: int, shown: str) -> None:
    assert human(seconds) == shown
