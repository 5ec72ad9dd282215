"""Copy this file, keep what you need, and name it in the settings:

    policies: [template.py]
    scheduler:
      policy:
        gangOrder: [priority, byName]
        admission: [workHours]
        filters: [schedulable, selector, taints, notOnOdd]
        scores: [binPack, {name: fewPods, weight: 2}, {name: roomiest, weight: 0.5}]

Or, beside Volcano's plugins, as plugins of a tier; `parts` says where each belongs. Everything here is a frozen value:
it reads what it is given, answers, and changes nothing. docs/policies.md explains all of it.
"""

from dataclasses import dataclass

import numpy as np

from flowbatch.model.blockers import NeedsTime
from flowbatch.model.ids import Instant
from flowbatch.policy.authoring import per_node, per_node_filter

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class ByName:
    """A GangOrder: who comes first in a queue. Smaller keys come first; equal ones go by age."""

    parts = ("gang_order",)

    def key(self, gang, view):
        """Part of the sort key: numbers and text."""
        return (gang.id,)


@dataclass(frozen=True)
class WorkHours:
    """An Admission: may this gang start now? If not, say what it waits for."""

    parts = ("admission",)
    begin: float = 8.0
    end: float = 18.0

    def blocker(self, gang, view):
        """None to go on. NeedsTime is cured by the clock; Refused(name, why) by any change in the cluster."""
        hour = view.now / HOUR_MS % 24
        if self.begin <= hour < self.end:
            return None
        start = view.now - view.now % (24 * HOUR_MS) + int(self.begin * HOUR_MS)
        until = start if start > view.now else start + 24 * HOUR_MS
        return NeedsTime(Instant(until), f"gangs start from {self.begin:g} to {self.end:g} o'clock, UTC")


@per_node
def few_pods(shape, node):
    """A score from 0 to 1 for one pod of this shape on this node; it may look at labels, taints and the name only."""
    return 1.0 if node.labels.get("example.com/size") == "small" else 0.0


@per_node_filter
def not_on_odd(shape, node):
    """A filter: None, or why not, for people."""
    return "node(s) were odd" if node.labels.get("example.com/odd") == "true" else None


@dataclass(frozen=True)
class Roomiest:
    """A NodeScore over vectors, for those who want speed, or to look at what is free."""

    parts = ("scores",)
    weight: float = 1.0

    @property
    def trend(self):
        """How it moves as more pods land on a node: fixed, rising, falling or any."""
        return "falling"

    def score(self, shape, rows, extra, view):
        """One number from 0 to 1 for each row, given `extra` more of this shape there already."""
        table, (axis, amount) = view.table, shape.request[0]
        free = table.free[axis, rows] - amount * (np.asarray(extra) + 1)
        return np.clip(free / np.maximum(table.capacity[axis, rows], 1), 0.0, 1.0)
