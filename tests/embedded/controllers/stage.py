"""A small cluster around the controllers under test, on real HTTP, in which the test plays scheduler and nodes.

`Stage` admits PodGroups, binds their pods, runs them and ends them, by itself or when told; so a test can hold a job in
any phase as long as it likes.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from flowbatch.admission.admit import admit
from flowbatch.admission.crds import crds
from flowbatch.api.core import Pod
from flowbatch.api.kinds import COMMAND, JOB, POD, POD_GROUP, QUEUE
from flowbatch.api.scheduling import PodGroup
from flowbatch.api.timestamps import format_time
from flowbatch.controllers.app import Controllers
from flowbatch.controllers.clock import wall_clock
from flowbatch.controllers.settings import Settings
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers
from flowbatch.informer import Informer
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch.kube.errors import Conflict, NotFound
from flowbatch.kube.request import Request, bind_pod

PATIENCE_S = 10.0
#: Quick ones, so that tests are; the ratios are those of the defaults.
QUICK = {
    "settle_s": 0.005,
    "settle_longest_s": 0.05,
    "phase_delay_s": 0.05,
    "counts_delay_s": 0.2,
    "counts_longest_s": 1.0,
    "queue_delay_s": 0.05,
    "lag_s": 2.0,
}


class Stage:
    """Scheduler and nodes in the hands of a test."""

    def __init__(self, server: ApiServer, client: Client) -> None:
        self.server = server
        self.client = client
        self.admitting = True
        self.binding = True
        self.ending = True
        self.pods = Informer(client, POD)
        self.groups = Informer(client, POD_GROUP)
        self._work: asyncio.Queue[Callable[[], Awaitable[object]]] = asyncio.Queue()
        self.pods.on_change(self._on_pod)
        self.groups.on_change(self._on_group)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pods.run())
            group.create_task(self.groups.run())
            for _ in range(4):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while True:
            work = await self._work.get()
            with contextlib.suppress(NotFound, Conflict):
                await work()

    def _on_group(self, _old: PodGroup | None, new: PodGroup | None) -> None:
        if new is not None and self.admitting and new.status.phase in ("", "Pending"):
            self._work.put_nowait(lambda: self.group_phase(new, "Inqueue"))

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            return
        if new.metadata.deletion_timestamp is not None and (old is None or old.metadata.deletion_timestamp is None):
            if self.ending:
                self._work.put_nowait(lambda: self._end(new))
        elif not new.spec.node_name and self.binding and old is None:
            self._work.put_nowait(lambda: self.start(new))

    async def end_all(self) -> None:
        """Let the pods go that were held back while `ending` was off."""
        self.ending = True
        for pod in list(self.pods.store.values()):
            if pod.metadata.deletion_timestamp is not None:
                with contextlib.suppress(NotFound, Conflict):
                    await self._end(pod)

    async def _end(self, pod: Pod) -> None:
        await self.client.delete(POD, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid, grace_seconds=0)

    async def group_phase(self, group: PodGroup, phase: str) -> None:
        meta = group.metadata
        await self.client.patch(POD_GROUP, meta.name, {"status": {"phase": phase}}, meta.namespace)

    async def start(self, pod: Pod) -> None:
        meta = pod.metadata
        await self.client.send(bind_pod(meta.namespace, meta.name, meta.uid, "stage"))
        await self.pod_phase(pod, "Running")

    async def pod_phase(self, pod: Pod, phase: str, exit_code: int = 0) -> None:
        """What a kubelet would report."""
        stamp = format_time(wall_clock())
        over = {"exitCode": exit_code, "startedAt": stamp, "finishedAt": stamp}
        running = phase == "Running"
        state: dict[str, Any] = {"running": {"startedAt": stamp}} if running else {"terminated": over}
        container = {"name": "main", "ready": running, "restartCount": 0, "state": state, "image": "x", "imageID": ""}
        ready = {"type": "Ready", "status": "True" if running else "False", "lastTransitionTime": stamp}
        status = {"phase": phase, "containerStatuses": [container], "conditions": [ready], "startTime": stamp}
        meta = pod.metadata
        await self.client.patch(POD, meta.name, {"status": status}, meta.namespace, subresource="status")


class World:
    """One server, one client, controllers that can be killed and started, and the stage."""

    def __init__(self, server: ApiServer, client: Client, tasks: asyncio.TaskGroup, folder: Path) -> None:
        self.server = server
        self.client = client
        self.stage = Stage(server, client)
        self._tasks = tasks
        self._folder = folder
        self._program: asyncio.Task[None] | None = None
        self.controllers: Controllers | None = None
        self.crashes = 0

    # The program under test ---------------------------------------------------------------------------------------

    async def start(self, *, killed_after: int = 0, **settings: Any) -> Controllers:
        """Start the controllers; `killed_after` that many writes they die at once, each reply unheard."""
        config = await load_config(self._folder / "kubeconfig")
        client = Client(config, component="controllers")
        if killed_after:
            self._kill_after(client, killed_after)
        self.controllers = Controllers(client, Settings(**{**QUICK, **settings}))

        async def program(controllers: Controllers) -> None:
            async with client:
                await controllers.run()

        self._program = self._tasks.create_task(program(self.controllers))
        await asyncio.wait_for(self.controllers.wait_ready(), PATIENCE_S)
        return self.controllers

    def _kill_after(self, client: Client, writes: int) -> None:
        left = writes

        def on_reply(request: Request, status: int, _seconds: float) -> None:
            nonlocal left
            left -= request.is_write and 200 <= status < 300
            if left == 0 and self._program is not None:
                client.gate.shut("killed by the test")
                self._program.cancel()

        client.on_reply = on_reply

    async def crash_loop(self, writes: int, **settings: Any) -> None:
        """Run the controllers for ever, killing them after every so many writes."""
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await self.start(killed_after=writes, **settings)
            program = self._program
            assert program is not None
            await asyncio.wait([program])
            self.crashes += 1

    async def kill(self) -> None:
        if self._program is not None:
            self._program.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._program
            self._program = None

    def requests(self) -> dict[str, int]:
        """Requests of the controllers so far, watches left out, by `verb resource`."""
        counted: dict[str, int] = {}
        for request, count in self.server.audit.counts.items():
            if "(controllers)" in request.user_agent and request.verb != "watch":
                key = f"{request.verb} {request.resource}"
                counted[key] = counted.get(key, 0) + count
        return counted

    def writes(self) -> int:
        return sum(count for key, count in self.requests().items() if key.split()[0] not in ("get", "list"))

    # What a user does ---------------------------------------------------------------------------------------------

    async def submit(self, name: str, *tasks: dict[str, Any], **spec: Any) -> None:
        manifest = {
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"schedulerName": "volcano", "tasks": list(tasks), **spec},
        }
        await self.client.create(JOB, manifest)

    async def command(self, action: str, name: str, kind: Any = JOB) -> None:
        namespace = "default" if kind.namespaced else None
        target = await self.client.get(kind, name, namespace)
        reference = {"apiVersion": kind.api_version, "kind": kind.kind, "name": name, "uid": target.metadata.uid}
        manifest = {
            "apiVersion": COMMAND.api_version,
            "kind": COMMAND.kind,
            "metadata": {"generateName": f"{name}-{action.lower()}-", "namespace": "default"},
            "action": action,
            "target": reference,
        }
        await self.client.create(COMMAND, manifest)

    async def change(self, name: str, **spec: Any) -> None:
        await self.client.patch(JOB, name, {"spec": spec}, "default")

    # What a user sees ---------------------------------------------------------------------------------------------

    async def phase(self, name: str) -> str:
        return (await self.client.get(JOB, name, "default")).status.state.phase

    async def queue_state(self, name: str) -> str:
        with contextlib.suppress(NotFound):
            return (await self.client.get(QUEUE, name)).status.state
        return ""

    async def pods(self, job: str) -> list[Pod]:
        return await self.client.list(POD, "default", label_selector=f"volcano.sh/job-name={job}")

    async def pod_phases(self, job: str) -> dict[str, str]:
        return {pod.metadata.name: pod.status.phase for pod in await self.pods(job)}

    async def end(self, job: str, *, task: str = "", exit_code: int = 0) -> None:
        """Let the running pods of a job (or of one of its tasks) end."""
        for pod in await self.pods(job):
            mine = not task or pod.metadata.labels.get("volcano.sh/task-spec") == task
            if mine and pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None:
                await self.stage.pod_phase(pod, "Failed" if exit_code else "Succeeded", exit_code)

    async def until(self, true: Callable[[], Awaitable[Any]], what: str = "", patience_s: float = PATIENCE_S) -> Any:
        deadline = time.monotonic() + patience_s
        while not (result := await true()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {patience_s} s for {what or true}\n{await self.story()}")
            await asyncio.sleep(0.01)
        return result

    async def until_phase(self, job: str, *phases: str) -> None:
        async def reached() -> bool:
            return await self.phase(job) in phases

        await self.until(reached, f"job {job} to be {phases}")

    async def until_pods(self, job: str, phases: dict[str, str]) -> None:
        async def reached() -> bool:
            return await self.pod_phases(job) == phases

        await self.until(reached, f"pods of {job} to be {phases}")

    async def settled(self, quiet_s: float = 0.3) -> None:
        """Wait until the controllers have written nothing for a while."""
        before, since = -1, time.monotonic()
        deadline = since + PATIENCE_S
        while time.monotonic() - since < quiet_s:
            if (now := self.writes()) != before:
                before, since = now, time.monotonic()
            assert time.monotonic() < deadline, f"the controllers never stop writing\n{await self.story()}"
            await asyncio.sleep(0.01)

    async def story(self) -> str:
        """Everything a person would look at, for a failed test."""
        lines = [f"requests: {self.requests()}"]
        jobs, pods, groups = [await self.client.list(kind) for kind in (JOB, POD, POD_GROUP)]
        lines += [f"job {job.metadata.key}: {job.status}" for job in jobs]
        lines += [f"pod {pod.metadata.key}: {pod.status.phase} {pod.metadata.deletion_timestamp}" for pod in pods]
        lines += [f"group {group.metadata.key}: {group.status.phase} {group.spec}" for group in groups]
        if self.controllers is not None:
            for name, controller in self.controllers.running.items():
                runner = controller.runner
                lines.append(f"{name}: reconciles {runner.reconciles}, failures {dict(runner.failures)}")
        return "\n".join(lines)


def task(name: str = "worker", replicas: int = 1, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "100m"}}}
    template = {"spec": {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1}}
    return {"name": name, "replicas": replicas, "template": template, **more}


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A server with flowbatch's kinds and rules, a stage that plays; no controllers yet."""
    async with ApiServer(admit=[admit]) as server:
        for crd in crds():
            await server.install(crd)
        server.write_kubeconfig(folder / "kubeconfig")
        config = await load_config(folder / "kubeconfig")
        async with Client(config, component="stage") as client, asyncio.TaskGroup() as tasks:
            made = World(server, client, tasks, folder)
            around = [tasks.create_task(EmbeddedControllers(server).run()), tasks.create_task(made.stage.run())]
            try:
                yield made
            finally:
                await made.kill()
                for each in around:
                    each.cancel()


__all__ = ["Stage", "World", "task", "world"]
