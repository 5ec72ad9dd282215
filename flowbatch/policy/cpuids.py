"""Which cpus a pod has for itself, as its annotation says it: written before the binding, read back after a restart.

Volcano's `volcano.sh/topology-decision` says how many of each NUMA node: `{"numa":{"0":{"cpu":"4"}}}`. flowbatch adds
which (`"cpus":"0-3"`), because only sets can be told apart from what the kubelet says is taken; Volcano skips that.
"""

from typing import Final

import msgspec

from flowbatch.model.cpus import Layout
from flowbatch.model.cpusets import parsed, written

TOPOLOGY_DECISION: Final = "volcano.sh/topology-decision"


class Decision(msgspec.Struct, frozen=True):
    """The annotation's content, as far as it is read again."""

    cpus: str = ""


_decode = msgspec.json.Decoder(Decision).decode


def decision(layout: Layout, cpus: int) -> dict[str, str]:
    """The annotation of a pod that is to have `cpus`."""
    numa = {str(name): {"cpu": str(count)} for name, count in layout.by_node(cpus)}
    return {TOPOLOGY_DECISION: msgspec.json.encode({"numa": numa, "cpus": written(cpus)}).decode()}


def decided(text: str) -> str:
    """The set of cpus that an annotation names; none where it makes no sense, or is Volcano's own and names none."""
    try:
        cpus = _decode(text).cpus if text else ""
        return written(parsed(cpus)) if cpus else ""
    except (msgspec.MsgspecError, ValueError):
        return ""
