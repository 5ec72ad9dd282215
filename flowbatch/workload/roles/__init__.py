"""Job plugins: what a task's pods need to know to play their role. The registry, in the order plugins are applied.

The order is fixed (Volcano's is a map's): pytorch before hcclrank, which reads the RANK that pytorch sets.
"""

from collections.abc import Mapping, Sequence

from flowbatch.workload.roles.contract import RolePlugin, SshKeys
from flowbatch.workload.roles.env import Env
from flowbatch.workload.roles.flags import Parsed, parse_flags
from flowbatch.workload.roles.hcclrank import HcclRank
from flowbatch.workload.roles.jax import Jax
from flowbatch.workload.roles.mpi import Mpi
from flowbatch.workload.roles.pytorch import PyTorch
from flowbatch.workload.roles.ray import Ray
from flowbatch.workload.roles.ssh import Ssh
from flowbatch.workload.roles.svc import Svc
from flowbatch.workload.roles.tensorflow import TensorFlow
from flowbatch.workload.roles.xgboost import XgBoost

__all__ = ["PLUGINS", "Parsed", "RolePlugin", "SshKeys", "cast", "parse_flags"]

_ALL: tuple[RolePlugin, ...] = (
    Env(),
    Svc(),
    Ssh(),
    Mpi(),
    TensorFlow(),
    PyTorch(),
    Ray(),
    Jax(),
    XgBoost(),
    HcclRank(),
)
PLUGINS: Mapping[str, RolePlugin] = {plugin.name: plugin for plugin in _ALL}


def cast(plugins: Mapping[str, Sequence[str]]) -> list[tuple[RolePlugin, Parsed]]:
    """The plugins of a job with their arguments read, in the order in which they apply.

    An argument that cannot be read was refused by the rules; if it is here all the same, its default stands, as in
    Volcano. A plugin that is not known is left out.
    """
    return [
        (plugin, parse_flags(tuple(plugins[name] or ()), plugin.flags))
        for name, plugin in PLUGINS.items()
        if name in plugins
    ]


def completed_plugins(plugins: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """`plugins` with those that they need; what the user wrote is never overridden."""
    full = {name: list(arguments or ()) for name, arguments in plugins.items()}
    for name in plugins:
        for needed in PLUGINS[name].needs if name in PLUGINS else ():
            full.setdefault(needed, [])
    return full
