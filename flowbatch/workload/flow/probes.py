"""Probes of a step: what must be seen of a source's tasks while it runs (Volcano declares them and never asks).

A probe that names a task concerns the sources that have it; one that names none concerns every task of every source. A
source that no probe concerns must end, as ever.
"""

from collections.abc import Iterator

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.core import Pod
from flowbatch.api.flow import Flow, HttpGet, Probe, TcpSocket
from flowbatch.api.names import TASK_SPEC
from flowbatch.workload.flow.changes import Ask
from flowbatch.workload.flow.child import job_name
from flowbatch.workload.flow.turn import Turn

#: Pod phases that count for what a probe asks: a task that has succeeded did run.
_COUNTED = {
    "Pending": ("Pending", "Running", "Succeeded"),
    "Running": ("Running", "Succeeded"),
    "Succeeded": ("Succeeded",),
    "Completed": ("Succeeded",),
    "Failed": ("Failed",),
}


def unmet(turn: Turn, step: Flow, source: int) -> str | None:
    """Why the source at this place does not satisfy the step's probes: "" if it does, None if it has to end."""
    assert step.depends_on is not None
    assert step.depends_on.probe is not None
    job = turn.children.jobs.get(job_name(turn.flow, turn.graph.steps[source]))
    if job is None:
        return None
    problems = list(_problems(turn, step.depends_on.probe, job))
    if not problems:
        return None
    return next((problem for problem in problems if problem), "")


def _problems(turn: Turn, probe: Probe, job: Job) -> Iterator[str]:
    """One entry for each thing that a probe asks of this job: "" where it holds."""
    for status in probe.task_status_list:
        for task in _tasks(job, status.task_name):
            yield _phase_problem(job, task, status.phase)
    for socket in probe.tcp_socket_list:
        for task in _tasks(job, socket.task_name):
            yield from _asked(turn, job, task, socket)
    for get in probe.http_get_list:
        for task in _tasks(job, get.task_name):
            yield from _asked(turn, job, task, get)


def _tasks(job: Job, name: str) -> list[TaskSpec]:
    return [task for task in job.spec.tasks if task.replicas and name in ("", task.name)]


def _phase_problem(job: Job, task: TaskSpec, phase: str) -> str:
    counts = job.status.task_status_count.get(task.name)
    there = sum(counts.phase.get(each, 0) for each in _COUNTED.get(phase, ())) if counts is not None else 0
    what = f"{job.metadata.name}: {there} of {task.replicas} pods of task {task.name} {phase}"
    return "" if there >= task.replicas else what


def _asked(turn: Turn, job: Job, task: TaskSpec, probe: HttpGet | TcpSocket) -> Iterator[str]:
    """Ask every pod of the task; those that are not there yet cannot answer."""
    pods = [pod for pod in turn.children.pods(job.metadata.name) if _answers_for(pod, job, task)]
    if len(pods) < task.replicas:
        yield f"{job.metadata.name}: {len(pods)} of {task.replicas} pods of task {task.name} running"
        return
    for pod in sorted(pods, key=lambda pod: pod.metadata.name):
        ask = _ask(pod, probe)
        turn.asks.append(ask)
        yield turn.children.answers.get(ask, f"{ask}: not asked yet")


def _answers_for(pod: Pod, job: Job, task: TaskSpec) -> bool:
    owner = pod.metadata.controller
    mine = owner is not None and owner.uid == job.metadata.uid and pod.metadata.labels.get(TASK_SPEC) == task.name
    return mine and pod.status.phase == "Running" and bool(pod.status.pod_ip)


def _ask(pod: Pod, probe: HttpGet | TcpSocket) -> Ask:
    meta, ip = pod.metadata, pod.status.pod_ip
    if isinstance(probe, TcpSocket):
        return Ask(meta.namespace, meta.name, meta.uid, ip, probe.port)
    header = (probe.http_header.name, probe.http_header.value) if probe.http_header is not None else None
    return Ask(meta.namespace, meta.name, meta.uid, ip, probe.port, probe.path or "/", header)
