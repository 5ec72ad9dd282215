"""What a node offers, as a value, and the Node object that says so; pure."""

import platform
from dataclasses import dataclass, field
from datetime import datetime

from flowbatch import __version__
from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time

#: `process` or `simulated`.
NODE_KIND = "flowbatch.dev/node-kind"
#: What a person should know of this node before wondering.
NOTE = "flowbatch.dev/note"
ADDRESS = "127.0.0.1"

_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm"}


@dataclass(frozen=True, slots=True)
class NodeSpecification:
    """One node: quantities as Kubernetes writes them; `extended` are extended resources, `taints` as in a NodeSpec."""

    name: str
    cpu: str
    memory: str
    pods: int = 110
    extended: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[JsonObject, ...] = ()

    @property
    def resources(self) -> dict[str, str]:
        """The resource list: cpu, memory, pods and the extended ones."""
        return {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods), **self.extended}


def node_manifest(
    node: NodeSpecification, kind: str, now: datetime, *, port: int = 0, notes: dict[str, str] | None = None
) -> JsonObject:
    """The Node object, Ready; `port` is where its kubelet-like endpoint listens, 0 for none."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": node_labels(node, kind), "annotations": notes or {}},
        "spec": {"taints": list(node.taints)} if node.taints else {},
        "status": node_status(node, now, ready=True, port=port),
    }


def node_labels(node: NodeSpecification, kind: str) -> dict[str, str]:
    """The labels every kubelet sets, what kind of node it is, and the node's own."""
    arch = _ARCHITECTURES.get(platform.machine(), platform.machine())
    system = platform.system().lower()
    named = {f"{domain}kubernetes.io/{key}": value for domain in ("", "beta.") for key, value in
             (("arch", arch), ("os", system))}  # fmt: skip
    return {**named, "kubernetes.io/hostname": node.name, NODE_KIND: kind, **node.labels}


def node_status(node: NodeSpecification, now: datetime, *, ready: bool, port: int = 0) -> JsonObject:
    """NodeStatus: capacity, addresses, conditions, and where logs are served."""
    arch = _ARCHITECTURES.get(platform.machine(), platform.machine())
    return {
        "capacity": node.resources,
        "allocatable": node.resources,
        # No Hostname: kube-apiserver would prefer it to the address, and no resolver knows it.
        "addresses": [{"type": "InternalIP", "address": ADDRESS}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": conditions(now, ready=ready),
        "nodeInfo": {
            "architecture": arch,
            "operatingSystem": platform.system().lower(),
            "kernelVersion": platform.release(),
            "kubeletVersion": f"v1.36.0-flowbatch-{__version__}",
            "kubeProxyVersion": "",
            "containerRuntimeVersion": f"flowbatch://{__version__}",
            "osImage": platform.platform(),
            "machineID": node.name,
            "systemUUID": node.name,
            "bootID": node.name,
        },
    }


def conditions(now: datetime, *, ready: bool) -> list[JsonObject]:
    """The one condition that schedulers read, and the pressures they expect to be absent."""
    when = format_time(now)
    state = ("Ready", "True", "NodeReady", "pods can run") if ready else ("Ready", "False", "NodeStopped", "stopped")
    calm = [(f"{name}Pressure", "False", "NoPressure", "") for name in ("Memory", "Disk", "PID")]
    return [
        {"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": when}
        | {"lastTransitionTime": when}
        for kind, status, reason, message in (state, *calm)
    ]
