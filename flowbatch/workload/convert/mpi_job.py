"""MPIJob: a launcher and workers in one gang, with the mpi, ssh and svc plugins in the place of its operator.

The mpi plugin sets the variables by which each kind of MPI finds its host file, as the operator does, so that the
launcher's command stays as it is.
"""

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.workload.convert.batch_job import BACKOFF_LIMIT
from flowbatch.workload.convert.fields import Fields
from flowbatch.workload.convert.pieces import (
    give_env,
    job_manifest,
    life,
    max_retry,
    pod_template,
    priority_of,
)
from flowbatch.workload.roles.pod import variable
from flowbatch.workload.roles.ssh import DEFAULT_PATH

_IMPLEMENTATIONS = {"OpenMPI": "openmpi", "Intel": "intel", "MPICH": "mpich"}


def convert_mpi_job(fields: Fields) -> JsonObject:
    """The Job that does what an MPIJob does."""
    spec = fields.inside("spec")
    run, replicas = spec.inside("runPolicy"), spec.inside("mpiReplicaSpecs")
    launcher, worker = replicas.inside("Launcher"), replicas.inside("Worker")
    if not replicas.has("Launcher"):
        raise SpecErrors([SpecError(replicas.at("Launcher"), "is missing: an MPIJob has a launcher")])
    slots, flavor = spec.whole("slotsPerWorker", 1), spec.text("mpiImplementation", "OpenMPI")
    if flavor not in _IMPLEMENTATIONS:
        hint = did_you_mean(flavor, _IMPLEMENTATIONS)
        fields.findings.problems.append(SpecError(spec.at("mpiImplementation"), "is not known", flavor, hint))
    workers = worker.whole("replicas", 1) if replicas.has("Worker") else 0
    tasks = [_launcher(launcher, workers)]
    if workers:
        tasks.append(_worker(worker, workers))
    spec.lose("runLauncherAsWorker", "no rank runs beside the launcher: add one to the workers' replicas")
    path = spec.text("sshAuthMountPath", DEFAULT_PATH)
    _clean_up(run)
    whole = {
        "minAvailable": 1 + workers,
        **_scheduling(run.inside("schedulingPolicy"), 1 + workers),
        "maxRetry": max_retry(run.whole("backoffLimit", BACKOFF_LIMIT)),
        **life(run),
        "plugins": mpi_plugins(path, flavor, slots, "launcher", "worker") if workers else {"svc": []},
        "policies": [{"events": ["PodFailed", "PodEvicted"], "action": "RestartJob"}],
        "tasks": tasks,
    }
    if spec.truth("suspend"):
        whole["suspend"] = True
    return job_manifest(fields, {**priority_of(*(each["template"] for each in tasks)), **whole})


def mpi_plugins(path: str, implementation: str, slots: object, launcher: str, worker: str) -> JsonObject:
    """The plugins that stand in for an MPI operator; `path` is where the keys for ssh are mounted."""
    ssh = [] if path == DEFAULT_PATH else [f"--ssh-key-file-path={path}"]
    flavor = _IMPLEMENTATIONS.get(implementation, "")
    roles = [f"--master={launcher}", f"--worker={worker}", "--port=22"]
    return {"svc": [], "ssh": ssh, "mpi": [*roles, f"--flavor={flavor}", f"--slots={slots}"]}


def _launcher(fields: Fields, workers: int) -> JsonObject:
    template = pod_template(fields, restart=_restart(fields))
    give_env(template, variable("K_MPI_JOB_ROLE", "launcher"))
    fields.skip("replicas")
    return {
        "name": "launcher",
        "replicas": 1,
        **({"dependsOn": {"name": ["worker"]}} if workers else {}),
        "policies": [{"event": "TaskCompleted", "action": "CompleteJob"}],
        "template": template,
    }


def _worker(fields: Fields, workers: int) -> JsonObject:
    template = pod_template(fields, restart=_restart(fields))
    give_env(template, variable("K_MPI_JOB_ROLE", "worker"))
    serve_ssh(template)
    return {"name": "worker", "replicas": workers, "template": template}


def serve_ssh(template: JsonObject) -> None:
    """A worker without a command of its own runs sshd."""
    for container in (template["spec"].get("containers") or ())[:1]:
        if not container.get("command") and not container.get("args"):
            container.update({"command": ["/usr/sbin/sshd"], "args": ["-De"]})


def _restart(fields: Fields) -> str:
    policy = fields.text("restartPolicy", "Never")
    if policy == "ExitCode":
        fields.findings.lose(
            fields.at("restartPolicy"), "every failure starts the whole gang again, whatever its exit code"
        )
        return "Never"
    return policy


def _clean_up(run: Fields) -> None:
    policy = run.text("cleanPodPolicy", "Running")
    if policy == "None":
        run.findings.lose(run.at("cleanPodPolicy"), "workers are stopped when the launcher completes")
    elif policy == "All":
        run.findings.lose(
            run.at("cleanPodPolicy"), "finished pods stay until the job goes: set ttlSecondsAfterFinished"
        )


def _scheduling(policy: Fields, members: int) -> JsonObject:
    found: JsonObject = {"minAvailable": policy.whole("minAvailable", members)}
    for theirs, ours in (("queue", "queue"), ("priorityClass", "priorityClassName")):
        if policy.has(theirs):
            found[ours] = policy.text(theirs)
    policy.lose("minResources", "is what the pods request")
    policy.lose("scheduleTimeoutSeconds", "a job waits as long as it takes")
    return found
