"""Workflows to manifests: the one place that knows which field of a JobFlow a field of the DSL becomes."""

from pathlib import Path

from flowbatch.api.meta import JsonObject
from flowbatch_dsl.data import Workspace
from flowbatch_dsl.frozen import thaw
from flowbatch_dsl.job import Job
from flowbatch_dsl.manifest import given, job_manifest
from flowbatch_dsl.strategic import merge
from flowbatch_dsl.workflows.node import Each, Node, Output
from flowbatch_dsl.workflows.workflow import Workflow

#: The program that runs a function in a pod, and the variable that says where else than where it starts to look for it.
RUNNER, PATH = "flowbatch_dsl.runner", "FLOWBATCH_PATH"
API_VERSION = "flow.volcano.sh/v1alpha1"
FLOW, TEMPLATE = "JobFlow", "JobTemplate"


def workflow_manifests(workflow: Workflow) -> list[JsonObject]:
    """What goes along, the JobTemplates and the JobFlow, in the order of creation."""
    return [*map(thaw, workflow.objects), *template_manifests(workflow), flow_manifest(workflow)]


def submission_manifests(workflow: Workflow) -> list[JsonObject]:
    """The same, and pods that run functions are told of this directory: they may start in another one."""
    manifests = workflow_manifests(workflow)
    for manifest in manifests:
        if manifest.get("kind") == TEMPLATE:
            for task in manifest["spec"]["tasks"]:
                _tell_place(task["template"]["spec"]["containers"])
    return manifests


def _tell_place(containers: list[JsonObject]) -> None:
    for container in containers:
        known = {each["name"] for each in container.get("env", ())}
        if RUNNER in container.get("command", ()) and PATH not in known:
            container.setdefault("env", []).append({"name": PATH, "value": str(Path.cwd())})


def template_names(workflow: Workflow) -> dict[str, str]:
    """The JobTemplate of each step; steps whose jobs differ in nothing but the name share one."""
    names: dict[str, str] = {}
    known: dict[Job, str] = {}
    for node in workflow.steps:
        shape = node.job.but(name="")
        names[node.name] = known.setdefault(shape, f"{workflow.name}-{node.name}")
    return names


def template_manifests(workflow: Workflow) -> list[JsonObject]:
    """The JobTemplates, in the order of the steps that bring them."""
    names = template_names(workflow)
    firsts: dict[str, Job] = {}
    for node in workflow.steps:
        firsts.setdefault(names[node.name], node.job)
    return [_template(name, workflow.namespace, job) for name, job in firsts.items()]


def _template(name: str, namespace: str, job: Job) -> JsonObject:
    manifest = job_manifest(job)
    metadata = manifest["metadata"] | given({"name": name, "namespace": namespace})
    return {"apiVersion": API_VERSION, "kind": TEMPLATE, "metadata": metadata, "spec": manifest["spec"]}


def flow_manifest(workflow: Workflow) -> JsonObject:
    """The JobFlow: what the typed fields say, with `extra` laid over it."""
    return merge(plain_flow(workflow), thaw(workflow.extra))


def plain_flow(workflow: Workflow) -> JsonObject:
    """What the typed fields of a workflow say, without its `extra`."""
    names = template_names(workflow)
    metadata = {
        "name": workflow.name,
        "namespace": workflow.namespace,
        "labels": workflow.labels,
        "annotations": workflow.annotations,
    }
    spec = {
        "jobRetainPolicy": workflow.retain if workflow.retain != "retain" else None,
        "suspend": workflow.suspend or None,
        "workspace": workspace_manifest(workflow.workspace),
        "flows": [entry(node, names[node.name]) for node in workflow.steps],
    }
    return {"apiVersion": API_VERSION, "kind": FLOW, "metadata": given(metadata), "spec": given(spec)}


def workspace_manifest(workspace: Workspace | None) -> JsonObject:
    """`spec.workspace`; nothing where there is none."""
    if workspace is None:
        return {}
    said: JsonObject = given({"mountPath": workspace.path, "claimName": workspace.claim})
    if workspace.size:
        said["claim"] = {
            **given({"storageClassName": workspace.storage_class}),
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": workspace.size}},
        }
    return said | ({"retentionPolicy": "Retain"} if workspace.keep else {})


def entry(node: Node, template: str) -> JsonObject:
    """One entry of `spec.flows`, finished by `Node.extra`."""
    return merge(plain_entry(node, template), thaw(node.extra))


def plain_entry(node: Node, template: str) -> JsonObject:
    """What the typed fields of a node say, without its `extra`."""
    when = [given({"from": w.source, "operator": w.operator, "values": w.values}) for w in node.when]
    return given(
        {
            "name": node.name,
            "jobTemplate": template,
            "dependsOn": given({"targets": node.after, "states": node.after_ends}),
            "when": when,
            "forEach": _each(node.each) if isinstance(node.each, Each) else None,
            "inputs": [{"name": name, "from": source} for name, source in node.inputs.items()],
            "outputs": [_output(each) for each in node.outputs if isinstance(each, Output)],
            "retry": _retry(node),
        }
    )


def _each(each: Each) -> JsonObject:
    parallel = {} if each.max_parallel is None else {"maxParallel": each.max_parallel}
    return ({"from": each.source} if each.source else {"items": thaw(each.items)}) | parallel


def _output(output: Output) -> JsonObject:
    return given({"name": output.name, "task": output.task, "index": output.index or None})


def _retry(node: Node) -> JsonObject:
    waits = given({"backoffSeconds": node.backoff_s, "maxBackoffSeconds": node.max_backoff_s})
    return {"limit": node.retries} | waits if node.retries or waits else {}
