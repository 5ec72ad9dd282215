"""The rule table once more, as CEL over whole objects: what a schema's own rules cannot afford, or cannot see.

A ValidatingAdmissionPolicy runs inside the API server, so these hold where no webhook does. They see what a CRD's rules
do not: pod templates, the old object, lists without a bound. What is left to webhook, DSL and controller is said in
docs/admission.md: circles, quantities of pods, arguments of plugins, and whatever other objects decide.

A test on a real API server holds each sentence against the table.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Sentence(NamedTuple):
    """`holds` is CEL with the variables of its kind; where it is false, people read `path: message`."""

    path: str
    holds: str
    message: str


class Policy(NamedTuple):
    """Everything that is said about one kind; `variables` are CEL too, each may use those before it."""

    variables: Sequence[tuple[str, str]]
    sentences: Sequence[Sentence]
    #: The same about a deletion, where `oldObject` is what there is.
    deletion: Sequence[Sentence] = ()
    #: CEL: which objects are meant at all.
    meant: str = ""


#: CEL over $v, an amount as text or as a number.
NOT_NEGATIVE = "quantity(string($v)).compareTo(quantity('0')) >= 0"


def listed(holder: str, field: str) -> str:
    """CEL: the list at a field, empty if there is none."""
    return f"(has({holder}.{field}) ? {holder}.{field} : [])"


def among(words: Sequence[str]) -> str:
    """CEL: a list of these words."""
    return "[" + ", ".join(f"'{word}'" for word in words) + "]"


def unique(items: str, most: int = 500) -> str:
    """CEL: no item of the list `items` twice. Comparing each with each is only paid for up to `most` items."""
    return f"({items}.size() > {most} || {items}.all(one, {items}.exists_one(other, other == one)))"


def mapped(holder: str, field: str, each: str) -> str:
    """CEL: `each` (over k and v = the value at k) holds for every entry of the map at a field."""
    return f"(!has({holder}.{field}) || {holder}.{field}.all(k, {each.replace('$v', f'{holder}.{field}[k]')}))"


def amounts(holder: str, field: str, path: str) -> list[Sentence]:
    """A resource list whose quantities can be read and are not negative."""
    readable = mapped(holder, field, "isQuantity(string($v))")
    positive = mapped(holder, field, f"(!isQuantity(string($v)) || {NOT_NEGATIVE})")
    return [
        Sentence(path, readable, "has an amount that is no quantity"),
        Sentence(path, positive, "has an amount that is negative"),
    ]


def one_tier(topology: str) -> str:
    """CEL: a tier is named, or numbered, not both."""
    return (
        f"!has({topology}.highestTierAllowed) || !has({topology}.highestTierName) || {topology}.highestTierName == ''"
    )
