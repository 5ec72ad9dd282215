"""How much of each node group every queue holds, itself and everything below it. Kept only while a policy limits that.

Facts that move many pods at once (a node joins another group, a gang another queue) make it stale; it is counted anew
before the next decision.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from flowbatch.model.gangs import Gang
from flowbatch.model.ids import QueueName
from flowbatch.model.resources import Request, Sums, add

if TYPE_CHECKING:
    from flowbatch.model.books import Books

#: The label that says which group a node belongs to.
NODE_GROUP: Final = "volcano.sh/nodegroup-name"


class GroupUse:
    """Sums by queue and group."""

    def __init__(self, books: "Books") -> None:
        self._books = books
        self._held: dict[tuple[QueueName, str], Sums] = {}
        self.stale = True

    def of(self, queue: QueueName, group: str) -> Sums:
        """What the queue holds in the group."""
        return self._held.get((queue, group), {})

    def move(self, gang: Gang, request: Request, rows: Iterable[int], counts: Iterable[int], sign: int = 1) -> None:
        """So many more of `request` on each of `rows`, or fewer."""
        if self.stale or gang.queue is None:
            return
        groups = self._books.columns.label(NODE_GROUP)
        for row, count in zip(rows, counts, strict=True):
            group = groups.values[groups.ids[row]] if row < groups.ids.size else None
            if group:
                self._add(gang, group, request, count * sign)

    def _add(self, gang: Gang, group: str, request: Request, count: int) -> None:
        for queue in gang.queue.path if gang.queue else ():
            add(self._held.setdefault((queue.name, group), {}), request, count)

    def refresh(self) -> None:
        """Count anew if that is needed."""
        if self.stale:
            self._held, self.stale = {}, False
            for node in self._books.nodes.values():
                group = node.labels.get(NODE_GROUP)
                for task in node.tasks.values() if group else ():
                    if task.gang is not None and group:
                        self._add(task.gang, group, task.shape.request, 1)

    def content(self) -> dict[tuple[QueueName, str], Sums]:
        """What is not zero, for checks."""
        return {key: dict(sums) for key, sums in sorted(self._held.items()) if sums}
