"""Which node is better. Vectors over rows, each in [0, 1]; `extra` says how many of the shape a row has in addition."""

from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.resources import PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Floats
from flowbatch.model.view import ClusterView
from flowbatch.policy.affinity import term_rows
from flowbatch.policy.contract import Extra, Rows, Trend
from flowbatch.policy.nodefit import untolerated

CPU, MEMORY = 1, 2
#: Bytes of images below which they do not count, and from which on more of them make no difference.
IMAGES_LEAST, IMAGES_MOST = 23 << 20, 1000 << 20


def idle_after(axis: int, amount: int, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
    """The part of each node's capacity that is still free after one more, on one axis."""
    table = view.table
    if isinstance(rows, slice):
        free, inverse = table.free[axis, rows], table.inverse[axis, rows]
    else:
        free, inverse = table.free[axis].take(rows), table.inverse[axis].take(rows)
    result: Floats = (free - (extra + 1) * amount) * inverse
    return result


@dataclass(frozen=True)
class BinPack:
    """Fuller nodes first, on the axes the shape asks for (Volcano: binpack plugin)."""

    weight: float = 1.0
    #: Weight by resource name; resources not named weigh `other`.
    resources: tuple[tuple[str, float], ...] = (("cpu", 1.0), ("memory", 1.0))
    other: float = 1.0
    trend: Trend = field(default="rising", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Weighted mean of the used parts."""
        named = {view.axes.axis(name): weight for name, weight in self.resources}
        weights = [(axis, amount, named.get(axis, self.other)) for axis, amount in shape.request if axis != PODS]
        whole = sum(weight for _, _, weight in weights)
        if not whole:
            return 1.0 - idle_after(PODS, 1, rows, extra, view)
        idle: Floats | None = None
        for axis, amount, weight in weights:
            part = idle_after(axis, amount, rows, extra, view)
            if weight != 1.0:
                part *= weight
            idle = part if idle is None else np.add(idle, part, out=idle)
        assert idle is not None
        idle *= -1.0 / whole
        idle += 1.0
        return idle


@dataclass(frozen=True)
class LeastRequested:
    """Emptier nodes first, by cpu and memory (Volcano: nodeorder leastrequested; Kubernetes: NodeResourcesFit)."""

    weight: float = 1.0
    trend: Trend = field(default="falling", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Mean of the free parts of cpu and memory."""
        asked = dict(shape.request)
        idle = idle_after(CPU, asked.get(CPU, 0), rows, extra, view)
        idle += idle_after(MEMORY, asked.get(MEMORY, 0), rows, extra, view)
        idle *= 0.5
        return idle


@dataclass(frozen=True)
class MostRequested:
    """Fuller nodes first, by cpu and memory (Volcano: nodeorder mostrequested)."""

    weight: float = 1.0
    trend: Trend = field(default="rising", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """One minus the mean of the free parts."""
        return 1.0 - LeastRequested().score(shape, rows, extra, view)


@dataclass(frozen=True)
class Balanced:
    """Nodes whose resources are used to an equal part (Volcano: nodeorder balancedresource)."""

    weight: float = 1.0
    #: Counted, besides cpu and memory, where the shape asks for them.
    also: tuple[str, ...] = ("nvidia.com/gpu",)
    trend: Trend = field(default="any", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """One minus the standard deviation of the used parts."""
        asked = dict(shape.request)
        more = [axis for name in self.also if (axis := view.axes.find(name)) is not None and axis in asked]
        if more:
            idle = [idle_after(axis, asked.get(axis, 0), rows, extra, view) for axis in (CPU, MEMORY, *more)]
            result: Floats = 1.0 - np.std(np.stack(idle), axis=0)
            return result
        gap = idle_after(CPU, asked.get(CPU, 0), rows, extra, view)
        gap -= idle_after(MEMORY, asked.get(MEMORY, 0), rows, extra, view)
        np.abs(gap, out=gap)
        gap *= -0.5
        gap += 1.0
        return gap


@dataclass(frozen=True)
class PreferredAffinity:
    """Preferred node affinity: the weights of terms that hold, as part of all weights."""

    weight: float = 2.0
    trend: Trend = field(default="fixed", init=False)
    stretch = "up"

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Zero everywhere for shapes without preferences."""
        points: Floats = np.zeros(view.table.size)
        for weight, term in shape.spec.preferred:
            points += term_rows(term, view) * float(weight)
        whole = sum(max(weight, 0) for weight, _ in shape.spec.preferred)
        result: Floats = np.clip(points / whole, 0.0, 1.0)[rows] if whole else points[rows]
        return result


@dataclass(frozen=True)
class PreferredTaints:
    """Nodes with fewer PreferNoSchedule taints that are not tolerated (Volcano: nodeorder tainttoleration)."""

    weight: float = 3.0
    trend: Trend = field(default="fixed", init=False)
    stretch = "down"

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """One minus the number of such taints, as a part of the most on any node."""
        column = view.columns.taints
        counts: Floats = np.zeros(view.table.size)
        for taints in column.values[1:]:
            disliked = sum(untolerated(shape, (taint,), ("PreferNoSchedule",)) is not None for taint in taints or ())
            if taints is not None and disliked:
                counts[column.where(taints, view.table.size)] = disliked
        most = counts.max(initial=0.0)
        result: Floats = (1.0 - counts / most if most else counts + 1.0)[rows]
        return result


@dataclass(frozen=True)
class ImageLocality:
    """Nodes that have the images already, larger and more widely spread ones counting more (Volcano: nodeorder)."""

    weight: float = 1.0
    trend: Trend = field(default="fixed", init=False)
    #: Shapes and nodes need their images.
    by_image = True

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Zero everywhere for images that no node has."""
        size, column, images = view.table.size, view.columns.images, shape.spec.images
        points: Floats = np.zeros(size)
        ids = column.cut(size)
        nodes = max(1, sum(node.fact is not None for node in view.nodes.values())) if images else 1
        for image in images:
            sizes = np.array([0, *(dict(each or ()).get(image, 0) for each in column.values[1:])], np.float64)
            here = sizes.take(ids)
            points += here * (np.count_nonzero(here) / nodes)
        span = IMAGES_MOST * max(1, len(images)) - IMAGES_LEAST
        result: Floats = np.clip((points - IMAGES_LEAST) / span, 0.0, 1.0)[rows]
        return result
