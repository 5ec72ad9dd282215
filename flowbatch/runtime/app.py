"""The programs, each one task group: what stands first starts first.

Signals are the caller's: cancelled, these functions finish the writes in flight, release the lease and return.
"""

import contextlib
import secrets
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import structlog

from flowbatch.api.kinds import (
    CSI_NODE,
    DEVICE_CLASS,
    HYPER_NODE,
    NAMESPACE,
    NODE,
    NUMATOPOLOGY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    POD_GROUP,
    PRIORITY_CLASS,
    QUEUE,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_QUOTA,
    RESOURCE_SLICE,
    STORAGE_CLASS,
)
from flowbatch.informer import Informer
from flowbatch.kube.client import Client
from flowbatch.metrics import LEADING
from flowbatch.runtime import memory
from flowbatch.runtime.clock import now, now_ms
from flowbatch.runtime.election import elected, quiet_s
from flowbatch.runtime.engines import EngineMaker
from flowbatch.runtime.health import Health
from flowbatch.runtime.logs import set_up_logs
from flowbatch.runtime.notices import event, subject, tell
from flowbatch.runtime.reload import Nudge, SettingsWatch
from flowbatch.runtime.requests import count_requests
from flowbatch.runtime.settings import Settings, waiting_for_a_start
from flowbatch.runtime.shared import SharedInformers
from flowbatch.scheduler.caches import Caches
from flowbatch.scheduler.driver import Habits, Scheduler

if TYPE_CHECKING:
    from flowbatch.controllers.app import Controllers
    from flowbatch.controllers.reach import Reach

#: A watch that has brought nothing, not even a bookmark, for so long is dead.
DEAD_WATCH_S = 600.0
#: Remarks about settings that wait for the API server; more are lost.
MOST_TOLD: Final = 16

log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]


async def run_scheduler(
    client: Client, settings: Settings, *, health: Health | None = None, nudge: Nudge | None = None
) -> None:
    """`flowbatch scheduler`: place gangs while leading, stand by warm while not, until cancelled.

    `nudge` asks for the settings to be read again.
    """
    program = Program(client, settings, health, nudge)
    scheduler = program.scheduler()
    await program.run("flowbatch-scheduler", partial(_inform, scheduler.caches, scheduler.caches.run), scheduler.lead)


async def run_controllers(
    client: Client, settings: Settings, *, health: Health | None = None, nudge: Nudge | None = None
) -> None:
    """`flowbatch controllers`: make the pods of jobs, keep queues, obey commands, until cancelled."""
    program = Program(client, settings, health, nudge)
    await program.run("flowbatch-controllers", anyio.sleep_forever, program.controllers().run)


async def run_all(
    client: Client,
    settings: Settings,
    *,
    health: Health | None = None,
    shared: SharedInformers | None = None,
    reach: "Reach | None" = None,
) -> None:
    """`flowbatch up`: both in one process, on one set of watches, under one lease if there is any.

    `shared` is run here, and may serve others in this process too. `reach` is how pods are asked what flows' probes
    ask, where they have networks that this process is not in.
    """
    program = Program(client, settings, health)
    shared = shared or SharedInformers()
    scheduler = program.scheduler(
        Caches(
            pods=shared.base(client, POD),
            nodes=shared.base(client, NODE),
            groups=shared.base(client, POD_GROUP),
            queues=shared.base(client, QUEUE),
            classes=shared.base(client, PRIORITY_CLASS),
            quotas=shared.base(client, RESOURCE_QUOTA),
            namespaces=shared.base(client, NAMESPACE),
            claims=shared.base(client, PERSISTENT_VOLUME_CLAIM),
            volumes=shared.base(client, PERSISTENT_VOLUME),
            storage_classes=shared.base(client, STORAGE_CLASS),
            csi_nodes=shared.base(client, CSI_NODE),
            device_claims=shared.base(client, RESOURCE_CLAIM),
            claim_templates=shared.base(client, RESOURCE_CLAIM_TEMPLATE),
            device_classes=shared.base(client, DEVICE_CLASS),
            device_slices=shared.base(client, RESOURCE_SLICE),
            hyper_nodes=shared.base(client, HYPER_NODE),
            budgets=shared.base(client, POD_DISRUPTION_BUDGET),
            cpus=shared.base(client, NUMATOPOLOGY),
        )
    )
    controllers = program.controllers(shared, reach)

    async def lead() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.lead)
            tasks.start_soon(controllers.run)

    await program.run("flowbatch", partial(_inform, scheduler.caches, shared.run), lead)


async def _inform(caches: Caches, run: Work) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await caches.wait_synced()
        memory.settle()


class Program:
    """What all of them have: settings that are watched, health that is served, a lease where one is wanted."""

    def __init__(self, client: Client, settings: Settings, health: Health | None, nudge: Nudge | None = None) -> None:
        set_up_logs(settings.log.level, settings.log.format)
        self.client = client
        self.settings = settings
        self.health = health or Health()
        self.watch = SettingsWatch(settings, nudge=nudge)
        self.watch.told = self._settings_told
        self.health.details["settings"] = lambda: self.watch.problem or "ok"
        self.health.details["needs_restart"] = lambda: waiting_for_a_start(settings, self.watch.settings)
        #: What is still to be said in Events about the settings, with the names under which it is said.
        self._told_send, self._told = anyio.create_memory_object_stream[str](MOST_TOLD)
        self._on_change: list[Callable[[Settings], None]] = []

    def scheduler(self, caches: Caches | None = None) -> Scheduler:
        """The scheduler these settings describe; its engine follows a new policy in the file."""
        chosen = self.settings.scheduler
        maker = EngineMaker(self.settings)
        habits = Habits(
            scheduler_names=chosen.names,
            lanes=chosen.lanes,
            pace=chosen.pace,
            journal=Path(chosen.journal) if chosen.journal else None,
            run_id=secrets.token_hex(4),
            quiet_s=quiet_s(self.settings.election),
        )
        scheduler = Scheduler(
            self.client, make_engine=maker, now=now_ms, caches=caches or Caches.of(self.client), habits=habits
        )

        scheduler.cycles.begin(maker.asked)
        if maker.chosen.shadow is not None:
            scheduler.cycles.shadow(maker.chosen.shadow)

        def changed(fresh: Settings) -> None:
            before = maker.chosen
            if maker.change(fresh):
                scheduler.cycles.adopt(maker.chosen.policy, maker.asked)
                log.info("policy adopted", policy=maker.chosen.policy.name)
            if maker.chosen.shadow != before.shadow:
                scheduler.cycles.shadow(maker.chosen.shadow)

        self.health.details["policy"] = lambda: maker.chosen.policy.name
        self._on_change.append(changed)
        self._watch_over(scheduler)
        return scheduler

    def _watch_over(self, scheduler: Scheduler) -> None:
        caches = scheduler.caches
        informers: list[Informer[Any]] = [caches.pods, caches.nodes, caches.groups, caches.queues, caches.classes]

        def alive() -> str:
            silent = [each.kind.plural for each in informers if each.synced and each.seconds_since_event > DEAD_WATCH_S]
            return f"no news of {', '.join(silent)}" if silent else ""

        def listed() -> str:
            missing = [each.kind.plural for each in informers if not each.synced]
            return f"not listed yet: {', '.join(missing)}" if missing else ""

        self.health.alive["watches"] = alive
        self.health.ready["listed"] = listed
        self.health.details["leading"] = lambda: scheduler.leading
        self.health.details["engine_failures"] = lambda: scheduler.cycles.failures
        self.health.details["unreadable"] = lambda: len(scheduler.feed.poisoned)
        self.health.explain = scheduler.explain
        self.health.shadow = scheduler.cycles.shadowing.tell

    def controllers(
        self, informer: Callable[..., Informer[Any]] = Informer, reach: "Reach | None" = None
    ) -> "Controllers":
        """The controllers these settings describe, on informers made by `informer`."""
        from flowbatch.controllers.app import Controllers
        from flowbatch.controllers.reach import straight
        from flowbatch.controllers.settings import CONTROLLERS
        from flowbatch.controllers.settings import Settings as ControllersSettings
        from flowbatch.workload.discovery import read_discovery
        from flowbatch.workload.staging.pod import IMAGE

        chosen = self.settings.controllers
        # What is wrong with it was told when the settings were read.
        discovery, _ = read_discovery(chosen.network_topology_discovery, "controllers.networkTopologyDiscovery")
        return Controllers(
            self.client,
            settings=ControllersSettings(
                enabled=frozenset(chosen.enabled or CONTROLLERS),
                lanes=chosen.lanes,
                scheduler_names=self.settings.scheduler.names,
                staging_image=chosen.staging_image or IMAGE,
                discovery=discovery,
            ),
            informer=informer,
            reach=reach or straight,
        )

    async def run(self, name: str, inform: Work, lead: Work) -> None:
        """Serve health, follow the settings, keep the caches, and lead as soon as this replica may."""
        count_requests(self.client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.health.run, self.settings.health)
            tasks.start_soon(self.watch.run, self._changed)
            tasks.start_soon(self._tell_settings, name)
            tasks.start_soon(inform)
            await elected(self.client, self.settings.election, name, lambda: self._lead(name, lead))
            tasks.cancel_scope.cancel()

    async def _lead(self, name: str, lead: Work) -> None:
        LEADING.labels(name).set(1)
        try:
            await lead()
        finally:
            LEADING.labels(name).set(0)

    def _settings_told(self, problem: str) -> None:
        with contextlib.suppress(anyio.WouldBlock):
            self._told_send.send_nowait(problem)

    async def _tell_settings(self, component: str) -> None:
        """Events about settings that were refused, and about those that were taken over after that."""
        about = subject(self.settings.election, component)
        async for problem in self._told:
            kind: Literal["Normal", "Warning"] = "Warning" if problem else "Normal"
            reason = "ConfigReloadFailed" if problem else "ConfigReloaded"
            message = problem or "the settings are sound again and in force"
            await tell(self.client, event(about, component, kind, reason, message, now()))

    def _changed(self, fresh: Settings) -> None:
        for each in self._on_change:
            each(fresh)
