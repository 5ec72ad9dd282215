"""Which groups of nodes a queue's pods may use, likes, or may use only so much of (Volcano: nodegroup plugin)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.facts import NodeGroups
from flowbatch.model.groupuse import NODE_GROUP
from flowbatch.model.ids import Amounts
from flowbatch.model.nodes import Node
from flowbatch.model.queues import Queue
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Floats, Ints
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend

NOTHING = NodeGroups()


def groups_of(queue: Queue | None, *, inherit: bool) -> NodeGroups | None:
    """What the queue says about node groups, or the nearest queue above it that says anything; None for nobody."""
    for each in queue.path if queue is not None else ():
        if each.fact is not None and each.fact.affinity != NOTHING:
            return each.fact.affinity
        if not inherit:
            break
    return None


@dataclass(frozen=True)
class GroupAffinity:
    """A node's group must be one that the queue requires or prefers, and none that it must not have.

    Exactly Volcano's rule, its oddity included: a group that is to be avoided may be used, whatever else is said of it.
    A queue that names no group uses, unless `strict`, nodes of no group.
    """

    strict: bool = True
    inherit: bool = False
    by_moment = True

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or why not."""
        wanted = groups_of(view.gang.queue if view.gang else None, inherit=self.inherit)
        return self._reason(node.labels.get(NODE_GROUP), wanted)

    def _reason(self, group: str | None, wanted: NodeGroups | None) -> str | None:
        if not group:
            free = wanted is None and not self.strict
            return None if free else "node(s) didn't belong to a node group"
        if wanted is None:
            return "node(s) belonged to a node group, and the queue names none"
        return None if may_use(group, wanted) else "node(s) didn't belong to a node group of the queue"

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Each distinct group is judged once."""
        wanted = groups_of(view.gang.queue if view.gang else None, inherit=self.inherit)
        column, size = view.columns.label(NODE_GROUP), view.table.size
        reasons = {value: self._reason(value, wanted) for value in column.values}
        for reason in dict.fromkeys(each for each in reasons.values() if each):
            bad = {value for value, each in reasons.items() if each == reason}
            yield (
                column.where_any(lambda value, bad=bad: value in bad, size, absent=None in bad),  # type: ignore[misc]
                reason,
            )


def may_use(group: str, wanted: NodeGroups) -> bool:
    """Whether a queue may use a group."""
    if group in wanted.avoided:
        return True
    return group not in wanted.forbidden and (group in wanted.required or group in wanted.preferred)


@dataclass(frozen=True)
class GroupPreference:
    """Groups that are required count one, preferred ones a half more, those to avoid nothing."""

    inherit: bool = False
    #: Volcano's points: 100 for a required group, 50 for a preferred one.
    weight: float = 1.5
    trend: Trend = field(default="rising", init=False)
    by_moment = True

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """By group; without preferences all are alike."""
        points: Floats = np.zeros(view.table.size)
        wanted = groups_of(view.gang.queue if view.gang else None, inherit=self.inherit)
        column = view.columns.label(NODE_GROUP)
        for group in column.values[1:] if wanted is not None else ():
            if group and wanted is not None and group not in wanted.avoided:
                value = (group in wanted.required) * 1.0 + (group in wanted.preferred) * 0.5
                if value:
                    points[column.where(group, points.size)] = value / 1.5
        result: Floats = points[rows]
        return result


@dataclass(frozen=True)
class GroupLimits:
    """A queue, with everything below it, holds no more of a node group than its limit there."""

    reason: str = "node(s) of groups of which the queue holds as much as it may"
    #: The engine counts what queues hold of groups for its sake.
    counts_groups = True

    def most(self, shape: Shape, copies: Ints, view: ClusterView) -> Ints:
        """Cut each group's copies to what its limits leave, from its last rows on."""
        queue = view.gang.queue if view.gang else None
        for each in queue.path if queue is not None else ():
            for group, limit in each.fact.group_limits if each.fact is not None else ():
                left = self._left(each, group, limit, shape, view)
                rows = np.flatnonzero(view.columns.label(NODE_GROUP).where(group, copies.size))
                here = copies[rows]
                if int(here.sum()) > left:
                    copies = copies.copy()
                    copies[rows] = np.clip(left - (np.cumsum(here) - here), 0, here)
        return copies

    @staticmethod
    def _left(queue: Queue, group: str, limit: Amounts, shape: Shape, view: ClusterView) -> int:
        held: Mapping[int, int] = view.held_in_group(queue.name, group)
        asked = dict(shape.request)
        left = [
            max(0, most - held.get(axis, 0)) // asked[axis]
            for axis, most in view.axes.sums(limit).items()
            if asked.get(axis, 0) > 0
        ]
        return min(left, default=1 << 40)
