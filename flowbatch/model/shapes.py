"""What a pod demands of a node, and the table in which equal demands share one Shape.

Placement works per shape, never per pod: a gang of a thousand equal workers is one question. Shape ids are
process-local, never reused and never on the wire, so a cache keyed by one cannot answer for another.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from flowbatch.model.asks import DeviceAsk, NumaAsk
from flowbatch.model.claimasks import ClaimAsk
from flowbatch.model.ids import Amounts, ShapeId
from flowbatch.model.resources import PODS, Axes, Request

if TYPE_CHECKING:
    from flowbatch.model.peers import Peers
    from flowbatch.model.stakes import Kind, Stake

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


class PodSelector(Value, frozen=True):
    """Pods of some namespaces with some labels. `tests` None selects nothing, no tests select everything.

    A pod's namespace is one of `namespaces`, or has labels that pass `of_namespaces` (None: no such choice).
    """

    tests: Term | None = ()
    namespaces: tuple[str, ...] = ()
    of_namespaces: Term | None = None


class PeerTerm(Value, frozen=True):
    """Pods that matter to one, and the node label whose equal values make nodes one topology domain."""

    key: str
    pods: PodSelector = PodSelector()


class Spread(Value, frozen=True):
    """A topology spread constraint: domains of `key` may differ by at most `most_skew` pods of `pods`.

    `hard` is DoNotSchedule. `honors_selector` and `honors_taints` are its node inclusion policies.
    """

    key: str
    most_skew: int = 1
    pods: PodSelector = PodSelector()
    hard: bool = True
    least_domains: int = 1
    honors_selector: bool = True
    honors_taints: bool = False


class ShapeSpec(Value, frozen=True):
    """All of a pod that placement looks at. Pods with equal specs are interchangeable and share one Shape.

    `required` is a disjunction of terms (empty: no demand). `ports` are (protocol, hostIP, hostPort). `near` and
    `apart` are required pod affinity and anti-affinity, `likes` the preferred kinds of both, aversions with a negative
    weight.
    """

    requests: Amounts = ()
    selector: tuple[tuple[str, str], ...] = ()
    required: tuple[Term, ...] = ()
    preferred: tuple[tuple[int, Term], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    ports: tuple[tuple[str, str, int], ...] = ()
    devices: tuple[DeviceAsk, ...] = ()
    near: tuple[PeerTerm, ...] = ()
    apart: tuple[PeerTerm, ...] = ()
    likes: tuple[tuple[int, PeerTerm], ...] = ()
    spreads: tuple[Spread, ...] = ()
    #: Annotations that some policy reads of a pod to judge or rank nodes for it, sorted.
    marks: tuple[tuple[str, str], ...] = ()
    #: Container images, where a policy looks at them.
    images: tuple[str, ...] = ()
    #: PersistentVolumeClaims, as "namespace/name", sorted.
    claims: tuple[str, ...] = ()
    #: Claims to devices (dynamic resource allocation), in the order of the pod's own list.
    device_claims: tuple[ClaimAsk, ...] = ()
    #: Set for Guaranteed pods only.
    numa: NumaAsk | None = None

    @property
    def sociable(self) -> bool:
        """It says something about other pods."""
        return bool(self.near or self.apart or self.likes or self.spreads)

    def mark(self, key: str) -> str:
        """The annotation `key`; empty where it has none."""
        return next((value for name, value in self.marks if name == key), "")


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
    #: What it has to do with other pods; None for nothing at all.
    stake: "Stake | None" = None

    @property
    def kind(self) -> "Kind | None":
        """Whom its pods are to others, where others ask."""
        return self.stake.kind if self.stake is not None else None


class ShapeTable:
    """Interns specs. `acquire` and `release` are exact inverses, so memory follows what is alive.

    Pods whose labels some selector in use asks for differ in that too: those share a shape with their own kind only.
    """

    def __init__(self, axes: Axes, peers: "Peers | None" = None) -> None:
        self._axes = axes
        self._peers = peers
        self._by_spec: dict[ShapeSpec, Shape] = {}
        self._by_kind: dict[tuple[ShapeSpec, Kind], Shape] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._by_spec) + len(self._by_kind)

    def acquire(self, spec: ShapeSpec, kind: "Kind | None" = None) -> Shape:
        """The shape of `spec` for pods of `kind`, counted as used once more."""
        if kind is None or not kind.groups:
            # Nearly always: it asks nothing of others, and they ask nothing of it.
            known = self._by_spec.get(spec)
            if known is not None and known.stake is None:
                known.uses += 1
                return known
        if self._peers is not None and spec.sociable:
            self._peers.enter(spec)
        if kind is not None and kind.groups:
            shape = self._by_kind.get((spec, kind))
            if shape is None:
                shape = self._by_kind[spec, kind] = self._make(spec, kind)
        else:
            shape = self._by_spec.get(spec)
            if shape is None:
                shape = self._by_spec[spec] = self._make(spec, None)
        shape.uses += 1
        return shape

    def _make(self, spec: ShapeSpec, kind: "Kind | None") -> Shape:
        request = self._axes.request(spec.requests)
        best_effort = all(axis == PODS for axis, _ in request)
        shape = Shape(ShapeId(self._next), spec, request, best_effort)
        if self._peers is not None and (kind is not None or spec.sociable or spec.claims or spec.device_claims):
            shape.stake = self._peers.stake(spec, kind)
        self._next += 1
        return shape

    def share(self, shape: Shape) -> None:
        """`shape` is used once more."""
        if self._peers is not None and shape.spec.sociable:
            self._peers.enter(shape.spec)
        shape.uses += 1

    def release(self, shape: Shape) -> None:
        """One user of `shape` is gone."""
        shape.uses -= 1
        assert shape.uses >= 0, shape
        if shape.uses == 0:
            if shape.stake is None or shape.stake.kind is None:
                del self._by_spec[shape.spec]
            else:
                del self._by_kind[shape.spec, shape.stake.kind]
        if shape.stake is not None and self._peers is not None and shape.spec.sociable:
            self._peers.leave(shape.spec)

    def live(self) -> list[Shape]:
        """Every shape in use, oldest first of those that others do not ask for, then of the rest."""
        return [*self._by_spec.values(), *self._by_kind.values()]
