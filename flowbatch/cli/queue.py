"""`flowbatch queue`: make, show, open, close and delete queues."""

from dataclasses import replace
from typing import Annotated

import anyio
from cyclopts import App, Parameter

from flowbatch.api.kinds import COMMAND, QUEUE, manifest
from flowbatch.api.meta import JsonObject, ObjectMeta
from flowbatch.api.scheduling import Guarantee, OwnerLimit, Quantities, Queue, QueueSpec
from flowbatch.cli.get import get
from flowbatch.cli.job import find_queue, named
from flowbatch.cli.options import ClusterOptions, ListOptions
from flowbatch.cli.orders import order
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.errors import FlowbatchError, SpecError, SpecErrors
from flowbatch.workload import rules

app = App(name="queue", help="Make, show, open, close and delete queues.")
#: How long open and close wait for the controller to say so.
SETTLE_S = 10.0


@app.command
def create(
    name: str,
    /,
    *,
    weight: int = 1,
    parent: str = "",
    priority: int = 0,
    capability: Annotated[list[str] | None, Parameter(negative="")] = None,
    deserved: Annotated[list[str] | None, Parameter(negative="")] = None,
    guarantee: Annotated[list[str] | None, Parameter(negative="")] = None,
    reclaimable: bool = True,
    borrowing: Annotated[list[str] | None, Parameter(negative="")] = None,
    lending: Annotated[list[str] | None, Parameter(negative="")] = None,
    limit: Annotated[list[str] | None, Parameter(negative="")] = None,
    dequeue_strategy: str = "",
    suspended: bool = False,
    options: ClusterOptions | None = None,
) -> int:
    """Create a queue.

    Parameters
    ----------
    name
        Name of the queue.
    weight
        Its share of the cluster relative to its siblings, 1 to 65535.
    parent
        The queue above it; else root.
    priority
        Queues of higher priority are served first.
    capability
        Hard limit, e.g. --capability cpu=8 --capability memory=16Gi.
    deserved
        Soft share, above which room can be reclaimed.
    guarantee
        Room no other queue may use.
    reclaimable
        Whether others may reclaim room from it.
    borrowing
        What it may hold at most beyond what it deserves.
    lending
        What others may hold at most of what it deserves.
    limit
        What users or namespaces may hold in it, e.g. --limit user=ann,cpu=8,jobs=4 or --limit namespace=*,memory=64Gi.
    dequeue_strategy
        traverse: a job that cannot go on lets others pass; fifo: it holds them up.
    suspended
        Suspend its jobs, and those of the queues below it.
    """
    spec = QueueSpec(
        weight=weight,
        parent=parent,
        priority=priority,
        capability=_quantities("--capability", capability),
        deserved=_quantities("--deserved", deserved),
        guarantee=Guarantee(resource=_quantities("--guarantee", guarantee)),
        reclaimable=reclaimable,
        borrowing_limit=_quantities("--borrowing", borrowing) if borrowing else None,
        lending_limit=_quantities("--lending", lending) if lending else None,
        limits=tuple(_owner_limit(each) for each in limit or ()),
        dequeue_strategy=dequeue_strategy,
        suspend=suspended,
    )
    body = manifest(Queue(metadata=ObjectMeta(name=name), spec=spec))
    if problems := rules.check_queue(body):
        raise SpecErrors(problems, f"queue {name}")
    return run_async(lambda: _create(body, options or ClusterOptions()))


async def _create(body: JsonObject, options: ClusterOptions) -> int:
    async with connect(options) as session:
        await session.client.create(QUEUE, body)
        print(f"queue/{body['metadata']['name']} created")
    return 0


@app.command(name="get")
def get_queues(*names: str, options: ListOptions | None = None) -> int:
    """Show queues by name, in full width.

    Parameters
    ----------
    names
        Names of the queues; all without one.
    """
    options = options or ListOptions()
    wide = replace(options, output="wide") if options.output == "table" else options
    return get("queues", *names, options=wide)


@app.command(name="list")
def list_queues(*, options: ListOptions | None = None) -> int:
    """List all queues."""
    return get("queues", options=options)


@app.command(name="open")
def open_queue(*names: str, options: ClusterOptions | None = None) -> int:
    """Let queues take jobs again.

    Parameters
    ----------
    names
        Names of the queues.
    """
    return run_async(lambda: _order(names, "OpenQueue", ("Open",), options or ClusterOptions()))


@app.command(name="close")
def close_queue(*names: str, options: ClusterOptions | None = None) -> int:
    """Take no new jobs; what is in the queue runs on.

    Parameters
    ----------
    names
        Names of the queues.
    """
    return run_async(lambda: _order(names, "CloseQueue", ("Closed", "Closing"), options or ClusterOptions()))


@app.command
def delete(*names: str, options: ClusterOptions | None = None) -> int:
    """Delete queues.

    Parameters
    ----------
    names
        Names of the queues.
    """

    async def work() -> int:
        async with connect(options or ClusterOptions()) as session:
            for name in named(names, "queue"):
                await find_queue(session, name)
                await session.client.delete(QUEUE, name)
                print(f"queue/{name} deleted")
        return 0

    return run_async(work)


async def _order(names: tuple[str, ...], action: str, wanted: tuple[str, ...], options: ClusterOptions) -> int:
    """Order a change of state by a Command, as Volcano's clients do, and wait until the controller has made it."""
    async with connect(options) as session:
        for name in named(names, "queue"):
            queue = await find_queue(session, name)
            await session.client.create(COMMAND, order(QUEUE, queue.metadata, action), "default")
            state = await _settled(session, name, wanted)
            print(f"queue/{name} {state.lower()}")
    return 0


async def _settled(session: Session, name: str, wanted: tuple[str, ...]) -> str:
    with anyio.move_on_after(SETTLE_S):
        while True:
            state = (await session.client.get(QUEUE, name)).status.state
            if state in wanted:
                return state
            await anyio.sleep(0.1)
    raise FlowbatchError(f"queue {name} did not become {wanted[0]} in {SETTLE_S:.0f} s: are the controllers running?")


def _quantities(flag: str, given: list[str] | None) -> Quantities:
    """`cpu=8` pairs as a resource list."""
    found: Quantities = {}
    for pair in ",".join(given or []).split(","):
        resource, equals, value = pair.partition("=")
        if pair and not (resource and equals and value):
            raise SpecError(flag, "expected RESOURCE=QUANTITY", pair, "e.g. cpu=8")
        if pair:
            found[resource] = value
    return found


def _owner_limit(given: str) -> OwnerLimit:
    """`user=ann,user=bob,cpu=8,jobs=4`: of each of these users or namespaces, so much."""
    owners: dict[str, list[str]] = {"user": [], "namespace": []}
    jobs: int | None = None
    rest: list[str] = []
    for pair in given.split(","):
        key, _, value = pair.partition("=")
        if key in owners and value:
            owners[key].append(value)
        elif key == "jobs" and value.isdigit():
            jobs = int(value)
        else:
            rest.append(pair)
    if not any(owners.values()):
        raise SpecError("--limit", "names nobody", given, "e.g. user=ann,cpu=8,jobs=4")
    resources = _quantities("--limit", rest)
    return OwnerLimit(
        namespaces=tuple(owners["namespace"]), users=tuple(owners["user"]), resources=resources, jobs=jobs
    )
