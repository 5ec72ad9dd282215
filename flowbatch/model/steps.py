"""What a binding may need first."""

from typing import Literal

import msgspec


class Step(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Something to do before a binding is sent, in order: a patch, a volume, an annotation, a gate to lift."""

    kind: Literal["patch", "volume", "annotation", "gate"]
    name: str
    value: str = ""
