"""Which nodes a shape may be on at all, full or empty. Each filter judges columns: each distinct value once.

Readiness, resources, the pod count and host ports are not here: the engine never overcommits, whatever policies say.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape, Taint, Toleration
from flowbatch.model.table import Bools
from flowbatch.model.view import ClusterView
from flowbatch.policy.affinity import matches_term, term_rows

UNSCHEDULABLE_TAINT = Taint("node.kubernetes.io/unschedulable")


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """One toleration against one taint, as Kubernetes compares them."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.operator in ("", "Equal") and toleration.value == taint.value


def untolerated(shape: Shape, taints: Iterable[Taint], effects: tuple[str, ...]) -> Taint | None:
    """The first taint with one of `effects` that the shape does not tolerate."""
    for taint in taints:
        if taint.effect in effects and not any(tolerates(each, taint) for each in shape.spec.tolerations):
            return taint
    return None


@dataclass(frozen=True)
class Schedulable:
    """Not cordoned, unless the shape tolerates just that."""

    reason = "node(s) were unschedulable"

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None unless the node is cordoned."""
        cordoned = node.fact is not None and node.fact.unschedulable
        return self.reason if cordoned and untolerated(shape, (UNSCHEDULABLE_TAINT,), ("NoSchedule",)) else None

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Cordoned rows."""
        if untolerated(shape, (UNSCHEDULABLE_TAINT,), ("NoSchedule",)):
            yield view.columns.cordoned.where(value=True, size=view.table.size), self.reason


@dataclass(frozen=True)
class Selector:
    """nodeSelector and required node affinity."""

    reason = "node(s) didn't match Pod's node affinity/selector"

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None if every selected label is there and one required term, if there are any, holds."""
        spec = shape.spec
        selected = all(node.labels.get(key) == value for key, value in spec.selector)
        required = not spec.required or any(matches_term(term, node) for term in spec.required)
        return None if selected and required else self.reason

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows without one of the labels, and rows where no required term holds."""
        size, admitted = view.table.size, None
        for key, value in shape.spec.selector:
            here = view.columns.label(key).where(value, size)
            admitted = here if admitted is None else admitted & here
        if shape.spec.required:
            hits = [term_rows(term, view) for term in shape.spec.required]
            anywhere = hits[0]
            for more in hits[1:]:
                anywhere = anywhere | more
            admitted = anywhere if admitted is None else admitted & anywhere
        if admitted is not None:
            yield ~admitted, self.reason


@dataclass(frozen=True)
class Taints:
    """NoSchedule and NoExecute taints are tolerated."""

    effects = ("NoSchedule", "NoExecute")

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or the first taint that is not tolerated."""
        taint = untolerated(shape, node.fact.taints if node.fact else (), self.effects)
        return taint_reason(taint) if taint else None

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows by the taint that keeps the shape away; each distinct set of taints is judged once."""
        size, column = view.table.size, view.columns.taints
        rows_of: dict[str, Bools] = {}
        for taints in column.values[1:]:
            taint = untolerated(shape, taints or (), self.effects)
            if taint is not None and taints is not None:
                reason, here = taint_reason(taint), column.where(taints, size)
                rows_of[reason] = rows_of[reason] | here if reason in rows_of else here
        for reason, rows in rows_of.items():
            yield rows, reason


def taint_reason(taint: Taint) -> str:
    """As kube-scheduler says it."""
    return f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
