"""A flow on the small cluster of `stage`, in the words that its tests use."""

import contextlib
from typing import Any

import msgspec

from flowbatch.api.flow import JobFlow, StepStatus
from flowbatch.api.kinds import EVENT, JOB, JOB_FLOW, JOB_TEMPLATE, POD
from flowbatch.api.timestamps import format_time
from flowbatch.controllers.clock import wall_clock
from flowbatch.kube.errors import NotFound
from tests.embedded.controllers.stage import World, task


def template(name: str, **spec: Any) -> dict[str, Any]:
    body = {"schedulerName": "volcano", "tasks": [task("main")], **spec}
    return manifest(JOB_TEMPLATE, name, body)


def manifest(kind: Any, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec}


def step(name: str, *targets: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "jobTemplate": "t", **({"dependsOn": {"targets": list(targets)}} if targets else {}), **more}


class Flows:
    def __init__(self, world: World) -> None:
        self.world = world

    async def template(self, name: str = "t", **spec: Any) -> None:
        await self.world.client.create(JOB_TEMPLATE, template(name, **spec))

    async def submit(self, *steps: dict[str, Any], name: str = "f", **spec: Any) -> None:
        await self.world.client.create(JOB_FLOW, manifest(JOB_FLOW, name, {"flows": list(steps), **spec}))

    async def get(self, name: str = "f") -> JobFlow:
        return await self.world.client.get(JOB_FLOW, name, "default")

    async def step(self, name: str, flow: str = "f") -> StepStatus:
        found = [each for each in (await self.get(flow)).status.steps if each.name == name]
        return found[0] if found else StepStatus()

    async def jobs(self) -> list[str]:
        found = await self.world.client.list(JOB, "default")
        return sorted(job.metadata.name for job in found)

    async def until_jobs(self, *names: str) -> None:
        async def so() -> bool:
            return await self.jobs() == sorted(names)

        await self.world.until(so, f"jobs {names}")

    async def until_phase(self, phase: str, name: str = "f") -> None:
        async def so() -> bool:
            return (await self.get(name)).status.state.phase == phase

        await self.world.until(so, f"flow {name} to be {phase}")

    async def until_step(self, name: str, *states: str, flow: str = "f") -> StepStatus:
        async def so() -> bool:
            return (await self.step(name, flow)).state in states

        await self.world.until(so, f"step {name} to be {states}")
        return await self.step(name, flow)

    async def until_job(self, name: str, *phases: str) -> None:
        async def so() -> bool:
            with contextlib.suppress(NotFound):
                return await self.world.phase(name) in phases
            return False

        await self.world.until(so, f"job {name} to be {phases}")

    async def until_reason(self, reason: str) -> None:
        async def said() -> bool:
            return reason in {event.reason for event in await self.world.client.list(EVENT, "default")}

        await self.world.until(said, f"an event {reason}")

    async def end(self, *jobs: str, exit_code: int = 0, leaves: Any = None) -> None:
        """Let each job's pods run and end; `leaves` is their termination message, as JSON unless it is text."""
        for job in jobs:
            await self.until_job(job, "Running")
            message = leaves if isinstance(leaves, str) else msgspec.json.encode(leaves).decode() if leaves else ""
            for pod in await self.world.pods(job):
                if pod.status.phase == "Running":
                    await self.end_pod(pod, exit_code, message)

    async def end_pod(self, pod: Any, exit_code: int, message: str) -> None:
        stamp = format_time(wall_clock())
        over = {"exitCode": exit_code, "startedAt": stamp, "finishedAt": stamp, "message": message}
        container = {"name": "main", "ready": False, "restartCount": 0, "state": {"terminated": over}}
        status = {
            "phase": "Failed" if exit_code else "Succeeded",
            "containerStatuses": [{**container, "image": "x", "imageID": ""}],
        }
        await self.world.client.patch(POD, pod.metadata.name, {"status": status}, "default", subresource="status")
