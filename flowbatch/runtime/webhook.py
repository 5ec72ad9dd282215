"""`flowbatch webhook`: answers the API server's questions about writes. Every replica serves; nobody is elected."""

from pathlib import Path

import anyio

from flowbatch.admission.app import Webhook
from flowbatch.admission.rotation import Place
from flowbatch.kube.client import Client
from flowbatch.runtime.clock import now
from flowbatch.runtime.health import Health
from flowbatch.runtime.logs import set_up_logs
from flowbatch.runtime.reload import Nudge, SettingsWatch
from flowbatch.runtime.requests import count_requests
from flowbatch.runtime.settings import Settings, waiting_for_a_start


async def run_webhook(
    client: Client, settings: Settings, *, health: Health | None = None, nudge: Nudge | None = None
) -> None:
    """Serve until cancelled. Resource groups follow the settings file; the other settings wait for a new start."""
    set_up_logs(settings.log.level, settings.log.format)
    count_requests(client)
    health, watch = health or Health(), SettingsWatch(settings, nudge=nudge)
    webhook = make_webhook(client, settings)
    health.ready["listed"] = webhook.caches.unlisted
    health.ready["certificate"] = lambda: webhook.problem
    health.details["port"] = lambda: webhook.port
    health.details["configurations_missing"] = lambda: webhook.rotation.missing
    health.details["settings"] = lambda: watch.problem or "ok"
    health.details["needs_restart"] = lambda: waiting_for_a_start(settings, watch.settings)

    def changed(fresh: Settings) -> None:
        webhook.door.groups = fresh.webhook.resource_groups

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(health.run, settings.health)
        tasks.start_soon(watch.run, changed)
        tasks.start_soon(webhook.run)


def make_webhook(client: Client, settings: Settings) -> Webhook:
    """The webhook these settings describe."""
    chosen = settings.webhook
    place = Place(
        namespace=chosen.namespace,
        service=chosen.service,
        secret=chosen.secret,
        configuration=chosen.configuration,
        called=chosen.names,
    )
    return Webhook(
        client,
        place,
        now=now,
        host=chosen.host,
        port=chosen.port,
        groups=chosen.resource_groups,
        folder=Path(chosen.certificates) if chosen.certificates else None,
    )
