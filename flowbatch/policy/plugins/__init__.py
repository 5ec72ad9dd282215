"""Volcano's plugins by name: each module reads one plugin's arguments and says what it adds to a Policy."""

from typing import Final

from flowbatch.policy.parts import Reader
from flowbatch.policy.plugins import (
    binpack,
    capacity,
    cdp,
    conformance,
    deviceshare,
    drf,
    extender,
    gang,
    network_topology_aware,
    nodegroup,
    nodeorder,
    numa_aware,
    overcommit,
    pdb,
    predicates,
    priority,
    proportion,
    rescheduling,
    resource_strategy_fit,
    resourcequota,
    sla,
    task_topology,
    tdm,
    usage,
)

#: In the order of docs/plugins.md.
PLUGINS: Final[dict[str, Reader]] = {
    "gang": gang.read,
    "priority": priority.read,
    "drf": drf.read,
    "conformance": conformance.read,
    "proportion": proportion.read,
    "capacity": capacity.read,
    "predicates": predicates.read,
    "nodeorder": nodeorder.read,
    "binpack": binpack.read,
    "overcommit": overcommit.read,
    "network-topology-aware": network_topology_aware.read,
    "cdp": cdp.read,
    "pdb": pdb.read,
    "sla": sla.read,
    "tdm": tdm.read,
    "usage": usage.read,
    "resourcequota": resourcequota.read,
    "nodegroup": nodegroup.read,
    "rescheduling": rescheduling.read,
    "task-topology": task_topology.read,
    "resource-strategy-fit": resource_strategy_fit.read,
    "extender": extender.read,
    "deviceshare": deviceshare.read,
    "numa-aware": numa_aware.read,
}
