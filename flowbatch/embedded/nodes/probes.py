"""Readiness and liveness probes, and the hooks around a container's run."""

import asyncio
from typing import Any, Protocol

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.nodes.lifecycle import PodLife
from flowbatch.embedded.nodes.sandbox import Sandbox

_DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1}
_FAILURES, _SUCCESSES = 3, 1


class Probed(Protocol):
    """The pod run that probes belong to."""

    life: PodLife
    sandbox: Sandbox

    def wake(self) -> None: ...  # noqa: D102
    def terminate(self, name: str) -> None: ...  # noqa: D102
    def restart(self, name: str, why: str) -> None: ...  # noqa: D102


class Probing:
    """The probes of one pod's containers; a container without a readiness probe is ready when it runs."""

    def __init__(self, run: Probed) -> None:
        self._run = run
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def begin(self, name: str, spec: JsonObject) -> None:
        """A container started."""
        self.end(name)
        tasks = self._tasks.setdefault(name, [])
        if hook := (spec.get("lifecycle") or {}).get("postStart"):
            tasks.append(asyncio.create_task(self._hook(name, hook)))
        readiness = spec.get("readinessProbe")
        self._run.life.containers[name].ready = readiness is None
        if readiness is not None:
            tasks.append(asyncio.create_task(self._watch_readiness(name, readiness, spec)))
        if (liveness := spec.get("livenessProbe")) is not None:
            tasks.append(asyncio.create_task(self._watch_liveness(name, liveness, spec)))

    def end(self, name: str) -> None:
        """A container ended."""
        for task in self._tasks.pop(name, ()):
            if task is not asyncio.current_task():
                task.cancel()

    def close(self) -> None:
        """The pod ended."""
        for name in list(self._tasks):
            self.end(name)

    def before_stop(self, name: str, spec: JsonObject) -> None:
        """Run the preStop hook, if any, then ask the container to stop."""
        hook = (spec.get("lifecycle") or {}).get("preStop")
        if not hook:
            self._run.terminate(name)
            return

        async def hook_then_stop() -> None:
            await self._hook(name, hook)
            self._run.terminate(name)

        self._tasks.setdefault(name, []).append(asyncio.create_task(hook_then_stop()))

    async def _hook(self, name: str, hook: JsonObject) -> None:
        if "sleep" in hook:
            await asyncio.sleep(float(hook["sleep"].get("seconds", 0)))
        elif "exec" in hook:
            await self._run.sandbox.execute(name, list(hook["exec"].get("command") or ["true"]))
        else:
            await self._ask(name, hook, {}, 1.0)

    async def _watch_readiness(self, name: str, probe: JsonObject, spec: JsonObject) -> None:
        each = self._run.life.containers[name]
        good = bad = 0
        await asyncio.sleep(_number(probe, "initialDelaySeconds"))
        while True:
            if await self._ask(name, probe, spec, _number(probe, "timeoutSeconds")):
                good, bad = good + 1, 0
            else:
                good, bad = 0, bad + 1
            ready = good >= int(probe.get("successThreshold") or _SUCCESSES) if good else each.ready
            if bad >= int(probe.get("failureThreshold") or _FAILURES):
                ready = False
            if ready != each.ready:
                each.ready = ready
                self._run.wake()
            await asyncio.sleep(_number(probe, "periodSeconds"))

    async def _watch_liveness(self, name: str, probe: JsonObject, spec: JsonObject) -> None:
        bad = 0
        await asyncio.sleep(_number(probe, "initialDelaySeconds"))
        while bad < int(probe.get("failureThreshold") or _FAILURES):
            await asyncio.sleep(_number(probe, "periodSeconds"))
            alive = await self._ask(name, probe, spec, _number(probe, "timeoutSeconds"))
            bad = 0 if alive else bad + 1
        self._run.restart(name, f"container {name} failed liveness probe, will be restarted")

    async def _ask(self, name: str, probe: JsonObject, spec: JsonObject, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s + 1):
                if command := (probe.get("exec") or {}).get("command"):
                    return await self._run.sandbox.execute(name, [str(part) for part in command]) == 0
                target: Any = probe.get("httpGet") or probe.get("tcpSocket") or {}
                path = str(target.get("path") or "/") if "httpGet" in probe else None
                return await self._run.sandbox.probe(_port(target.get("port", 0), spec), path, timeout_s)
        except TimeoutError:
            return False


def _number(probe: JsonObject, name: str) -> float:
    return float(probe.get(name) or _DEFAULTS[name])


def _port(port: int | str, spec: JsonObject) -> int:
    """A port number, or the container port of that name."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    return next((int(each["containerPort"]) for each in spec.get("ports") or () if each.get("name") == port), 0)
