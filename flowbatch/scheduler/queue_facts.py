"""Queue objects in, QueueSeen out: what can be understood is taken, and what cannot is left out and said.

A queue must not be lost to one bad annotation, nor the cluster to one bad queue. Only an unreadable limit closes a
queue, because what is not understood must not become "no limit"; everything else degrades by itself and is told in
`problems`, which the engine says on the queue.
"""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from flowbatch.api import names
from flowbatch.api.quantity import QuantityError
from flowbatch.api.scheduling import OwnerLimit, Quantities, Queue, QueueAffinity
from flowbatch.engine import events
from flowbatch.errors import shorten
from flowbatch.model.ids import Amounts, Instant, QueueName
from flowbatch.scheduler.shapes import MAX_QUEUE_UNITS, queue_amounts
from flowbatch.scheduler.translate import UnreadableError, instant

MOST_WEIGHT: Final = 65_535
#: A deeper tree of the drf plugin is somebody's mistake.
MOST_LEVELS: Final = 64
_STATES: Final = frozenset(get_args(events.QueueState))
_STRATEGIES: Final = frozenset(get_args(events.DequeueStrategy))


class UseNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was used by `at` and held from then on: amounts by resource, in units of account."""

    at: int
    used: dict[str, float] = {}
    held: dict[str, int] = {}


class PastUseNote(UseNote, frozen=True, omit_defaults=True):
    """The annotation `flowbatch.dev/past-use`: of the queue, and of namespaces and users in it by name."""

    namespaces: dict[str, UseNote] = {}
    users: dict[str, UseNote] = {}


def queue_fact(queue: Queue) -> events.QueueSeen:
    """`queue` as the engine sees it; absent `reclaimable` is true, absent state is Open. Raises UnreadableError."""
    meta, spec = queue.metadata, queue.spec
    state = "Closing" if meta.deletion_timestamp is not None else queue.status.state or "Open"
    if spec.suspend or meta.annotations.get(names.SUSPENDED) == "true":
        state = "Suspended"
    reader = _Reader(meta.annotations)
    try:
        return events.QueueSeen(
            name=QueueName(meta.name),
            uid=meta.uid,
            created=instant(meta.creation_timestamp),
            parent=QueueName(spec.parent),
            weight=reader.weight(spec.weight),
            priority=spec.priority,
            capability=reader.amounts("spec.capability", spec.capability),
            deserved=reader.amounts("spec.deserved", spec.deserved),
            guarantee=reader.amounts("spec.guarantee.resource", spec.guarantee.resource),
            reclaimable=spec.reclaimable is not False,
            state=state if state in _STATES else "Unknown",  # type: ignore[arg-type]  # narrowed by the set
            dequeue=reader.strategy(spec.dequeue_strategy),  # type: ignore[arg-type]  # narrowed by the reader
            hierarchy=reader.hierarchy(),
            borrowing=reader.limit("spec.borrowingLimit", spec.borrowing_limit, names.BORROWING_LIMIT),
            lending=reader.limit("spec.lendingLimit", spec.lending_limit, names.LENDING_LIMIT),
            limits=reader.owners(spec.limits),
            affinity=node_groups(spec.affinity),
            past_use=reader.past_use(),
            group_limits=reader.groups(),
            problems=tuple(reader.problems),
        )
    except QuantityError as error:
        raise UnreadableError(f"{reader.where} {error}") from error


def closed_queue(queue: Queue, reason: str) -> events.QueueSeen:
    """A queue that cannot be read admits nothing, rather than everything."""
    meta = queue.metadata
    return events.QueueSeen(name=QueueName(meta.name), uid=meta.uid, state="Unknown", problems=(reason,))


def node_groups(affinity: QueueAffinity | None) -> events.NodeGroups:
    """The node groups that a queue names, by how much it means it."""
    wanted = affinity.node_group_affinity if affinity else None
    unwanted = affinity.node_group_anti_affinity if affinity else None
    return events.NodeGroups(
        required=wanted.required_during_scheduling_ignored_during_execution if wanted else (),
        preferred=wanted.preferred_during_scheduling_ignored_during_execution if wanted else (),
        forbidden=unwanted.required_during_scheduling_ignored_during_execution if unwanted else (),
        avoided=unwanted.preferred_during_scheduling_ignored_during_execution if unwanted else (),
    )


class _Reader:
    """Reads parts of one queue and notes what is wrong with them."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self._annotations = annotations
        self.problems: list[str] = []
        #: What is being read, for an amount that cannot be.
        self.where = "spec"

    def weight(self, weight: int) -> int:
        """From 1 to 65535."""
        within = max(1, min(weight, MOST_WEIGHT))
        if within != weight:
            self.problems.append(f"spec.weight {weight} is not from 1 to {MOST_WEIGHT} and counts as {within}")
        return within

    def strategy(self, name: str) -> str:
        """`traverse` where nothing is said."""
        if name and name not in _STRATEGIES:
            self.problems.append(f"spec.dequeueStrategy {shorten(name)} is neither fifo nor traverse: traverse it is")
        return name if name in _STRATEGIES else "traverse"

    def amounts(self, where: str, quantities: Quantities) -> Amounts:
        """Amounts from nothing to what sums can bear. Raises QuantityError."""
        self.where = where
        read: list[tuple[str, int]] = []
        for name, units in queue_amounts(quantities):
            if units < 0:
                self.problems.append(f"{where}.{name} is negative and counts as 0")
            elif units >= MAX_QUEUE_UNITS:
                self.problems.append(f"{where}.{name} is too large and is cut to {MAX_QUEUE_UNITS}")
            read.append((name, max(0, units)))
        return tuple(read)

    def limit(self, where: str, field: Quantities | None, annotation: str) -> Amounts | None:
        """The field where it is served, else the annotation, else None."""
        if field is not None:
            return self.amounts(where, field)
        noted = self._limiting(annotation, dict[str, str | int | float])
        return None if noted is None else self.amounts(f"annotation {annotation}", noted)

    def owners(self, field: tuple[OwnerLimit, ...]) -> tuple[events.OwnerLimit, ...]:
        """Limits of namespaces and users; one that names nobody, or both kinds, is left out."""
        limits = field or self._limiting(names.OWNER_LIMITS, tuple[OwnerLimit, ...]) or ()
        read: list[events.OwnerLimit] = []
        for index, each in enumerate(limits):
            where = f"spec.limits[{index}]"
            if bool(each.namespaces) == bool(each.users):
                self.problems.append(f"{where} must name namespaces or users, and not both: it is left out")
                continue
            jobs = None if each.jobs is None else max(0, each.jobs)
            most = self.amounts(f"{where}.resources", each.resources)
            read.append(events.OwnerLimit(each.namespaces, each.users, most, jobs))
        return tuple(read)

    def groups(self) -> tuple[tuple[str, Amounts], ...]:
        """Limits by node group."""
        noted = self._limiting(names.NODE_GROUP_LIMITS, dict[str, Quantities]) or {}
        where = f"annotation {names.NODE_GROUP_LIMITS}"
        return tuple((group, self.amounts(f"{where}: {group}", noted[group])) for group in sorted(noted))

    def hierarchy(self) -> tuple[tuple[str, float], ...]:
        """The drf plugin's path: both annotations or none, one weight above nothing for each name."""
        path, weights = (self._annotations.get(key, "") for key in (names.HIERARCHY, names.HIERARCHY_WEIGHTS))
        if not path and not weights:
            return ()
        parts, numbers = path.split("/"), [_weight(text) for text in weights.split("/")]
        if len(parts) != len(numbers) or len(parts) > MOST_LEVELS or not all(parts) or not all(numbers):
            told = f"{shorten(path)} with weights {shorten(weights)}"
            self.problems.append(
                f"annotation {names.HIERARCHY}: {told} is no path with one weight above 0 for each part"
            )
            return ()
        return tuple(zip(parts, (number or 1.0 for number in numbers), strict=True))

    def past_use(self) -> events.PastUse | None:
        """What an earlier scheduler remembered."""
        text = self._annotations.get(names.PAST_USE)
        try:
            noted = msgspec.json.decode(text, type=PastUseNote) if text else None
        except msgspec.MsgspecError as error:
            self.problems.append(f"annotation {names.PAST_USE} is left out: {str(error)[:200]}")
            return None
        if noted is None:
            return None
        owners = [
            *(events.OwnerUse("namespace", name, *_use(note)) for name, note in noted.namespaces.items()),
            *(events.OwnerUse("user", name, *_use(note)) for name, note in noted.users.items()),
        ]
        return events.PastUse(*_use(noted), owners=tuple(sorted(owners, key=lambda each: (each.kind, each.name))))

    def _limiting(self, annotation: str, kind: Any) -> Any:
        """What an annotation says that limits the queue, or None. Raises UnreadableError."""
        text = self._annotations.get(annotation)
        try:
            return msgspec.json.decode(text, type=kind) if text else None
        except msgspec.MsgspecError as error:
            raise UnreadableError(f"annotation {annotation}: {str(error)[:200]}") from error


def _use(noted: UseNote) -> tuple[Instant, tuple[tuple[str, float], ...], Amounts]:
    used = tuple(sorted((name, max(0.0, value)) for name, value in noted.used.items() if value < float("inf")))
    return Instant(noted.at), used, tuple(sorted((name, max(0, units)) for name, units in noted.held.items()))


def _weight(text: str) -> float | None:
    """A plain number above 0; None for anything else, a power of ten among them."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18 or not digits.strip("0"):
        return None
    return float(text)
