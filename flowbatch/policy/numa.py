"""Pods and the topology managers of nodes: who may go where, and where a pod's cpus are close to each other.

That no cpu is given twice, and that a pod only goes where its node's kubelet would take it, is the engine's, as soon as
a policy has the filter (`aligns_cpus`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Floats
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend


@dataclass(frozen=True)
class NumaAlignment:
    """A Guaranteed pod that names a topology policy goes to nodes that have just that one (Volcano: numa-aware)."""

    aligns_cpus = True

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None for pods that name no policy, or the node's own."""
        wanted = _wanted(shape)
        ids = view.columns.cpus.cut(view.table.size)
        return _reason(wanted, view.columns.cpus.values[int(ids[node.row])]) if wanted else None

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows by what their kubelets do instead."""
        wanted, column, size = _wanted(shape), view.columns.cpus, view.table.size
        if not wanted:
            return
        rows_of: dict[str, Bools] = {}
        for value in column.values:
            reason = _reason(wanted, value)
            if reason is not None:
                here = column.cut(size) == 0 if value is None else column.where(value, size)
                rows_of[reason] = rows_of[reason] | here if reason in rows_of else here
        for reason, rows in rows_of.items():
            yield rows, reason


def _wanted(shape: Shape) -> str:
    return shape.spec.numa.policy if shape.spec.numa is not None else ""


def _reason(wanted: str, policy: str | None) -> str | None:
    if policy == wanted:
        return None
    if policy is None:
        return "node(s) didn't report their NUMA topology"
    if policy == "shared":
        return "node(s) didn't have the cpu manager policy static"
    if policy == "unreadable":
        return "node(s) reported a NUMA topology that cannot be understood"
    return f"node(s) had topology manager policy {policy}, not {wanted}"


@dataclass(frozen=True)
class FewNumaNodes:
    """Where a pod that names a topology policy has its cpus on few NUMA nodes (Volcano: numa-aware)."""

    weight: float = 1.0
    trend: Trend = field(default="any", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """1 for none, 0 for as many as the widest node has; all alike for pods that name no policy, as in Volcano."""
        ask, index = shape.spec.numa, np.arange(view.table.size)[rows] if isinstance(rows, slice) else rows
        if ask is None or not ask.policy or not view.numa:
            return np.zeros(index.size)
        points: Floats = 1.0 - view.numa.spans(ask, index, extra) / view.numa.widest
        return points
