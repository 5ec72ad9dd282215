"""Nodes that run pods as real processes, or play them on a clock.

The names below are found on first use: the first process of every pod imports `nodes.inside` and must stay lean.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowbatch.embedded.nodes.process import ProcessNodes
    from flowbatch.embedded.nodes.simulated import SimulatedNodes
    from flowbatch.embedded.nodes.specification import NodeSpecification

__all__ = ["NodeSpecification", "ProcessNodes", "SimulatedNodes"]

_HOMES = {"NodeSpecification": "specification", "ProcessNodes": "process", "SimulatedNodes": "simulated"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
