"""A world of objects for the admission rules, and the manifests that tests change: small, valid, by kind."""

from typing import Any

CONTAINER = {"name": "main", "image": "busybox"}


class Stored:
    """What the rules may look at: `World` over plain manifests."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self._objects = list(objects)

    def __call__(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        for each in self._objects:
            meta = each["metadata"]
            if (each["kind"], meta.get("namespace", ""), meta["name"]) == (kind, namespace, name):
                return each
        return None

    def every(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self._objects if each["kind"] == kind]


def job(name: str = "pi", **spec: Any) -> dict[str, Any]:
    full = {"tasks": [task()], **spec}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": meta, "spec": full}


def task(name: str = "worker", replicas: int = 2, **fields: Any) -> dict[str, Any]:
    return {"name": name, "replicas": replicas, "template": {"spec": {"containers": [dict(CONTAINER)]}}, **fields}


def queue(name: str = "q", state: str = "", allocated: Any = None, annotations: Any = None, **spec: Any) -> Any:
    made: dict[str, Any] = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue", "metadata": {"name": name}}
    made["spec"] = spec
    if annotations:
        made["metadata"]["annotations"] = annotations
    if state or allocated:
        made["status"] = {"state": state or "Open", "allocated": allocated or {}}
    return made


def pod_group(name: str = "g", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "PodGroup", "metadata": meta, "spec": spec}


def hyper_node(name: str = "s1", *members: Any, tier: int = 1) -> dict[str, Any]:
    spec = {"tier": tier, "members": list(members)}
    return {"apiVersion": "topology.volcano.sh/v1alpha1", "kind": "HyperNode", "metadata": {"name": name}, "spec": spec}


def command(action: str = "AbortJob", kind: str = "Job") -> dict[str, Any]:
    target = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": kind, "name": "pi", "uid": "1"}
    meta = {"name": "c", "namespace": "default"}
    return {
        "apiVersion": "bus.volcano.sh/v1alpha1",
        "kind": "Command",
        "metadata": meta,
        "action": action,
        "target": target,
    }


def flow(*steps: Any, name: str = "f", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    full = {"flows": list(steps), **spec}
    return {"apiVersion": "flow.volcano.sh/v1alpha1", "kind": "JobFlow", "metadata": meta, "spec": full}


def template(name: str = "a", **spec: Any) -> dict[str, Any]:
    made = job(name, **spec)
    return {**made, "apiVersion": "flow.volcano.sh/v1alpha1", "kind": "JobTemplate"}


def cron(name: str = "nightly", schedule: str = "0 3 * * *", **spec: Any) -> dict[str, Any]:
    made = {"schedule": schedule, "jobTemplate": {"spec": job()["spec"]}, **spec}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "CronJob", "metadata": meta, "spec": made}


def pod(scheduler: str = "volcano", namespace: str = "default", annotations: Any = None, **spec: Any) -> Any:
    meta = {"name": "p", "namespace": namespace, "annotations": annotations or {}}
    full = {"schedulerName": scheduler, "containers": [dict(CONTAINER)], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": full}


def namespace(name: str = "default", queue: str = "") -> dict[str, Any]:
    annotations = {"scheduling.volcano.sh/queue-name": queue} if queue else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}}


def priority_class(name: str) -> dict[str, Any]:
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 5}
