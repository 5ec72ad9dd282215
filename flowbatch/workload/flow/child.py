"""The job of a step: its template's spec, patched, with the values that the step is given."""

from typing import Any

import msgspec

from flowbatch.api.batch import Job
from flowbatch.api.flow import Flow, JobFlow, JobTemplate
from flowbatch.api.kinds import JOB, JOB_FLOW
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import CREATED_BY_FLOW, CREATED_BY_TEMPLATE, FLOW_ATTEMPT, FLOW_ITEM, FLOW_STEP
from flowbatch.workload.flow.merging import merged
from flowbatch.workload.flow.values import unexpanded
from flowbatch.workload.flow.workspace import with_workspace
from flowbatch.workload.rules.names import label_value_problem

#: The variables of a step that runs over a list: the item as JSON, and its place.
ITEM_VARIABLE, INDEX_VARIABLE = "FLOWBATCH_ITEM", "FLOWBATCH_ITEM_INDEX"


def job_name(flow: JobFlow, step: Flow, item: int | None = None) -> str:
    """Volcano's name of a step's job; with its place, where there is one job for each item of a list."""
    name = f"{flow.metadata.name}-{step.name}"
    return name if item is None else f"{name}-{item}"


def template_name(step: Flow) -> str:
    """The JobTemplate that a step uses."""
    return step.job_template or step.name


def attempt_of(job: Job) -> int:
    """Which attempt of its step a job is; Volcano's have no number, and are the first."""
    stated = job.metadata.annotations.get(FLOW_ATTEMPT, "1")
    return int(stated) if stated.isdecimal() and len(stated) < 10 else 1


def child_job(
    flow: JobFlow, step: Flow, template: JobTemplate, variables: dict[str, str], item: int | None, attempt: int
) -> JsonObject:
    """The manifest of the job: `variables` go into every container of every task."""
    spec: JsonObject = msgspec.to_builtins(template.spec)
    if step.patch is not None:
        spec = merged(spec, step.patch.job_spec)
    if variables:
        spec = {**spec, "tasks": [_task_with(task, variables) for task in spec.get("tasks", ())]}
    spec = with_workspace(flow, spec)
    meta = flow.metadata
    owner = {"apiVersion": JOB_FLOW.api_version, "kind": JOB_FLOW.kind, "name": meta.name, "uid": meta.uid}
    marks = {
        CREATED_BY_TEMPLATE: f"{meta.namespace}.{template_name(step)}",
        CREATED_BY_FLOW: f"{meta.namespace}.{meta.name}",
    }
    place = {FLOW_ITEM: str(item)} if item is not None else {}
    metadata: JsonObject = {
        "name": job_name(flow, step, item),
        "namespace": meta.namespace,
        # A label holds 63 characters; Volcano's annotations of the same names hold the whole.
        "labels": {
            key: value for key, value in {**marks, FLOW_STEP: step.name}.items() if not label_value_problem(value)
        },
        "annotations": {**marks, FLOW_STEP: step.name, FLOW_ATTEMPT: str(attempt), **place},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    return {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata, "spec": spec}


def _task_with(task: JsonObject, variables: dict[str, str]) -> JsonObject:
    template = task.get("template")
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return task
    pod = template["spec"]
    full = {
        kind: [_container_with(each, variables) for each in pod[kind]]
        for kind in ("initContainers", "containers")
        if isinstance(pod.get(kind), list)
    }
    return {**task, "template": {**template, "spec": {**pod, **full}}}


def _container_with(container: Any, variables: dict[str, str]) -> Any:
    """The flow's values come before the container's own, which may refer to them, and in place of those of a name."""
    if not isinstance(container, dict):
        return container
    own = [
        each for each in container.get("env") or () if not (isinstance(each, dict) and each.get("name") in variables)
    ]
    return {
        **container,
        "env": [*({"name": name, "value": unexpanded(value)} for name, value in variables.items()), *own],
    }
