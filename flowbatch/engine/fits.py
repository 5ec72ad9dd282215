"""What is true of a shape whatever is free: which nodes admit it, why others do not, and its fixed scores.

Cached per shape. A node that changes its labels, taints or cordon makes one row stale, not the mask.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from flowbatch.engine.counters import Counters
from flowbatch.engine.guard import Guard
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import Row, ShapeId
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Floats, Ints
from flowbatch.model.view import View
from flowbatch.policy.contract import NodeFilter
from flowbatch.policy.policy import Policy

#: More changed rows than this and the mask is built anew.
PATCH_MAX = 32


def is_by_placement(policy: object) -> bool:
    """It looks at where others have been placed, so it cannot be cached and forbids placing many at once."""
    return bool(getattr(policy, "by_placement", False))


def concerns(policy: object, shape: Shape, view: View) -> bool:
    """Whether a policy that looks at where others are has a say about `shape`; one that cannot tell always has."""
    method = getattr(policy, "concerns", None)
    return method is None or bool(method(shape, view))


def is_by_moment(policy: object) -> bool:
    """It looks at the time, at measurements or at the gang itself: asked anew for each search, and never cached."""
    return bool(getattr(policy, "by_moment", False))


def stretched(points: Floats, mask: Bools, how: str) -> Floats:
    """Points as parts of the range that occurs on nodes that admit the shape, as Kubernetes normalises them.

    "up": the best of them is 1. "down": the worst of them is 0, and none is worse than that.
    """
    among = points[mask]
    if not among.size or not how:
        return points
    if how == "up":
        most = among.max()
        return np.minimum(points / most, 1.0) if most > 0 else points
    worst = 1.0 - among.min()
    return np.maximum(1.0 - (1.0 - points) / worst, 0.0) if worst > 0 else points


@dataclass(slots=True, eq=False)
class Fit:
    """One shape's mask over rows, and the sum of its fixed scores (None: no such scores)."""

    version: int
    size: int
    mask: Bools
    fixed: Floats | None


class Fits:
    """Fits of all shapes in use."""

    def __init__(self, state: ClusterState, view: View, policy: Policy, guard: Guard, counters: Counters) -> None:
        self._state = state
        self._view = view
        self._policy = policy
        self._guard = guard
        self._counters = counters
        self._fits: dict[ShapeId, Fit] = {}
        self._known: tuple[int, int, Bools] | None = None
        #: Something is asked anew for each search.
        self.momentary = bool(policy.caps) or any(is_by_moment(each) for each in policy.filters)

    def known(self) -> Bools:
        """Rows of nodes that somebody has shown us."""
        version, size = self._state.columns.version, self._state.table.size
        if self._known is None or self._known[:2] != (version, size):
            rows = np.zeros(size, np.bool_)
            rows[[node.row for node in self._state.nodes.values() if node.fact is not None]] = True
            self._known = version, size, rows
        return self._known[2]

    def of(self, shape: Shape) -> Fit:
        """The fit of `shape`, current."""
        fit = self._fits.get(shape.id)
        columns, size = self._state.columns, self._state.table.size
        if fit is not None and fit.version == columns.version and fit.size == size:
            return fit
        changed = columns.changed_since(fit.version) if fit is not None and fit.size == size else None
        if fit is None or changed is None or len(changed) > PATCH_MAX or fit.fixed is not None:
            fit = self._build(shape)
        else:
            self._patch(fit, shape, changed)
        return fit

    def _build(self, shape: Shape) -> Fit:
        self._counters.masks_built += 1
        self._forget_dead()
        # What a failing policy had no say in is good for this decision only.
        before, size = self._guard.troubles, self._state.table.size
        self._fits.pop(shape.id, None)
        mask = np.ones(size, np.bool_)
        for rows, _ in self.refusals(shape, by_placement=False):
            mask &= ~rows
        fit = Fit(self._state.columns.version, size, mask, self._fixed(shape, mask))
        if self._guard.troubles == before:
            self._fits[shape.id] = fit
        return fit

    def _fixed(self, shape: Shape, mask: Bools) -> Floats | None:
        total: Floats | None = None
        for score in self._policy.scores:
            if score.trend == "fixed":
                every = slice(0, self._state.table.size)
                points = self._guard.call(score, score.score, None, shape, every, 0, self._view)
                if points is not None and points.any() and (points != points[0]).any():
                    points = stretched(points, mask, getattr(score, "stretch", ""))
                    total = points * score.weight if total is None else total + points * score.weight
        return total

    def _patch(self, fit: Fit, shape: Shape, changed: Sequence[Row]) -> None:
        for row in dict.fromkeys(changed):
            node = self._state.node_at.get(row)
            self._counters.mask_rows_patched += 1
            fit.mask[row] = node is not None and all(
                self._guard.call(each, each.admits, None, shape, node, self._view) is None
                for each in self._policy.filters
                if not is_by_placement(each) and not is_by_moment(each)
            )
        fit.version = self._state.columns.version

    def refusals(self, shape: Shape, *, by_placement: bool | None = None) -> list[tuple[Bools, str]]:
        """Rows that filters refuse, with the reason; a row may occur more than once, its first reason counts.

        `by_placement` picks filters that look at where others are, or those that do not; None takes all.
        """
        result: list[tuple[Bools, str]] = []
        for each in self._policy.filters:
            if by_placement is None or (by_placement == is_by_placement(each) and not is_by_moment(each)):
                if by_placement and not self._guard.call(each, concerns, False, each, shape, self._view):
                    continue
                result.extend(self._guard.call(each, self._ask, [], each, shape))
        return result

    def lasting(self, shape: Shape) -> list[Bools]:
        """Rows that filters refuse which look at where others are, but whoever goes."""
        found: list[tuple[Bools, str]] = []
        for each in self._policy.filters:
            method = getattr(each, "lasting", None)
            found.extend(self._guard.call(each, method, (), shape, self._view) if method is not None else ())
        return [rows for rows, _ in found]

    def held_alone(self, shape: Shape) -> list[str]:
        """Claims of the shape that another pod has for itself."""
        found: list[str] = []
        for each in self._policy.filters if shape.spec.claims else ():
            method = getattr(each, "held_alone", None)
            found.extend(self._guard.call(each, method, (), shape, self._view) if method is not None else ())
        return found

    def close(self, shape: Shape, rows: Bools) -> None:
        """Take from `rows` those that are refused at this moment, to the gang in view."""
        for each in self._policy.filters:
            if is_by_moment(each):
                for refused, _ in self._guard.call(each, self._ask, [], each, shape):
                    rows &= ~refused

    def capped(self, shape: Shape, rows: Bools) -> Iterator[tuple[Bools, str]]:
        """Rows, of those with room for one more, where none may be placed at this moment, with the reason."""
        for each in self._policy.caps:
            copies = self._state.table.copies(shape.request, rows)
            allowed = self._guard.call(each, each.most, copies, shape, copies, self._view)
            closed: Bools = rows & (allowed == 0)
            yield closed, each.reason

    @contextmanager
    def seen_by(self, gang: Gang) -> Iterator[None]:
        """Let `gang` be the one in view: some filters, scores and caps look at whose pods they judge."""
        before, self._view.gang = self._view.gang, gang
        try:
            yield
        finally:
            self._view.gang = before

    def cap(self, shape: Shape, copies: Ints) -> Ints:
        """How many of the copies that fit may be placed at this moment."""
        for each in self._policy.caps:
            copies = self._guard.call(each, each.most, copies, shape, copies, self._view)
        return copies

    def _ask(self, each: NodeFilter, shape: Shape) -> list[tuple[Bools, str]]:
        # By the method: isinstance of a Protocol costs more than most filters.
        refusals: Callable[[Shape, View], Iterable[tuple[Bools, str]]] | None = getattr(each, "refusals", None)
        if refusals is not None:
            return list(refusals(shape, self._view))
        rows_of: dict[str, Bools] = {}
        for row, node in self._state.node_at.items():
            reason = each.admits(shape, node, self._view)
            if reason is not None:
                if reason not in rows_of:
                    rows_of[reason] = np.zeros(self._state.table.size, np.bool_)
                rows_of[reason][row] = True
        return [(rows, reason) for reason, rows in rows_of.items()]

    def _forget_dead(self) -> None:
        shapes = self._state.shapes
        if len(self._fits) > 2 * len(shapes) + 64:
            live = {shape.id: None for shape in shapes.live()}
            self._fits = {shape_id: fit for shape_id, fit in self._fits.items() if shape_id in live}
