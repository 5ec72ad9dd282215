"""The seams of the scheduler: small Protocols that policies implement. Public.

A policy is a frozen value without state of its own; two engines may share it. It reads the ClusterView, returns a
value and changes nothing. One that raises, or whose answer is none, is left out of that decision, counted and reported;
it cannot break an invariant, because capacity, limits and gangs are the engine's own business (docs/policies.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.asks import DeviceAsk
from flowbatch.model.blockers import Blocker
from flowbatch.model.buckets import Buckets
from flowbatch.model.devices import Bank
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Amounts, Instant
from flowbatch.model.inquiry import Inquiry
from flowbatch.model.nodes import Node
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums
from flowbatch.model.shapes import Shape
from flowbatch.model.steps import Step
from flowbatch.model.table import Bools, Floats, Ints
from flowbatch.model.view import ClusterView

#: Which rows of the table: a selection, or all of them.
Rows = NDArray[np.int64] | slice
#: How many more of the same shape a row is supposed to have already.
Extra = int | NDArray[np.int64]
#: How a score moves as more of one shape land on a node: "fixed" ones are cached, "rising" ones allow filling node by
#: node in one step, "falling" and "any" are followed level by level. All give what placing one at a time would give.
Trend = Literal["fixed", "rising", "falling", "any"]
#: One part of a sort key; a tuple where levels of a tree are compared, because paths differ in length.
KeyPart = float | int | str | tuple[float, ...]
#: Whether placing one of a shape changes what a policy says about the next one. "many": not at all, or only that no
#: other may be on the same row, if that is among `lonely(shape, view)`.
Pace = Literal["many", "one"]
#: Parts of sort keys. Smaller comes first.
Key = tuple[KeyPart, ...]


class NodeFilter(Protocol):
    """A static yes or no, cached per shape until the node's labels, taints or cordon change.

    A filter or score that looks at where others have been placed says so with an attribute `by_placement = True`: then
    nothing of it is cached, and pods are placed one by one. With a method `concerns(shape, view) -> bool` that is so
    only for shapes that it concerns, and a method `pace(shape, view) -> Pace` may allow more than one at a time.
    `by_stake = True` promises that it never concerns a shape whose `stake` is None.

    One with an attribute `by_moment = True` looks at the time, at measurements or at `view.gang`: nothing of it is
    cached either, but many pods are placed by one search.
    """

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or why not, for people ("node(s) were unschedulable")."""
        ...


class ColumnFilter(NodeFilter, Protocol):
    """A filter that judges all nodes at once; must agree with `admits`."""

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows refused, each with the reason `admits` gives; together they are all that it refuses."""
        ...


class RowLimit(Protocol):
    """How many of one shape may be placed on a node now, where that is less than what fits. Asked at each search."""

    @property
    def reason(self) -> str:
        """Why there is no place, for people ("node(s) keep cpu for others")."""
        ...

    def most(self, shape: Shape, copies: Ints, view: ClusterView) -> Ints:
        """Of `copies` that fit on each row, how many may be placed there for `view.gang`."""
        ...


@runtime_checkable
class Timed(Protocol):
    """Something that says something else later, by the clock alone."""

    def turns(self, view: ClusterView) -> Instant | None:
        """When, after `view.now`; None for never."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """A filter that looks at what is measured of a node."""

    def overused(self, permille: Amounts) -> bool:
        """Whether it refuses a node of which this was measured."""
        ...


class NodeScore(Protocol):
    """Which of the nodes that would do is better.

    A fixed score with `stretch = "up"` counts as a part of the most that any node has which admits the shape; with
    "down", what it lacks of 1 counts as a part of the most that any of them lacks.
    """

    @property
    def weight(self) -> float:
        """How much it counts among the scores."""
        ...

    @property
    def trend(self) -> Trend:
        """How it moves as more of a shape land on one node."""
        ...

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """One number in [0, 1] per row for placing one more of `shape`, given `extra` more of it there already."""
        ...


class GangOrder(Protocol):
    """Who comes first in a queue. Reads only the gang, its queue and totals."""

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """Part of the sort key; smaller comes first."""
        ...


class QueueOrder(Protocol):
    """Which queue's turn it is. Asked again whenever the queue's sums move.

    One that looks at other queues too, such as those above, says so with an attribute `by_tree = True`: then a queue is
    asked again when its turn comes.
    """

    def key(self, queue: Queue, view: ClusterView) -> Key:
        """Part of the sort key; smaller comes first."""
        ...


class Admission(Protocol):
    """May it go on now? Else what is it waiting for."""

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """None to go on, or what must be cured first."""
        ...


class Permit(Protocol):
    """Who has waited long enough: gates that only say "later" are not asked any more, and room is kept for it."""

    def due(self, gang: Gang, view: ClusterView) -> Instant | None:
        """From when on; None for never."""
        ...


class QueueLimit(Protocol):
    """How much a queue may hold."""

    @property
    def own(self) -> bool:
        """It limits what a queue's own gangs hold; otherwise everything below it too, at every level of the tree."""
        ...

    @property
    def kind(self) -> str:
        """What people call it ("capability")."""
        ...

    @property
    def first_gang_may_exceed(self) -> bool:
        """A queue that holds nothing may start one gang above this limit."""
        ...

    def limit(self, queue: Queue, view: ClusterView) -> Mapping[int, int]:
        """Ceilings by axis; an absent axis has none."""
        ...


class Ceiling(NamedTuple):
    """The most that may be held where `held` is held now. Axes without a most have none."""

    queue: Queue
    kind: str
    held: Mapping[int, int]
    most: Mapping[int, int]
    #: Whose, where it is not the whole queue's ("user ann").
    owner: str = ""
    #: Who holds nothing may start one gang above it.
    first_gang_may_exceed: bool = False
    #: Of what is held, what is about to be given back, where that is known.
    leaving: Mapping[int, int] = {}
    #: Only what the queue's own gangs hold.
    own: bool = False


class GangLimit(Protocol):
    """How much may be held together with a gang, by whatever set of gangs it belongs to."""

    def ceilings(self, gang: Gang, view: ClusterView) -> Iterable[Ceiling]:
        """Each with the queue whose easing may lift it."""
        ...


class ShareRule(Protocol):
    """How the cluster is divided between queues that want it.

    One with an attribute `tree = True` is given the queues above those that have gangs too, each after its parent.
    """

    def divide(self, queues: Sequence[Queue], total: Sums, view: ClusterView) -> list[Sums]:
        """Each queue's share, in the order of `queues`; an axis absent from a share is zero."""
        ...


@dataclass(frozen=True, slots=True)
class DomainAsk:
    """What a gang asks of a network domain: amounts in all, and how many more of its shapes each domain would hold."""

    needs: Sums
    #: Per domain, in the order of `view.topology.index`; of several shapes, of the scarcest.
    slack: Ints


class DomainOrder(Protocol):
    """Which of the network domains of one tier, each with room enough, is better."""

    def rank(self, ask: DomainAsk, view: ClusterView) -> Floats | Ints:
        """One number per domain of `view.topology.index`; smaller comes first."""
        ...


class VictimFilter(Protocol):
    """Whom an eviction must spare. One with a true attribute `about_parts` is not asked of pods that only move."""

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """None if it may go, or why not."""
        ...


class BucketRule(Protocol):
    """Which members of a gang should be placed side by side."""

    def build(self, gang: Gang) -> Buckets | None:
        """Its buckets as things stand, or None where nothing is wished."""
        ...


class VictimSource(Protocol):
    """Who should go although nobody waits for its place (Volcano: VictimTasks, which the shuffle action asks)."""

    @property
    def every_ms(self) -> int:
        """How often to ask."""
        ...

    def victims(self, view: ClusterView) -> Sequence[Task]:
        """Pods to evict now. Those that run no more, or must be spared whatever happens, are left out by the engine."""
        ...


class Ledger(Protocol):
    """Derived state of a policy, one object per engine. `removed` is the exact inverse of `placed`."""

    def placed(self, gang: Gang, shape: Shape, count: int) -> None:
        """`count` of `shape` took their places."""
        ...

    def removed(self, gang: Gang, shape: Shape, count: int) -> None:
        """They gave them back."""
        ...


class Confirmation(Protocol):
    """Somebody outside must agree before bindings go out. Capacity is held meanwhile."""

    def question(self, gang: Gang, placed: Sequence[tuple[Task, Node]], view: ClusterView) -> str | Inquiry | None:
        """What to ask, or None. Any answer but "yes" gives the capacity back."""
        ...


class GateConfirmation(Confirmation, Protocol):
    """Somebody outside must agree, too, before a gang may have pods. Known by its method."""

    def gate_question(self, gang: Gang, view: ClusterView) -> Inquiry | None:
        """What to ask, or None."""
        ...


class DeviceOrder(Protocol):
    """Which of a node's shared devices is better for one pod."""

    def key(self, shape: Shape, ask: DeviceAsk, bank: Bank, view: ClusterView) -> Floats:
        """A number for each device of each row of `bank`; smaller is better, devices that do not fit are not asked."""
        ...


class StepSource(Protocol):
    """What must be done before a binding is sent."""

    def steps(self, task: Task, node: Node, view: ClusterView) -> tuple[Step, ...]:
        """In the order in which they are to be done."""
        ...
