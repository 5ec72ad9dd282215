"""Node affinity terms: tests of labels and of the node's name, over columns or for one node.

A test that makes no sense (Gt with a word, an unknown operator) holds nowhere, as in Kubernetes.
"""

import numpy as np

from flowbatch.model.ids import NodeName
from flowbatch.model.labels import passes, verdict
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import LabelTest, Term
from flowbatch.model.table import Bools
from flowbatch.model.view import ClusterView


def matches_term(term: Term, node: Node) -> bool:
    """All tests hold on this node; an empty term matches nothing."""
    return bool(term) and passes(term, node.labels, node.name)


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
    if test.operator == "In" and test.key == "metadata.name":
        named = (view.nodes.get(NodeName(name)) for name in test.values)
        rows[[node.row for node in named if node is not None]] = True
    else:
        rows[[node.row for node in view.nodes.values() if passes((test,), node.labels, node.name)]] = True
    return rows
