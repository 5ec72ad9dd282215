"""Pod topology spread: how evenly a shape's fellows lie in the domains of a node label.

Rules and words are Kubernetes' (PodTopologySpread plugin). Pods that are leaving do not count; which nodes make domains
at all is for the node inclusion policies to say. Cluster-wide default constraints are not applied: they are meant for
Services, and a batch pod that wants spreading says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape, Spread
from flowbatch.model.stakes import Group
from flowbatch.model.table import Bools, Floats, Ints
from flowbatch.model.tallies import Tally
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Pace, Rows, Trend
from flowbatch.policy.nodefit import Selector, Taints
from flowbatch.policy.refusing import first_refusal

NO_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"
UNEVEN = "node(s) didn't match pod topology spread constraints"
HOSTNAME = "kubernetes.io/hostname"

Ids = NDArray[np.int32]
Constraint = tuple[Spread, Tally | None, Group | None]


@dataclass(frozen=True, slots=True)
class Domains:
    """The nodes that make domains for one constraint: their rows, the domains' ids, and whether no node is left out."""

    rows: Bools
    ids: Ints
    all: bool

    def counts(self, tally: Tally) -> Ints:
        """Pods by domain id, on these rows."""
        return tally.domains() if self.all else tally.domains_among(self.rows)


def constraints(shape: Shape, *, hard: bool) -> list[Constraint]:
    """Those that forbid, or those that only rank."""
    stake = shape.stake
    return [each for each in stake.spreads if each[0].hard == hard] if stake is not None else []


def domains(shape: Shape, each: Constraint, among: Sequence[Constraint], view: ClusterView) -> Domains:
    """Nodes that have the labels of all constraints and pass the inclusion policies of this one; remembered."""
    stake, spread = shape.stake, each[0]
    assert stake is not None
    key = f"{spread.hard} {among.index(each)}"
    version, size = view.columns.version, view.table.size
    known = stake.worked_out.get(key)
    if known is None or known[:2] != (version, size):
        known = stake.worked_out[key] = version, size, _domains(shape, spread, among, view)
    found = known[2]
    assert isinstance(found, Domains)
    return found


def _domains(shape: Shape, spread: Spread, among: Sequence[Constraint], view: ClusterView) -> Domains:
    size = view.table.size
    rows = np.ones(size, np.bool_)
    for other, _, _ in among:
        rows &= view.columns.label(other.key).cut(size) != 0
    for refused, _ in Selector().refusals(shape, view) if spread.honors_selector else ():
        rows &= ~refused
    for refused, _ in Taints().refusals(shape, view) if spread.honors_taints else ():
        rows &= ~refused
    ids = view.columns.label(spread.key).cut(size)
    return Domains(rows, np.unique(ids[rows]).astype(np.int64), bool((rows == (ids != 0)).all()))


@dataclass(frozen=True)
class TopologySpread:
    """Constraints with whenUnsatisfiable DoNotSchedule (Volcano: predicates)."""

    by_placement = by_stake = True

    def concerns(self, shape: Shape, view: ClusterView) -> bool:
        """It has such a constraint."""
        stake = shape.stake
        return stake is not None and any(spread.hard for spread, _, _ in stake.spreads)

    def pace(self, shape: Shape, view: ClusterView) -> Pace:
        """Where its own pods count, each one moves the balance."""
        stake = shape.stake
        counted = stake is not None and any(each[0].hard and stake.is_of(each[2]) for each in stake.spreads)
        return "one" if counted else "many"

    def opens(self, shape: Shape, company: Sequence[Shape], view: ClusterView) -> bool:
        """Pods placed together with it may fill the least filled domain."""
        hard = constraints(shape, hard=True)
        return any(each.stake.is_of(group) for each in company if each.stake is not None for _, _, group in hard)

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or what is wrong with the node's domains."""
        return first_refusal(self.refusals(shape, view), node)

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows without a label, and rows whose domain would be too far above the least filled one."""
        hard, size = constraints(shape, hard=True), view.table.size
        for each in hard:
            spread, tally, group = each
            ids = view.columns.label(spread.key).cut(size)
            yield ids == 0, NO_LABEL
            if tally is not None:
                own = int(shape.stake is not None and shape.stake.is_of(group))
                yield _uneven(spread, own, domains(shape, each, hard, view), tally, ids), UNEVEN


def _uneven(spread: Spread, own: int, where: Domains, tally: Tally, ids: Ids) -> Bools:
    counts = where.counts(tally)
    enough = where.ids.size >= max(1, spread.least_domains)
    least = int(counts[where.ids].min()) if enough else 0
    too_full: Bools = counts + (own - least) > spread.most_skew
    too_full[0] = False
    result: Bools = too_full.take(ids)
    return result


@dataclass(frozen=True)
class TopologySpreadScore:
    """Constraints with whenUnsatisfiable ScheduleAnyway: emptier domains first (Volcano: nodeorder)."""

    weight: float = 2.0
    trend: Trend = field(default="any", init=False)
    by_placement = by_stake = True

    def concerns(self, shape: Shape, view: ClusterView) -> bool:
        """It has such a constraint."""
        stake = shape.stake
        return stake is not None and any(not spread.hard for spread, _, _ in stake.spreads)

    def pace(self, shape: Shape, view: ClusterView) -> Pace:
        """Points are parts of the range that occurs, so every placement may move all of them."""
        return "one"

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Fellows in each row's domains, rarer domains weighing more, from the fullest to the emptiest."""
        soft, size = constraints(shape, hard=False), view.table.size
        labelled: Bools = np.ones(size, np.bool_)
        for spread, _, _ in soft:
            labelled &= view.columns.label(spread.key).cut(size) != 0
        judged = labelled[rows]
        crowd: Floats = np.zeros(judged.size)
        for each in soft:
            crowd += _crowd(shape, each, soft, rows, judged, view)
        crowd = crowd.round().astype(np.float64)
        points: Floats = np.zeros(judged.size)
        if judged.any():
            most, least = crowd[judged].max(), crowd[judged].min()
            points[judged] = (most + least - crowd[judged]) / most if most > 0 else 1.0
        return points


def _crowd(
    shape: Shape, each: Constraint, soft: Sequence[Constraint], rows: Rows, judged: Bools, view: ClusterView
) -> Floats:
    """What one constraint counts on each of `rows`."""
    spread, tally, _ = each
    ids = view.columns.label(spread.key).cut(view.table.size)[rows]
    if spread.key == HOSTNAME:
        found = int(judged.sum())
        counts: Ints = _on_rows(tally, rows, view.table.size)
    else:
        found = int(np.unique(ids[judged]).size)
        by_domain = None if tally is None else domains(shape, each, soft, view).counts(tally)
        counts = np.zeros(ids.size, np.int64) if by_domain is None else by_domain.take(ids)
    result: Floats = counts.astype(np.float64)
    result *= np.log(found + 2)
    result += spread.most_skew - 1
    return result


def _on_rows(tally: Tally | None, rows: Rows, size: int) -> Ints:
    by_row = np.zeros(size, np.int64)
    if tally is not None:
        least = min(size, tally.by_row.size)
        by_row[:least] = tally.by_row[:least]
    return by_row[rows]
