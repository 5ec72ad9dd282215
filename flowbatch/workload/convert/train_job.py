"""TrainJob: what it changes of its training runtime, laid over the runtime's JobSet, which is then converted.

The runtime is another object of the cluster: where it stands in the same input it is used whole, else only what the
TrainJob says itself is known.
"""

from collections.abc import Sequence

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.workload.convert.fields import Fields
from flowbatch.workload.convert.job_set import convert_job_set
from flowbatch.workload.convert.mpi_job import mpi_plugins, serve_ssh
from flowbatch.workload.convert.pieces import field_variable, give_env, objects
from flowbatch.workload.roles.pod import variable
from flowbatch.workload.roles.ssh import DEFAULT_PATH

RUNTIMES = (
    ("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime"),
    ("trainer.kubeflow.org/v1alpha1", "TrainingRuntime"),
)
NODE = "node"
LAUNCHER = "launcher"
TORCH_PORT = 29400


def convert_train_job(fields: Fields, manifests: Sequence[JsonObject]) -> JsonObject:
    """The Job that does what a TrainJob does with its runtime."""
    spec = fields.inside("spec")
    reference, trainer = spec.inside("runtimeRef"), spec.inside("trainer")
    name = reference.text("name")
    reference.skip("apiGroup")
    runtime = _runtime(manifests, name, reference.text("kind", "ClusterTrainingRuntime"))
    if runtime is None and not trainer.has("image"):
        hint = f"kubectl get clustertrainingruntime {name} -o yaml"
        raise SpecErrors([SpecError(reference.at("name"), "the runtime has the image: add it to the file", name, hint)])
    body = fields.findings.fields(runtime or _bare(name), f"runtime {name}").inside("spec")
    policy = body.inside("mlPolicy")
    job = convert_job_set(_overlay(fields, spec, trainer, body, policy))
    _meet(job, policy, trainer)
    for key in ("initializer", "podSpecOverrides", "podTemplateOverrides", "runtimePatches", "labels", "annotations"):
        spec.lose(key, "say it in the tasks' templates")
    spec.lose("managedBy", "its other controller does not see the Job")
    body.lose("podGroupPolicy", "the Job is one gang anyway")
    return job


def _runtime(manifests: Sequence[JsonObject], name: str, kind: str) -> JsonObject | None:
    runtimes = [each for each in manifests if (each.get("apiVersion"), each.get("kind")) in RUNTIMES]
    for each in runtimes:
        metadata = each.get("metadata")
        if each["kind"] == kind and isinstance(metadata, dict) and metadata.get("name") == name:
            return {"spec": each.get("spec")}
    return None


def _bare(name: str) -> JsonObject:
    """A runtime nobody has shown us: one container per node, and torch's variables where the name says torch."""
    template: JsonObject = {"spec": {"template": {"spec": {"containers": [{"name": NODE}]}}}}
    policy: JsonObject = {"torch": {"numProcPerNode": "auto"}} if name.startswith("torch") else {}
    return {
        "spec": {"mlPolicy": policy, "template": {"spec": {"replicatedJobs": [{"name": NODE, "template": template}]}}}
    }


def _overlay(fields: Fields, spec: Fields, trainer: Fields, body: Fields, policy: Fields) -> Fields:
    """The runtime's JobSet under the TrainJob's name, with the trainer's wishes in it."""
    template = body.inside("template")
    template.skip("metadata")
    job_set = template.mapping("spec")
    jobs = job_set.get("replicatedJobs")
    if not jobs or not objects(jobs):
        raise SpecErrors([SpecError(f"{template.at('spec')}.replicatedJobs", "must be a list of objects", jobs)])
    inner = _object(next((each for each in jobs if each.get("name") == NODE), jobs[0]), "template", "spec")
    parallelism = inner.get("parallelism")
    nodes = trainer.whole("numNodes", policy.whole("numNodes", parallelism if isinstance(parallelism, int) else 1))
    inner.update({"parallelism": nodes, "completions": nodes})
    pod = _object(inner, "template", "spec")
    if not pod.get("containers") or not objects(pod["containers"]):
        pod["containers"] = [{"name": NODE}]
    _dress(next((each for each in pod["containers"] if each.get("name") == NODE), pod["containers"][0]), trainer)
    if spec.truth("suspend"):
        job_set["suspend"] = True
    return fields.findings.fields({"metadata": fields.mapping("metadata"), "spec": job_set}, template.at("spec"))


def _object(parent: JsonObject, *path: str) -> JsonObject:
    """The object at `path`, made where there is none."""
    for key in path:
        if not isinstance(parent.get(key), dict):
            parent[key] = {}
        parent = parent[key]
    return parent


def _dress(container: JsonObject, trainer: Fields) -> None:
    for key in ("image", "command", "args"):
        if trainer.has(key):
            container[key] = trainer.raw(key)
    extra = [each for each in trainer.items("env") if isinstance(each, dict)]
    if extra:
        named = [each.get("name") for each in extra]
        there = container.get("env") if objects(container.get("env")) else None
        container["env"] = [*(each for each in there or () if each.get("name") not in named), *extra]
    if trainer.has("resourcesPerNode"):
        container["resources"] = trainer.mapping("resourcesPerNode")


def _meet(job: JsonObject, policy: Fields, trainer: Fields) -> None:
    """What the runtime's policy tells the pods about each other."""
    name = job["metadata"].get("name", "")
    tasks = {task["name"]: task for task in job["spec"]["tasks"]}
    node = tasks.get(NODE) or next(iter(tasks.values()))
    asked = trainer.raw("numProcPerNode")
    if policy.has("torch"):
        torch = policy.inside("torch")
        procs = asked or torch.raw("numProcPerNode") or "auto"
        torch.lose("elasticPolicy", "the number of nodes is fixed: see the ddp recipe for elastic training")
        give_env(
            node["template"],
            variable("PET_NNODES", node["replicas"]),
            variable("PET_NPROC_PER_NODE", procs),
            field_variable("PET_NODE_RANK"),
            variable("PET_MASTER_ADDR", f"{name}-{node['name']}-0.{name}"),
            variable("PET_MASTER_PORT", TORCH_PORT),
        )
    if policy.has("mpi"):
        mpi = policy.inside("mpi")
        mpi.lose("runLauncherAsNode", "no rank runs beside the launcher")
        path, slots = mpi.text("sshAuthMountPath", DEFAULT_PATH), asked or mpi.raw("numProcPerNode") or 1
        implementation = mpi.text("mpiImplementation", "OpenMPI")
        job["spec"]["plugins"] = mpi_plugins(path, implementation, slots, LAUNCHER, node["name"])
        if (launcher := tasks.get(LAUNCHER)) is not None:
            launcher["policies"] = [{"event": "TaskCompleted", "action": "CompleteJob"}]
            launcher["dependsOn"] = {"name": [node["name"]]}
        serve_ssh(node["template"])
