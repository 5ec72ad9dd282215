"""`flowbatch vc pod list`: the pods of jobs, or of whatever is in a queue."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from flowbatch.api.kinds import POD
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import JOB_NAME, QUEUE_NAME, SCHEDULING_QUEUE_NAME
from flowbatch.cli.output import age
from flowbatch.cli.session import run_async
from flowbatch.cli.vc.options import Cluster, Everywhere, Namespace, connect
from flowbatch.cli.vc.tables import NOTHING, spaced
from flowbatch.errors import FlowbatchError
from flowbatch.workload.rules.reading import dict_of, dicts_of, list_of, text_of

app = App(name="pod", help="vcctl command line operation pod")
HEADER = ("Name", "Ready", "Status", "Restart", "Age")
_GAP = 8


@app.command(name="list")
def list_pods(
    *,
    queue: Annotated[str, Parameter(name=["--queue", "-q"], help="list pod with specified queue name")] = "",
    job: Annotated[str, Parameter(name=["--job", "-j"], help="list pod with specified job name")] = "",
    namespace: Namespace = "default",
    everywhere: Everywhere = False,
    cluster: Cluster | None = None,
) -> int:
    """list pod information created by vcjob"""
    return run_async(lambda: _list(queue, job, None if everywhere else namespace, cluster))


async def _list(queue: str, job: str, namespace: str | None, cluster: Cluster | None) -> int:
    selector = f"{JOB_NAME}={job}" if job else "" if queue else JOB_NAME
    async with connect(cluster) as client:
        pods = await client.list_json(POD, namespace, label_selector=selector)
    if queue:
        kept = [pod for pod in pods if _queue(pod) == queue]
        if job and len(kept) < len(pods):
            raise FlowbatchError(f"the input vcjob {job} does not match the queue {queue}")
        pods = kept
    if not pods:
        print(NOTHING)
        return 0
    pods.sort(key=lambda pod: (text_of(pod, "metadata", "namespace"), text_of(pod, "metadata", "name")))
    spaced(_GAP, [HEADER, *(_row(pod) for pod in pods)])
    return 0


def _queue(pod: JsonObject) -> str:
    """A job's pod carries its queue as a label, others as an annotation."""
    said = text_of(pod, "metadata", "labels", QUEUE_NAME)
    return said or text_of(pod, "metadata", "annotations", SCHEDULING_QUEUE_NAME)


def _row(pod: JsonObject) -> tuple[object, ...]:
    states = [each for _, each in dicts_of(pod, "status", "containerStatuses")]
    ready = sum(each.get("ready") is True for each in states)
    total = len(list_of(pod, "spec", "containers"))
    restarts = sum(int(each.get("restartCount") or 0) for each in states)
    created = text_of(pod, "metadata", "creationTimestamp")
    return (text_of(pod, "metadata", "name"), f"{ready}/{total}", _status(pod, states), restarts, age(created))


def _status(pod: JsonObject, states: list[JsonObject]) -> str:
    """The one word that kubectl shows."""
    phase = text_of(pod, "status", "phase")
    if dict_of(pod, "metadata").get("deletionTimestamp") and phase not in ("Succeeded", "Failed"):
        return "Terminating"
    for each in states:
        if word := _ending(dict_of(each, "state")):
            return word
    conditions = (each for _, each in dicts_of(pod, "status", "conditions"))
    gated = any(text_of(each, "reason") == "SchedulingGated" for each in conditions)
    return "SchedulingGated" if gated else text_of(pod, "status", "reason") or phase


def _ending(state: JsonObject) -> str:
    ended: Any = dict_of(state, "terminated")
    if ended:
        code = ended.get("signal") or ended.get("exitCode") or 0
        return text_of(ended, "reason") or f"{'Signal' if ended.get('signal') else 'ExitCode'}:{code}"
    return text_of(state, "waiting", "reason")
