"""What an active job needs to exist: claims, plugin objects, the PodGroup, and then its pods (volcano.md 4.4)."""

from datetime import datetime

from msgspec.structs import replace

from flowbatch.api import names
from flowbatch.api.meta import JsonObject
from flowbatch.api.scheduling import PodGroup
from flowbatch.api.timestamps import format_time
from flowbatch.workload.changes import Create, Patch
from flowbatch.workload.dependencies import open_tasks
from flowbatch.workload.expand import PodMaker, needs_keys, support_of, wanted_claims
from flowbatch.workload.reconcile.group import drop_old_group, keep_group
from flowbatch.workload.reconcile.lessons import held_until, place_held_until
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.retries import adapted

#: status.controlledResources key of the digest of what follows the job's size.
_DIGEST = "flowbatch.dev/content-"
CLAIM_WAIT_S = 10
KEYS_WAIT_S = 5


def keep_up(turn: Turn, staging_image: str) -> None:
    """Create and update what the job needs, and delete its leftovers."""
    for member in turn.census.leftovers:
        turn.delete_pod(member)
    message = _waiting_for_claims(turn)
    if message:
        turn.wake_in(CLAIM_WAIT_S)
    elif (due := held_until(turn, "")) is not None:
        message = _waiting_to_try_again(turn, due)
    else:
        supported = _support(turn)
        group = keep_group(turn)
        if supported and group is not None and group.status.phase not in ("", "Pending"):
            _pods(turn, staging_image)
        message = _waiting_for_queue(turn, group)
    if message or turn.phase == "Pending":
        turn.say(message)


def _waiting_for_claims(turn: Turn) -> str:
    missing = [name for name in wanted_claims(turn.job) if name in turn.children.missing_claims]
    return f"waits for volume claim {', '.join(missing[:5])}, which does not exist" if missing else ""


def _waiting_to_try_again(turn: Turn, due: datetime) -> str:
    """A job in its back-off has no place in its queue."""
    drop_old_group(turn)
    turn.wake(due)
    return f"waits until {format_time(due)} before retry {turn.status.retry_count}"


def _waiting_for_queue(turn: Turn, group: PodGroup | None) -> str:
    """What is wrong with the queue of a job that is not let in; "" if it only has to wait its turn."""
    if group is not None and group.status.phase not in ("", "Pending"):
        return ""
    name, queue = turn.job.spec.queue, turn.children.queue
    if queue is None:
        # The scheduler makes the default queue at its start.
        return "" if name == names.DEFAULT_QUEUE else f"waits for queue {name}, which does not exist"
    state = queue.status.state or "Open"
    return "" if state == "Open" else f"waits for queue {name}, which is {state.lower()}"


def _support(turn: Turn) -> bool:
    """Claims and plugin objects; gives whether all is there that pods need in order to be made."""
    controlled = dict(turn.status.controlled_resources)
    complete = True
    for support in support_of(turn.job, turn.keys if needs_keys(turn.job) else None):
        if support.key not in controlled:
            turn.creates += [Create(each) for each in support.objects if _key(each) not in turn.children.present]
            if not support.complete:
                complete = False
                turn.wake_in(KEYS_WAIT_S)
                continue
            controlled[support.key] = support.note
        elif support.follows and controlled.get(_DIGEST + support.note) != support.digest:
            turn.patches += [_content(each) for each in support.follows]
        if support.digest:
            controlled[_DIGEST + support.note] = support.digest
    if controlled != turn.status.controlled_resources:
        turn.status = replace(turn.status, controlled_resources=controlled)
    return complete


def _key(manifest: JsonObject) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _content(manifest: JsonObject) -> Patch:
    meta = manifest["metadata"]
    return Patch(manifest["kind"], meta["namespace"], meta["name"], {"data": manifest["data"]})


def _pods(turn: Turn, staging_image: str) -> None:
    """The pods that are missing: neither there, nor done, nor held back, their name free."""
    job = replace(adapted(turn.job, turn.ledger), status=turn.status)
    maker = PodMaker(job, staging_image)
    census, allowed = turn.census, open_tasks(turn.census)
    for task in job.spec.tasks:
        if task.name not in allowed:
            continue
        done = census.done[task.name]
        for index in range(task.replicas):
            if index in done or (task.name, index) in census.held:
                continue
            due = place_held_until(turn, task.name, index)
            if due is None:
                turn.creates.append(Create(maker.make(task, index)))
            else:
                turn.wake(due)
