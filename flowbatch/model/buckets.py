"""Members of one gang that are to be placed side by side, as far as that goes: a wish, never a demand."""

from dataclasses import dataclass, field

from flowbatch.model.gangs import Task
from flowbatch.model.ids import PodUid
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Ints


@dataclass(slots=True, eq=False)
class Bucket:
    """Those that should share a node: who still has none, and how many are where."""

    index: int
    waiting: dict[PodUid, Task] = field(default_factory=dict)
    mates: dict[int, int] = field(default_factory=dict)
    #: Members by task name, and what those who wait ask for, in comparable units.
    roles: dict[str, int] = field(default_factory=dict)
    load: float = 0.0

    @property
    def size(self) -> int:
        """All members."""
        return sum(self.roles.values())

    def rest(self) -> list[tuple[Shape, int]]:
        """What those who wait ask for."""
        counts: dict[Shape, int] = {}
        for task in self.waiting.values():
            counts[task.shape] = counts.get(task.shape, 0) + 1
        return list(counts.items())


@dataclass(slots=True, eq=False)
class Buckets:
    """All buckets of a gang, where its tasks are by name, and the bucket of each pod that waits."""

    all: list[Bucket] = field(default_factory=list)
    of: dict[PodUid, Bucket] = field(default_factory=dict)
    #: Row -> task name -> how many.
    roles_on: dict[int, dict[str, int]] = field(default_factory=dict)
    #: Which are to be placed next, of which task; set while they are.
    bucket: Bucket | None = None
    role: str = ""

    @property
    def largest(self) -> int:
        """Members of the largest bucket."""
        return max((bucket.size for bucket in self.all), default=0)

    def stand(self, role: str, row: int, count: int = 1) -> None:
        """So many of a task are on a row."""
        here = self.roles_on.setdefault(row, {})
        here[role] = here.get(role, 0) + count

    def placed(self, tasks: list[Task], rows: Ints, counts: Ints) -> None:
        """`counts` of `tasks`, all of one task name, have found places on `rows`."""
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
            self.stand(tasks[0].fact.task, row, count)
            bucket = self.of.get(tasks[0].uid)
            if bucket is not None:
                bucket.mates[row] = bucket.mates.get(row, 0) + count
        for task in tasks:
            bucket = self.of.get(task.uid)
            if bucket is not None:
                bucket.waiting.pop(task.uid, None)
