"""What one pod of a task asks for, read from a template that may be anything."""

from typing import Any

import msgspec

from flowbatch.api.batch import TaskSpec
from flowbatch.api.core import PodSpec
from flowbatch.api.quantity import QuantityError
from flowbatch.api.requests import Amounts, pod_requests


def task_requests(task: TaskSpec) -> Amounts:
    """What one pod of the task asks for. A template that cannot be read asks for nothing: its pods will be refused."""
    try:
        return pod_requests(msgspec.convert(_readable(task.template.get("spec")), PodSpec))
    except (msgspec.ValidationError, QuantityError):
        return ()


def _readable(spec: Any) -> Any:
    """`spec` without fields that are null: kubectl's dumps have them, the Structs do not."""
    if not isinstance(spec, dict):
        return {}
    kept = {key: spec[key] for key in ("containers", "initContainers", "overhead") if spec.get(key) is not None}
    for key in ("containers", "initContainers"):
        if isinstance(kept.get(key), list):
            kept[key] = [_asking(each) for each in kept[key]]
    return {**kept, "resources": _asking(spec)["resources"]}


def _asking(container: Any) -> Any:
    """What is asked for, by a container or by a pod as a whole."""
    if not isinstance(container, dict):
        return container
    resources = container.get("resources") or {}
    parts = {key: resources[key] for key in ("requests", "limits") if resources.get(key) is not None}
    return {"restartPolicy": container.get("restartPolicy") or "", "resources": parts}
