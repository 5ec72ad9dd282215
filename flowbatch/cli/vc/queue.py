"""`flowbatch vc queue`: create, delete, operate, list, get."""

from typing import Annotated

from cyclopts import App, Parameter

from flowbatch.api.kinds import COMMAND, QUEUE
from flowbatch.api.meta import JsonObject
from flowbatch.api.scheduling import Queue
from flowbatch.cli.orders import order
from flowbatch.cli.session import run_async
from flowbatch.cli.vc.options import Cluster, ShortName, connect, needed
from flowbatch.cli.vc.tables import NOTHING, fixed
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.kube.client import Client
from flowbatch.workload import rules
from flowbatch.workload.vocabulary import QUEUE_STATES

app = App(name="queue", help="Queue Operations")
HEADER = ("Name", "Weight", "State", "Inqueue", "Pending", "Running", "Unknown", "Completed")
_WIDTHS = (25, 8, 8, 8, 8, 8, 8, 10)
ACTIONS = ("open", "close", "update")


@app.command
def create(
    *,
    name: ShortName = "",
    weight: Annotated[int, Parameter(name=["--weight", "-w"], help="the weight of the queue")] = 1,
    state: Annotated[str, Parameter(name=["--state", "-S"], help="the state of queue, Open or Closed")] = "Open",
    cluster: Cluster | None = None,
) -> int:
    """creates queue"""
    needed(name, "queue")
    if state not in QUEUE_STATES:
        raise SpecError("--state", "is not a state", state, did_you_mean(state, QUEUE_STATES))
    body: JsonObject = {"apiVersion": QUEUE.api_version, "kind": QUEUE.kind, "metadata": {"name": name}}
    body["spec"] = {"weight": weight}
    if problems := rules.check_queue(body):
        raise SpecErrors(problems, f"queue {name}")

    async def work() -> int:
        async with connect(cluster) as client:
            queue = await client.create(QUEUE, body)
            if state == "Closed":
                # A status in a creation is not stored: what vcctl sends there is lost.
                await _order(client, queue, "CloseQueue")
        return 0

    return run_async(work)


@app.command
def delete(*, name: ShortName = "", cluster: Cluster | None = None) -> int:
    """delete queue"""
    needed(name, "queue")

    async def work() -> int:
        async with connect(cluster) as client:
            await client.delete(QUEUE, name)
        return 0

    return run_async(work)


@app.command
def operate(
    *,
    name: ShortName = "",
    action: Annotated[str, Parameter(name=["--action", "-a"], help="open, close or update")] = "",
    weight: Annotated[int, Parameter(name=["--weight", "-w"], help="the weight of the queue")] = 0,
    cluster: Cluster | None = None,
) -> int:
    """operate queue"""
    needed(name, "queue")
    if action not in ACTIONS:
        raise SpecError(
            "--action", "is no action" if action else "is needed", action or None, did_you_mean(action, ACTIONS)
        )
    if action == "update" and weight < 1:
        raise SpecError("--weight", "must be at least 1 where a queue is updated", weight)

    async def work() -> int:
        async with connect(cluster) as client:
            if action == "update":
                await client.patch(QUEUE, name, {"spec": {"weight": weight}})
            else:
                await _order(client, await client.get(QUEUE, name), f"{action.capitalize()}Queue")
        return 0

    return run_async(work)


async def _order(client: Client, queue: Queue, action: str) -> None:
    await client.create(COMMAND, order(QUEUE, queue.metadata, action), "default")


@app.command(name="list")
def list_queues(*, cluster: Cluster | None = None) -> int:
    """lists all the queue"""
    return run_async(lambda: show_queues("", cluster))


@app.command
def get(*, name: ShortName = "", cluster: Cluster | None = None) -> int:
    """get a queue"""
    needed(name, "queue")
    return run_async(lambda: show_queues(name, cluster))


async def show_queues(name: str, cluster: Cluster | None) -> int:
    """Print one queue, or all."""
    async with connect(cluster) as client:
        queues = [await client.get(QUEUE, name)] if name else await client.list(QUEUE)
    if not queues:
        print(NOTHING)
        return 0
    fixed(_WIDTHS, [HEADER, *(_row(each) for each in sorted(queues, key=lambda each: each.metadata.name))])
    return 0


def _row(queue: Queue) -> tuple[object, ...]:
    status = queue.status
    counts = (status.inqueue, status.pending, status.running, status.unknown, status.completed)
    return (queue.metadata.name, queue.spec.weight, status.state, *counts)
