"""The job's PodGroup: made, kept equal to the gang that the job is by now, deleted when it holds no place any more."""

import msgspec
from msgspec.structs import replace

from flowbatch.api import names
from flowbatch.api.batch import Job
from flowbatch.api.meta import JsonObject
from flowbatch.api.scheduling import PodGroup, PodGroupSpec
from flowbatch.workload.changes import Create, Delete, Patch
from flowbatch.workload.dependencies import held_tasks, of_this_phase
from flowbatch.workload.effective import gang_size, minimum
from flowbatch.workload.expand import pod_group
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.retries import adapted
from flowbatch.workload.vocabulary import ONE_PHASE


def keep_group(turn: Turn) -> PodGroup | None:
    """The PodGroup that pods may join, or None while it has to be made."""
    floor = turn.ledger.floors.get("", 0)
    wanted = pod_group(_gang(turn), served=turn.served, priorities=turn.children.priorities, version=floor)
    group = turn.children.pod_group
    if group is not None and _version(group) < floor:
        # The group of an earlier incarnation: a job that starts again queues again.
        _delete_group(turn, group)
        group = None
    elif group is not None and group.metadata.deletion_timestamp is not None:
        return None
    if group is None:
        turn.creates.append(Create(wanted))
        return None
    body = _difference(wanted, group)
    if body:
        meta = group.metadata
        turn.patches.append(Patch("PodGroup", meta.namespace, meta.name, body, meta.uid))
    return group


def _gang(turn: Turn) -> Job:
    """The job as the gang that it is by now: what has been learnt, what this phase needs, what is yet to come."""
    job = adapted(turn.job, turn.ledger)
    if job.spec.reservation_policy == ONE_PHASE:
        job = of_this_phase(job, held_tasks(turn.census))
    return _to_come(turn, job)


def _to_come(turn: Turn, job: Job) -> Job:
    """The job without the members that have succeeded and whose pods are gone: nobody may wait for those."""
    held, spec = turn.census.held, job.spec
    gone = {name: sum((name, each) not in held for each in done) for name, done in turn.census.done.items()}
    if not any(gone.values()):
        return job
    tasks = tuple(
        replace(task, replicas=task.replicas - gone[task.name], min_available=max(0, minimum(task) - gone[task.name]))
        for task in spec.tasks
    )
    least = max(1, gang_size(spec) - sum(gone.values()))
    return replace(job, spec=replace(spec, tasks=tasks, min_available=least))


def drop_group(turn: Turn) -> None:
    """A job that is down or done holds no place in its queue."""
    group = turn.children.pod_group
    if group is not None and group.metadata.deletion_timestamp is None:
        _delete_group(turn, group)


def drop_old_group(turn: Turn) -> None:
    """Delete the group of an earlier incarnation, if that is what there is."""
    group = turn.children.pod_group
    if group is not None and _version(group) < turn.ledger.floors.get("", 0):
        _delete_group(turn, group)


def _delete_group(turn: Turn, group: PodGroup) -> None:
    if group.metadata.deletion_timestamp is None:
        turn.deletes.append(Delete("PodGroup", group.metadata.namespace, group.metadata.name, group.metadata.uid))


def _version(group: PodGroup) -> int:
    text = group.metadata.annotations.get(names.JOB_VERSION, "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _difference(wanted: JsonObject, group: PodGroup) -> JsonObject:
    """The merge patch that makes `group` what it should be; empty if it is."""
    spec = msgspec.convert(wanted["spec"], PodGroupSpec)
    body: JsonObject = {}
    if spec != group.spec:
        had, has = msgspec.to_builtins(group.spec), msgspec.to_builtins(spec)
        body["spec"] = {key: has.get(key) for key in dict.fromkeys((*has, *had)) if has.get(key) != had.get(key)}
    declared = wanted["metadata"]["annotations"].get(names.DECLARED_TASKS)
    if declared is not None and declared != group.metadata.annotations.get(names.DECLARED_TASKS):
        body["metadata"] = {"annotations": {names.DECLARED_TASKS: declared}}
    return body
