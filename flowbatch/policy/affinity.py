"""Node affinity terms: tests of labels and of the node's name, over columns or for one node.

A test that makes no sense (Gt with a word, an unknown operator) holds nowhere, as in Kubernetes.
"""

from collections.abc import Callable

import numpy as np

from flowbatch.model.ids import NodeName
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import LabelTest, Term
from flowbatch.model.table import Bools
from flowbatch.model.view import ClusterView


def verdict(test: LabelTest) -> Callable[[str | None], bool]:
    """What `test` says of one value; None stands for "no such label"."""
    match test.operator:
        case "In":
            wanted = dict.fromkeys(test.values)
            return lambda value: value is not None and value in wanted
        case "NotIn":
            unwanted = dict.fromkeys(test.values)
            return lambda value: value is None or value not in unwanted
        case "Exists":
            return lambda value: value is not None
        case "DoesNotExist":
            return lambda value: value is None
        case "Gt" | "Lt":
            return _ordered(test)
        case _:
            return lambda _value: False


def _ordered(test: LabelTest) -> Callable[[str | None], bool]:
    bound = whole(test.values[0]) if len(test.values) == 1 else None
    sign = 1 if test.operator == "Gt" else -1

    def holds(value: str | None) -> bool:
        number = whole(value) if value is not None else None
        return bound is not None and number is not None and sign * (number - bound) > 0

    return holds


def whole(text: str) -> int | None:
    """A whole number as Go's ParseInt reads it, or None."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits or len(digits) > 19 or any(digit not in "0123456789" for digit in digits):
        return None
    return int(text)


def matches_term(term: Term, node: Node) -> bool:
    """All tests hold on this node; an empty term matches nothing."""
    return bool(term) and all(verdict(test)(_value(test, node)) for test in term)


def _value(test: LabelTest, node: Node) -> str | None:
    if not test.field:
        return node.labels.get(test.key)
    return node.name if test.key == "metadata.name" else None


def term_rows(term: Term, view: ClusterView) -> Bools:
    """Rows on which all tests hold."""
    size = view.table.size
    rows = np.full(size, bool(term), np.bool_)
    for test in term:
        rows &= _field_rows(test, view) if test.field else _label_rows(test, view)
    return rows


def _label_rows(test: LabelTest, view: ClusterView) -> Bools:
    column, size = view.columns.label(test.key), view.table.size
    if test.operator == "In" and len(test.values) == 1:
        return column.where(test.values[0], size)
    holds = verdict(test)
    return column.where_any(holds, size, absent=holds(None))


def _field_rows(test: LabelTest, view: ClusterView) -> Bools:
    rows = np.zeros(view.table.size, np.bool_)
    holds = verdict(test)
    if test.operator == "In" and test.key == "metadata.name":
        named = (view.nodes.get(NodeName(name)) for name in test.values)
        rows[[node.row for node in named if node is not None]] = True
    else:
        rows[[node.row for node in view.nodes.values() if holds(_value(test, node))]] = True
    return rows
