"""The rules of a HyperNode (volcano.md 7, "hypernodes validate")."""

import re
from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules import names
from flowbatch.workload.rules.reading import dict_of, dicts_of, text_of
from flowbatch.workload.rules.table import Rule

SELECTORS = ("exactMatch", "regexMatch", "labelMatch")
TYPES = ("Node", "HyperNode")
_MATCHES = (
    "(has(self.exactMatch) ? 1 : 0) + (has(self.regexMatch) ? 1 : 0) + (has(self.labelMatch) ? 1 : 0) == 1",
    "must have exactly one of exactMatch, regexMatch and labelMatch",
)


def _one_selector(selector: JsonObject) -> bool:
    return sum(selector.get(name) is not None for name in SELECTORS) == 1


HYPER_NODE_RULES: tuple[Rule, ...] = (
    Rule("spec.tier", lambda tier: tier >= 0, "must be at least 0", "self >= 0"),
    Rule("spec.tierName", lambda name: len(name) <= names.SUBDOMAIN_CHARS, "must be at most 253 characters", of=str),
    Rule("spec.members[].selector", _one_selector, _MATCHES[1], _MATCHES[0], of=dict),
)


def check_hyper_members(manifest: JsonObject) -> Iterator[SpecError]:
    """Its name, and that each member says what it is and whom it selects."""
    name = text_of(manifest, "metadata", "name")
    if name:
        yield from names.named("metadata.name", name, names.subdomain_problem(name))
    spec = dict_of(manifest, "spec")
    if spec.get("tier") is None:
        yield SpecError("spec.tier", "is missing")
    if not spec.get("members"):
        yield SpecError("spec.members", "must have at least one member")
    for index, member in dicts_of(manifest, "spec", "members"):
        yield from _member(member, f"spec.members[{index}]")


def _member(member: JsonObject, path: str) -> Iterator[SpecError]:
    kind = text_of(member, "type")
    if kind not in TYPES:
        yield SpecError(f"{path}.type", "must be Node or HyperNode", kind, did_you_mean(kind[:100], TYPES))
    selector = dict_of(member, "selector")
    if member.get("selector") is None:
        yield SpecError(f"{path}.selector", "is missing")
    if selector.get("exactMatch") is not None:
        exact = text_of(selector, "exactMatch", "name")
        if not exact:
            yield SpecError(f"{path}.selector.exactMatch.name", "must not be empty", exact)
        else:
            yield from names.named(f"{path}.selector.exactMatch.name", exact, names.subdomain_problem(exact))
    if selector.get("regexMatch") is not None:
        yield from _pattern(text_of(selector, "regexMatch", "pattern"), f"{path}.selector.regexMatch.pattern")
    if selector.get("labelMatch") is not None and kind == "HyperNode":
        yield SpecError(f"{path}.selector.labelMatch", "selects nodes only: a HyperNode is named, or matched by name")


def _pattern(pattern: str, path: str) -> Iterator[SpecError]:
    if not pattern:
        yield SpecError(path, "must not be empty", pattern)
        return
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield SpecError(path, f"is no regular expression: {error}", pattern[:100])
