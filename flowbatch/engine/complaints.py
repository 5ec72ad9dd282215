"""What is wrong with a queue, in words: claims that contradict each other or the tree, and what was not understood.

Nothing here stops anything. A bad queue degrades by rules of its own (a negative amount is zero, a missing parent is
the root, what is deserved above the capability cannot be had) and says so on its object; the others go on.
"""

from collections.abc import Iterator

from flowbatch.engine.reasons import format_amount
from flowbatch.model.ids import QueueName
from flowbatch.model.queues import ROOT, Queue
from flowbatch.model.resources import Sums, add
from flowbatch.model.state import ClusterState

#: Branches of the drf plugin's tree by path, each with every weight that is stated and the first queue to state it.
Branches = dict[tuple[str, ...], dict[float, QueueName]]


def complaints(state: ClusterState) -> dict[QueueName, tuple[str, ...]]:
    """Everything that is wrong with queues now; those that are sound are left out."""
    found: dict[QueueName, tuple[str, ...]] = {}
    branches = stated_branches(state)
    for name, queue in state.queues.by_name.items():
        if queue.fact is not None:
            words = Complaints(queue, state, branches)
            wrong = (*words.place(), *words.claims(), *words.children(), *words.resources(), *words.branch())
            if queue.fact.problems or wrong:
                found[name] = (*queue.fact.problems, *wrong)
    return found


def stated_branches(state: ClusterState) -> Branches:
    """What all queues say about the drf plugin's tree."""
    branches: Branches = {}
    for queue in sorted(state.queues.by_name.values(), key=lambda queue: queue.name):
        names: tuple[str, ...] = ()
        for name, weight in queue.fact.hierarchy if queue.fact else ():
            names = (*names, name)
            branches.setdefault(names, {}).setdefault(weight, queue.name)
    return branches


class Complaints:
    """Looks at one queue."""

    def __init__(self, queue: Queue, state: ClusterState, branches: Branches) -> None:
        self._queue = queue
        self._state = state
        self._branches = branches

    def place(self) -> Iterator[str]:
        """Its parent."""
        queue = self._queue
        if queue.orphaned and queue.fact is not None:
            known = self._state.queues.by_name.get(queue.fact.parent)
            why = "is, by way of others, below this queue" if known and known.fact else "does not exist"
            yield f'spec.parent "{queue.fact.parent}" {why}: the queue hangs under {ROOT}'

    def claims(self) -> Iterator[str]:
        """guarantee ≤ deserved ≤ capability, as far as they are stated."""
        queue = self._queue
        yield from self._above(
            "spec.guarantee", queue.guarantee, "spec.deserved", queue.deserved, "it counts as deserved"
        )
        capped = "no more than that can be had"
        yield from self._above("spec.guarantee", queue.guarantee, "spec.capability", queue.capability, capped)
        yield from self._above("spec.deserved", queue.deserved, "spec.capability", queue.capability, capped)
        parent = queue.parent
        above = parent.capability if parent else {}
        label = f'that of its parent "{parent.name}"' if parent else ""
        yield from self._above("spec.capability", queue.capability, label, above, "the smaller one counts")

    def children(self) -> Iterator[str]:
        """What its children claim together."""
        queue = self._queue
        deserved: Sums = {}
        for child in queue.children:
            add(deserved, child.deserved.items())
        if queue.parent is None:
            total = "the cluster"
            yield from self._above("what queues are guaranteed", queue.pledged, total, self._state.total, "first come")
            return
        theirs = "their sum counts"
        yield from self._above("what its children are guaranteed", queue.pledged, "its own", queue.guarantee, theirs)
        yield from self._above("what its children deserve", deserved, "its own", queue.deserved, theirs)

    def resources(self) -> Iterator[str]:
        """Resources that no node has: a slip, or nodes that are still to come."""
        queue, total = self._queue, self._state.total
        if not total:
            return
        named = {**queue.capability, **queue.deserved, **queue.guarantee, **queue.borrowing, **queue.lending}
        names = self._state.axes.names
        for axis in sorted(axis for axis, amount in named.items() if amount and not total.get(axis, 0)):
            # Device classes are counted by claim: no node says that it has any.
            if "deviceclass/" not in names[axis]:
                yield f"no node has {names[axis]}"

    def branch(self) -> Iterator[str]:
        """The drf plugin's tree: one branch has one weight."""
        path = self._queue.fact.hierarchy if self._queue.fact else ()
        names: tuple[str, ...] = ()
        for name, mine in path:
            names = (*names, name)
            for weight, whose in self._branches[names].items():
                if weight != mine:
                    yield f'its branch "{name}" has weight {mine:g} here and {weight:g} in queue "{whose}"'
                    return

    def _above(self, what: str, claim: Sums, than: str, bound: Sums, then: str) -> Iterator[str]:
        names = self._state.axes.names
        for axis, amount in sorted(claim.items()):
            most = bound.get(axis)
            if most is not None and amount > most:
                claimed, allowed = format_amount(names[axis], amount), format_amount(names[axis], most)
                yield f"{what} of {claimed} is above {than} of {allowed}: {then}"
