"""Workflows: what one look at a flow costs, and how long after its last dependency a step's job is there.

The flow controller works over HTTP against an API server in a process of its own. The benchmark plays job controller:
it ends every job the moment it sees it, and notes when the server had that, and when the next job came by the watch.
"""

import asyncio
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from msgspec.structs import replace

from benchmarks.figure import Figure
from flowbatch.api.batch import Job, JobState
from flowbatch.api.flow import JobFlow, JobTemplate
from flowbatch.api.kinds import JOB, JOB_FLOW, JOB_TEMPLATE
from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.controllers.app import Controllers
from flowbatch.controllers.settings import Settings, wall_clock
from flowbatch.informer import Informer
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch.local.apiserver import served
from flowbatch.workload.flow.changes import FlowChildren
from flowbatch.workload.flow.graph import compiled
from flowbatch.workload.flow.reconcile import reconcile

STEPS = 1000
CONTAINER = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "1"}}}
SPEC = {"tasks": [{"name": "main", "replicas": 1, "template": {"spec": {"containers": [CONTAINER]}}}]}
NAMESPACE = "default"


def deep(steps: int) -> list[JsonObject]:
    """A chain."""
    return [_step(at, [at - 1] if at else []) for at in range(steps)]


def wide(steps: int) -> list[JsonObject]:
    """One step, all the others but one, and one behind them."""
    middle = [_step(at, [0]) for at in range(1, steps - 1)]
    return [_step(0, []), *middle, _step(steps - 1, list(range(1, steps - 1)))]


def _step(at: int, targets: list[int]) -> JsonObject:
    depends = {"dependsOn": {"targets": [f"s{target}" for target in targets]}} if targets else {}
    return {"name": f"s{at}", "jobTemplate": "t", **depends}


def figures() -> Iterator[Figure]:
    for name, shape in (("deep", deep), ("wide", wide)):
        yield from _one_look(name, shape)
    yield from uvloop.run(_live())


# In memory ------------------------------------------------------------------------------------------------------------


def _one_look(name: str, shape: Any) -> Iterator[Figure]:
    """CPU of a reconcile half-way through the flow, and of one twice as large."""
    once, twice = _look_ms(shape(STEPS)), _look_ms(shape(2 * STEPS))
    yield Figure(
        f"flow_{name}_reconcile_ms", once, "ms", must=25, better="lower", note=f"{STEPS} steps, half of them done"
    )
    ratio = twice / once
    yield Figure(
        f"flow_{name}_twice_the_steps", ratio, "x", must=2.6, better="lower", note="2.0 is linear in steps and edges"
    )


def _look_ms(steps: list[JsonObject]) -> float:
    meta = {"name": "f", "namespace": NAMESPACE, "uid": "u", "generation": 1}
    flow = msgspec.convert({"metadata": meta, "spec": {"flows": steps}}, JobFlow)
    template = msgspec.convert({"metadata": {"name": "t", "namespace": NAMESPACE}, "spec": SPEC}, JobTemplate)
    graph, now = compiled(flow.spec), wall_clock()
    jobs: dict[str, Job] = {}
    children = FlowChildren(jobs=jobs, template=lambda _name: template)
    done = JobState(phase="Completed", last_transition_time=now)
    while len(jobs) < len(steps) // 2:
        changes = reconcile(flow, graph, children, now)
        flow = replace(flow, status=changes.status or flow.status)
        for create in changes.creates[: len(steps) // 2]:
            job = msgspec.convert(create.manifest, Job)
            jobs[job.metadata.name] = replace(job, status=replace(job.status, state=done))
    spent = []
    for _ in range(7):
        started = time.process_time()
        reconcile(flow, graph, children, now)
        spent.append((time.process_time() - started) * 1000)
    return min(spent)


# Over HTTP ------------------------------------------------------------------------------------------------------------


class Player:
    """Ends every job at once; knows when, and when each job was first seen."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self._some = asyncio.Event()
        self.jobs = Informer(client, JOB)
        self.jobs.on_change(self._changed)
        self._work: asyncio.Queue[Job] = asyncio.Queue()

    def _changed(self, old: Job | None, new: Job | None) -> None:
        if old is None and new is not None:
            self.seen[new.metadata.name] = time.perf_counter()
            self._work.put_nowait(new)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.jobs.run())
            for _ in range(8):
                tasks.create_task(self._end_jobs())

    async def _end_jobs(self) -> None:
        while True:
            job = await self._work.get()
            state = {"phase": "Completed", "lastTransitionTime": format_time(wall_clock())}
            body = {"status": {"state": state}}
            await self.client.patch(JOB, job.metadata.name, body, NAMESPACE, subresource="status")
            self.ended[job.metadata.name] = time.perf_counter()
            self._some.set()

    async def ended_with(self, name: str) -> None:
        """Return when the job of this name has ended."""
        while name not in self.ended:
            self._some.clear()
            await self._some.wait()


async def _live() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="flowbatch-bench-") as folder:
        path = Path(folder) / "kubeconfig"
        async with served(path, 0) as server:
            config = dataclasses.replace(await load_config(path), socket=server.at.socket)
            async with Client(config) as client, Client(config) as own, asyncio.TaskGroup() as tasks:
                player = Player(client)
                controllers = Controllers(own, Settings(enabled=frozenset({"jobflow"})))
                running = [tasks.create_task(player.run()), tasks.create_task(controllers.run())]
                await controllers.wait_ready()
                await player.jobs.wait_synced()
                await client.create(JOB_TEMPLATE, _manifest(JOB_TEMPLATE, "t", SPEC))
                found = [*await _play(player, controllers, "deep"), *await _play(player, controllers, "wide")]
                for each in running:
                    each.cancel()
                return found


def _manifest(kind: Any, name: str, spec: JsonObject) -> JsonObject:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


async def _play(player: Player, controllers: Controllers, name: str) -> list[Figure]:
    steps = (deep if name == "deep" else wide)(STEPS)
    flows: Any = controllers.running["jobflow"]
    writes = flows.statuses.written
    started = time.perf_counter()
    await player.client.create(JOB_FLOW, _manifest(JOB_FLOW, name, {"flows": steps}))
    await player.ended_with(f"{name}-{steps[-1]['name']}")
    took = time.perf_counter() - started
    waits = sorted(_waits_ms(player, name, steps))
    p50, p99 = statistics.median(waits), waits[int(len(waits) * 0.99)]
    note = f"{STEPS} steps in {took:.1f} s, {flows.statuses.written - writes} statuses"
    prefix = f"flow_{name}_next_job"
    if name == "wide":
        return [
            Figure(
                f"{prefix}_ms", waits[-1], "ms", must=None, better="lower", note=f"the one behind {STEPS - 2}; {note}"
            )
        ]
    return [
        Figure(f"{prefix}_p50_ms", p50, "ms", must=50, better="lower", note=note),
        Figure(f"{prefix}_p99_ms", p99, "ms", better="lower", note=note),
    ]


def _waits_ms(player: Player, flow: str, steps: list[JsonObject]) -> Iterator[float]:
    """From the server having the end of the last dependency to the step's job coming by the watch."""
    for step in steps if flow == "deep" else steps[-1:]:
        targets = step.get("dependsOn", {}).get("targets")
        if targets:
            last = max(player.ended[f"{flow}-{target}"] for target in targets)
            yield (player.seen[f"{flow}-{step['name']}"] - last) * 1000
