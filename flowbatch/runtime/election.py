"""Who leads: this process at once, or the holder of a Lease."""

import socket
from collections.abc import Awaitable, Callable

from flowbatch.kube.client import Client
from flowbatch.kube.lease import Elector, LeaseTiming
from flowbatch.runtime.settings import ElectionSettings


def timing_of(settings: ElectionSettings) -> LeaseTiming:
    """The lease's times. Raises ValueError where they could let two lead."""
    return LeaseTiming(settings.lease_s, settings.renew_s, settings.retry_s)


def quiet_s(settings: ElectionSettings) -> float:
    """How long a new leader waits for the last writes of an earlier one (reliability.md 3.3, layer 3)."""
    return timing_of(settings).write_s if settings.enabled else 0.0


async def elected(
    client: Client, settings: ElectionSettings, component: str, lead: Callable[[], Awaitable[None]]
) -> None:
    """Run `lead` as soon as this replica may, and while it may. Raises LeaderLost."""
    if not settings.enabled:
        await lead()
        return
    elector = Elector(
        client,
        settings.namespace,
        settings.name or component,
        settings.identity or socket.gethostname(),
        timing=timing_of(settings),
    )
    await elector.run(lead)
