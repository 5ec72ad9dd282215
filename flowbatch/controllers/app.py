"""All controllers over one set of informers, in one task group: the shells' own composition root."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from flowbatch.controllers.caches import Caches, wait_synced
from flowbatch.controllers.command import CommandController
from flowbatch.controllers.cronjob import CronJobController
from flowbatch.controllers.hypernode import HyperNodeController
from flowbatch.controllers.job import JobController
from flowbatch.controllers.jobflow import JobFlowController
from flowbatch.controllers.jobtemplate import JobTemplateController
from flowbatch.controllers.podgroup import PodGroupController
from flowbatch.controllers.queue import QueueController
from flowbatch.controllers.reach import Reach, straight
from flowbatch.controllers.recorder import Recorder
from flowbatch.controllers.runner import Runner
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.informer import Informer
from flowbatch.kube.backoff import Backoff
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, TransportError
from flowbatch.kube.schema import served_fields

_log = structlog.get_logger(__name__)

COMPONENT = "flowbatch-controllers"


class Controller(Protocol):
    """What the controllers have in common."""

    queue: WorkQueue
    runner: Runner

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        ...


class Controllers:
    """The controllers of jobs, what jobs are made from, pod groups and queues; `settings.enabled` says which."""

    def __init__(
        self,
        client: Client,
        settings: Settings | None = None,
        informer: Callable[..., Informer[Any]] = Informer,
        reach: Reach = straight,
    ) -> None:
        self.settings = settings or Settings()
        self._client = client
        self._reach = reach
        self.caches = Caches(client, self.settings.scheduler_names, informer)
        self.recorder = Recorder(client, COMPONENT, self.settings.now)
        #: By name, once `run` has begun.
        self.running: dict[str, Controller] = {}
        self._ready = asyncio.Event()

    @property
    def informers(self) -> list[Informer[Any]]:
        """The informers that run, for health checks."""
        return self.caches.for_controllers(self.settings.running)

    async def run(self) -> None:
        """Run until cancelled. What is half done then is finished by the next run: nothing is kept in memory only."""
        served = await self._served()
        async with asyncio.TaskGroup() as group:
            optional = self.caches.optional(self.settings.running)
            for informer in (*self.informers, *optional):
                group.create_task(informer.run())
            group.create_task(self.recorder.run())
            await wait_synced(self.informers, optional)
            self.running = self._make(served)
            for controller in self.running.values():
                group.create_task(controller.run())
            self._ready.set()

    async def _served(self) -> frozenset[str]:
        """Ask until the server answers: it may start after us."""
        backoff = Backoff(first_s=0.2, cap_s=5.0)
        while True:
            try:
                return await served_fields(self._client)
            except (ApiError, TransportError) as problem:
                delay_s = backoff.delay_s()
                _log.warning("the API server does not answer", problem=str(problem), retry_in_s=delay_s)
            await asyncio.sleep(delay_s)

    async def wait_ready(self) -> None:
        """Wait until every cache is filled and every controller works."""
        await self._ready.wait()

    def depths(self) -> dict[str, int]:
        """Keys that wait for a lane, by controller."""
        return {name: len(controller.queue) for name, controller in self.running.items()}

    def _make(self, served: frozenset[str]) -> dict[str, Controller]:
        client, caches, recorder, settings = self._client, self.caches, self.recorder, self.settings
        made: dict[str, Controller] = {}
        if "job" in settings.enabled:
            made["job"] = JobController(client, caches, recorder, settings, served)
        if "podgroup" in settings.enabled:
            made["podgroup"] = PodGroupController(client, caches, recorder, settings)
        if "queue" in settings.enabled:
            made["queue"] = QueueController(client, caches, recorder, settings)
        if "command" in settings.enabled:
            made["command"] = CommandController(client, caches, recorder, settings)
        if "cronjob" in settings.enabled:
            made["cronjob"] = CronJobController(client, caches, recorder, settings)
        if "jobflow" in settings.enabled:
            made["jobflow"] = JobFlowController(client, caches, recorder, settings, served, self._reach)
        if "jobtemplate" in settings.enabled:
            made["jobtemplate"] = JobTemplateController(client, caches, settings)
        if "hypernode" in settings.running:
            made["hypernode"] = HyperNodeController(client, caches, settings)
        return made
