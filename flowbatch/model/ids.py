"""The names of things, as distinct types, so that a pod's uid is never taken for a gang's id."""

from typing import NewType

PodUid = NewType("PodUid", str)
#: "namespace/name" of the PodGroup.
GangId = NewType("GangId", str)
NodeName = NewType("NodeName", str)
QueueName = NewType("QueueName", str)
#: "namespace/name" of the PodDisruptionBudget.
BudgetId = NewType("BudgetId", str)
HyperNodeName = NewType("HyperNodeName", str)
#: Process-local: an index into the shape table; never on the wire.
ShapeId = NewType("ShapeId", int)
#: Process-local: a node's column in the table; reused after the node is gone.
Row = NewType("Row", int)
#: Epoch milliseconds, always handed in; nothing below the purity line reads a clock.
Instant = NewType("Instant", int)
#: Before everything.
EPOCH = Instant(0)

#: Sorted `(resource, units)`: cpu in thousandths, everything else in bytes or pieces.
Amounts = tuple[tuple[str, int], ...]
