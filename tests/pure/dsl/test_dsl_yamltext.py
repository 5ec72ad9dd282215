"""Is YAML read on the safe side: no silent change of meaning, nothing executed, no bomb?"""

import pytest

from flowbatch.errors import SpecErrors
from flowbatch_dsl.yamltext import dump, load, load_all


def paths(text: str) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        load(text, "a.yaml")
    return [problem.path for problem in caught.value]


@pytest.mark.parametrize("scalar", ["010", "1_000", "yes", "Off", "on", "NO"])
def test_scalars_that_readers_of_yaml_disagree_about_are_refused(scalar: str) -> None:
    assert paths(f"a: [{scalar}]") == ["a[0]"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("0x10", "0x10"),
        (".inf", ".inf"),
        ("'010'", "010"),
        ("1e3", 1000.0),
        ("1E", "1E"),
        ("-7", -7),
        ("~", None),
        ("TRUE", True),
        ("=", "="),
    ],
)
def test_scalars_mean_what_they_show(text: str, value: object) -> None:
    assert load(f"a: {text}", "a.yaml").value == {"a": value}


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{a: {b: 1, b: 2}}", "<<: {a: 1}"])
def test_keys_are_neither_lost_nor_merged(text: str) -> None:
    assert paths(text) in (["a"], ["a.b"], ["<<"])


@pytest.mark.parametrize("text", ["!!python/object/apply:os.getcwd []", "a: !!python/name:os.system ''", "!x 1"])
def test_tags_make_no_objects(text: str) -> None:
    assert paths(text)


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    with pytest.raises(SpecErrors, match="too large"):
        load("a0: &a0 [x]\n" + levels, "b.yaml")


@pytest.mark.parametrize("text", ["[" * 10_000, "a: [1", "a: b: c", "\ta: 1", "\x00", "a: !!str &x [*y]"])
def test_what_is_no_yaml_is_one_error_without_a_traceback(text: str) -> None:
    assert paths(text)


def test_a_second_document_is_an_error_for_one_job_and_fine_for_many() -> None:
    assert paths("a: 1\n---\nb: 2") == [""]
    assert [document.value for document in load_all("---\na: 1\n---\n---\nb: 2\n", "a.yaml")] == [{"a": 1}, {"b": 2}]


def test_byte_order_mark_and_windows_line_ends_do_not_matter() -> None:
    assert load("\ufeffa: 1\r\nb: [x]\r\n", "a.yaml").value == {"a": 1, "b": ["x"]}


def test_every_path_knows_its_line() -> None:
    assert load("a:\n  b:\n  - c: 1\n  - d\n", "a.yaml").lines["a.b[0].c"] == 3


@pytest.mark.parametrize(
    "text", ["yes", "010", "1:30", "a\nb\n", "a\n b", " x\ny", "\u202ex", "", "x\t\ny", "1e3", "\r\n"]
)
def test_text_survives_a_dump(text: str) -> None:
    assert load(dump({"a": text}), "a.yaml").value == {"a": text}
