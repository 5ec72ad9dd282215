"""For authors of policies who want no numpy: a function of one node becomes a score, or a filter, over all of them.

    @per_node
    def cool(shape, node):
        return 1.0 - float(node.labels.get("example.com/celsius", "50")) / 100

    @per_node_filter
    def licensed(shape, node):
        return None if "example.com/licence" in node.labels else "node(s) had no licence"

Both are asked once per shape and node, and again when a node's labels, taints or cordon change: they may look at
nothing else. `cool` is then a class like any other score: `scores: [{name: cool, weight: 2}]`.
"""

from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar

import numpy as np

from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Floats
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend


@dataclass(frozen=True)
class PerNode:
    """A score from a function of (shape, node) that gives a number from 0 to 1. Slower than one over vectors."""

    weight: float = 1.0
    #: Every node is looked at: that is what its budget counts.
    row_by_row: ClassVar[bool] = True

    @property
    def trend(self) -> Trend:
        """It does not look at what is used."""
        return "fixed"

    @staticmethod
    def of_node(shape: Shape, node: Node) -> float:
        """The author's function."""
        raise NotImplementedError

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Its value for each row; 0 for rows without a node."""
        points: Floats = np.zeros(view.table.size)
        for node in view.nodes.values():
            points[node.row] = self.of_node(shape, node) if node.fact is not None else 0.0
        return points[rows]


@dataclass(frozen=True)
class PerNodeFilter:
    """A filter from a function of (shape, node) that gives None, or why not."""

    @staticmethod
    def of_node(shape: Shape, node: Node) -> str | None:
        """The author's function."""
        raise NotImplementedError

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """What it says."""
        return self.of_node(shape, node)


def per_node(function: Callable[[Shape, Node], float]) -> type[PerNode]:
    """Lift a function into a NodeScore class of its name."""
    return _class(function, PerNode, "scores")


def per_node_filter(function: Callable[[Shape, Node], str | None]) -> type[PerNodeFilter]:
    """Lift a function into a NodeFilter class of its name."""
    return _class(function, PerNodeFilter, "filters")


def _class(function: Callable[..., Any], base: type[Any], part: str) -> type[Any]:
    name = "".join(word.capitalize() for word in function.__name__.split("_"))
    space = {"of_node": staticmethod(function), "parts": (part,), "__doc__": function.__doc__}
    made = make_dataclass(name, [], bases=(base,), namespace=space, frozen=True)
    made.__module__ = function.__module__
    return made
