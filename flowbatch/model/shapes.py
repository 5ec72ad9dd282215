"""What a pod demands of a node, and the table in which equal demands share one Shape.

Placement works per shape, never per pod: a gang of a thousand equal workers is one question. Shape ids are
process-local, never reused and never on the wire, so a cache keyed by one cannot answer for another.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from flowbatch.model.asks import DeviceAsk
from flowbatch.model.ids import Amounts, ShapeId
from flowbatch.model.resources import PODS, Axes, Request

TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Value(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """Base of the hashable parts of events."""


class Taint(Value, frozen=True):
    """A node's objection to pods that do not tolerate it."""

    key: str
    value: str = ""
    effect: TaintEffect = "NoSchedule"


class Toleration(Value, frozen=True):
    """An empty key with Exists tolerates every taint; an empty effect matches all effects."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class LabelTest(Value, frozen=True):
    """`key operator values`; operators In, NotIn, Exists, DoesNotExist, Gt, Lt. `field` tests metadata.name instead."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    field: bool = False


#: All tests of a term must hold; an empty term matches no node.
Term = tuple[LabelTest, ...]


class ShapeSpec(Value, frozen=True):
    """All of a pod that placement looks at. Pods with equal specs are interchangeable and share one Shape.

    `required` is a disjunction of terms (empty: no demand). `ports` are (protocol, hostIP, hostPort).
    """

    requests: Amounts = ()
    selector: tuple[tuple[str, str], ...] = ()
    required: tuple[Term, ...] = ()
    preferred: tuple[tuple[int, Term], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    ports: tuple[tuple[str, str, int], ...] = ()
    devices: tuple[DeviceAsk, ...] = ()


@dataclass(slots=True, eq=False)
class Shape:
    """An interned ShapeSpec with its request on this engine's axes."""

    id: ShapeId
    spec: ShapeSpec
    #: Sparse, sorted by axis, always with one of `pods`.
    request: Request
    #: Asks for nothing but a place in the node's pod count.
    best_effort: bool
    #: Tasks and declared tasks that have this shape; at zero the table forgets it.
    uses: int = 0


class ShapeTable:
    """Interns specs. `acquire` and `release` are exact inverses, so memory follows what is alive."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._by_spec: dict[ShapeSpec, Shape] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._by_spec)

    def acquire(self, spec: ShapeSpec) -> Shape:
        """The shape of `spec`, counted as used once more."""
        shape = self._by_spec.get(spec)
        if shape is None:
            request = self._axes.request(spec.requests)
            best_effort = all(axis == PODS for axis, _ in request)
            shape = Shape(ShapeId(self._next), spec, request, best_effort)
            self._next += 1
            self._by_spec[spec] = shape
        shape.uses += 1
        return shape

    def release(self, shape: Shape) -> None:
        """One user of `shape` is gone."""
        shape.uses -= 1
        assert shape.uses >= 0, shape
        if shape.uses == 0:
            del self._by_spec[shape.spec]

    def live(self) -> list[Shape]:
        """Every shape in use, oldest first."""
        return list(self._by_spec.values())
