"""A node's identity and who is on it. Its numbers are in the NodeTable, at its row."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowbatch.model.facts import NodeSeen
from flowbatch.model.ids import NodeName, PodUid, Row

if TYPE_CHECKING:
    from flowbatch.model.gangs import Task


@dataclass(slots=True, eq=False)
class Node:
    """A node, or the name of one that pods claim to be on and that nobody has shown us (`fact` is None)."""

    name: NodeName
    row: Row
    fact: NodeSeen | None = None
    labels: dict[str, str] = field(default_factory=dict)
    #: Everything that holds capacity here.
    tasks: "dict[PodUid, Task]" = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """It exists and its kubelet says it is ready."""
        return self.fact is not None and self.fact.ready
