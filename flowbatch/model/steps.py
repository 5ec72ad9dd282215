"""What a binding may need first."""

from typing import Final, Literal

import msgspec

#: The scheduling gate that waits for nothing but room in a queue (Volcano: SchedulingGatesQueueAdmission).
QUEUE_GATE: Final = "scheduling.volcano.sh/queue-allocation-gate"


class Step(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Something to do before a binding is sent, in order.

    A patch, a volume, an annotation, a gate to lift, devices given to a claim; or a lock: annotation `name` of node
    `value`, which nobody has.
    """

    kind: Literal["patch", "volume", "annotation", "gate", "lock", "devices"]
    name: str
    value: str = ""
