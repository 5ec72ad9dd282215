"""Do selectors select as Kubernetes' grammar says?"""

import pytest

from flowbatch.embedded.apiserver.refusals import Refusal
from flowbatch.embedded.apiserver.selectors import Selection, parse_fields, parse_labels


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a=1", {"a": "1"}, True),
        ("a=1", {"a": "2"}, False),
        ("a=1", {}, False),
        ("a=", {"a": ""}, True),
        ("a=", {}, False),
        ("a!=1", {}, True),
        ("a!=1", {"a": "1"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"b": ""}, True),
        ("!a", {"a": ""}, False),
        ("a in (1,2)", {"a": "2"}, True),
        ("a in (1,2)", {}, False),
        ("a notin (1,2)", {}, True),
        ("a notin (1, 2)", {"a": "1"}, False),
        ("a in (1,)", {"a": ""}, True),
        ("a > 5", {"a": "6"}, True),
        ("a > 5", {"a": "5"}, False),
        ("a < 5", {"a": "x"}, False),
        ("x.io/a=1, b ,!c", {"x.io/a": "1", "b": ""}, True),
        ("x.io/a=1,b", {"x.io/a": "1"}, False),
    ],
)
def test_label_selector(text: str, labels: dict[str, str], expected: bool) -> None:
    test = parse_labels(text)
    assert test is not None
    assert test(labels) is expected


@pytest.mark.parametrize("text", ["a in 1", "a in (1", "a=1=2", "a,,b", "!", "a b", "a > x", "-a", "a=b c", "a=é"])
def test_wrong_selectors_are_bad_requests(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_labels(text)
    assert refused.value.code == 400


def test_empty_selector_selects_everything() -> None:
    assert parse_labels("  ") is None
    assert Selection("", "", {}).empty


def test_field_terms_know_escapes_and_both_operators() -> None:
    assert parse_fields(r"a=1,b!=2,c==x\,y\=z,d=") == [
        ("a", "1", True),
        ("b", "2", False),
        ("c", "x,y=z", True),
        ("d", "", True),
    ]


def test_only_declared_fields_are_selectable() -> None:
    chosen = Selection("", "spec.x=1,metadata.name!=b", {"spec.x": lambda obj: obj["spec"]["x"]})
    assert chosen.exact == {"spec.x": "1"}
    assert chosen.matches({"metadata": {"name": "a"}, "spec": {"x": "1"}})
    assert not chosen.matches({"metadata": {"name": "b"}, "spec": {"x": "1"}})
    with pytest.raises(Refusal, match="not supported"):
        Selection("", "spec.y=1", {})
