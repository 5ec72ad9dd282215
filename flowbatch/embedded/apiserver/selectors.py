"""Label and field selectors: from query text to a predicate over stored objects."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.refusals import bad_request

Labels = Mapping[str, str]
Predicate = Callable[[JsonObject], bool]
LabelTest = Callable[[Labels], bool]
Getter = Callable[[JsonObject], str]

_TOKEN = re.compile(r"\s*(==|!=|=|,|\(|\)|!|>|<|[^\s=!,()<>]+)")
_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@lru_cache(maxsize=1024)
def parse_labels(text: str) -> LabelTest | None:
    """The test of a label selector, or None for the empty one. Raises a 400 Refusal."""
    if not text.strip():
        return None
    tests = _Parser(text).parse()
    return tests[0] if len(tests) == 1 else lambda labels: all(test(labels) for test in tests)


class _Parser:
    """A hand of tokens; every method consumes what it names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)
        if "".join(self.tokens) != re.sub(r"\s+", "", text):
            raise self.wrong("unexpected character")
        self.at = 0

    def wrong(self, why: str) -> Exception:
        return bad_request(f"unable to parse requirement: {why} in {self.text!r}")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def parse(self) -> list[LabelTest]:
        tests = [self.requirement()]
        while self.peek() == ",":
            self.take()
            tests.append(self.requirement())
        if self.peek():
            raise self.wrong(f"found {self.peek()!r}, expected: ',' or the end")
        return tests

    def requirement(self) -> LabelTest:
        if self.peek() == "!":
            self.take()
            key = self.key()
            return lambda labels: key not in labels
        key = self.key()
        operator = self.peek()
        if operator in ("", ","):
            return lambda labels: key in labels
        self.take()
        if operator in ("=", "==", "!="):
            return self._equality(key, operator)
        if operator in ("in", "notin"):
            return self._membership(key, operator)
        if operator in (">", "<"):
            return self._order(key, operator)
        raise self.wrong(f"found {operator!r}, expected: in, notin, =, ==, !=, >, <")

    def _equality(self, key: str, operator: str) -> LabelTest:
        value = self.value()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value

    def _membership(self, key: str, operator: str) -> LabelTest:
        values = self.values()
        if operator == "notin":
            return lambda labels: labels.get(key) not in values
        return lambda labels: labels.get(key) in values

    def _order(self, key: str, operator: str) -> LabelTest:
        bound = self.take()
        if not re.fullmatch(r"-?[0-9]+", bound):
            raise self.wrong(f"{bound!r} is not an integer")
        sign, limit = (1 if operator == ">" else -1), int(bound)

        def test(labels: Labels) -> bool:
            value = labels.get(key, "")
            return bool(re.fullmatch(r"-?[0-9]+", value)) and sign * int(value) > sign * limit

        return test

    def key(self) -> str:
        token = self.take()
        if not _KEY.fullmatch(token):
            raise self.wrong(f"{token!r} is not a label key")
        return token

    def value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.take()
        if not _VALUE.fullmatch(token):
            raise self.wrong(f"{token!r} is not a label value")
        return token

    def values(self) -> frozenset[str]:
        if self.take() != "(":
            raise self.wrong("expected '('")
        values = [self.listed()]
        while (following := self.take()) == ",":
            values.append(self.listed())
        if following != ")":
            raise self.wrong("expected ')'")
        return frozenset(values)

    def listed(self) -> str:
        return "" if self.peek() in (",", ")") else self.value()


def parse_fields(text: str) -> list[tuple[str, str, bool]]:
    """`(field, value, equal)` of each term of a field selector; backslashes escape `,`, `=` and themselves."""
    terms = []
    for term in re.findall(r"(?:\\.|[^,\\])+", text):
        match = re.fullmatch(r"((?:\\.|[^=!\\])+)(==|!=|=)(.*)", term, re.DOTALL)
        if match is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {term!r}")
        value = re.sub(r"\\(.)", r"\1", match[3])
        terms.append((match[1], value, match[2] != "!="))
    return terms


def _metadata(field: str) -> Getter:
    return lambda obj: obj["metadata"].get(field) or ""


BY_NAME: Mapping[str, Getter] = {"metadata.name": _metadata("name"), "metadata.namespace": _metadata("namespace")}


class Selection:
    """What a list or watch asks for: labels and fields, with the exact-match terms at hand for indexes."""

    def __init__(self, label_text: str, field_text: str, selectable: Mapping[str, Getter]) -> None:
        self.labels = parse_labels(label_text)
        #: Fields that must equal a value.
        self.exact: dict[str, str] = {}
        self._fields: list[tuple[Getter, str, bool]] = []
        for name, value, equal in parse_fields(field_text):
            getter = BY_NAME.get(name) or selectable.get(name)
            if getter is None:
                raise bad_request(f"field label not supported: {name}")
            if equal:
                self.exact[name] = value
            self._fields.append((getter, value, equal))

    @property
    def empty(self) -> bool:
        """Whether everything is selected."""
        return self.labels is None and not self._fields

    def matches(self, obj: JsonObject) -> bool:
        """Whether `obj` is selected."""
        for getter, value, equal in self._fields:
            if (getter(obj) == value) is not equal:
                return False
        return self.labels is None or self.labels(obj["metadata"].get("labels") or {})
