"""The two queues that every cluster has: `root`, above all others, and `default`, for whoever names none."""

from typing import Final

import anyio
import structlog

from flowbatch.api.kinds import QUEUE
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, ROOT_QUEUE
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists, ApiError, NotFound, TransportError

RETRY_S: Final = 2.0

log = structlog.get_logger()


def standing_queues(default: str = DEFAULT_QUEUE) -> list[JsonObject]:
    """Their manifests, as Volcano's scheduler makes them (volcano.md 2.3)."""
    return [_queue(ROOT_QUEUE, reclaimable=False), _queue(default, reclaimable=True)]


def _queue(name: str, *, reclaimable: bool) -> JsonObject:
    return {
        "apiVersion": QUEUE.api_version,
        "kind": QUEUE.kind,
        "metadata": {"name": name},
        "spec": {"weight": 1, "reclaimable": reclaimable},
    }


async def ensure_queues(client: Client, default: str = DEFAULT_QUEUE) -> None:
    """Create what is missing; what is there stays as it is. Tries until it succeeds or is plainly forbidden."""
    for manifest in standing_queues(default):
        name = manifest["metadata"]["name"]
        done = await _ensure(client, name, manifest)
        while not done:
            await anyio.sleep(RETRY_S)
            done = await _ensure(client, name, manifest)


async def _ensure(client: Client, name: str, manifest: JsonObject) -> bool:
    try:
        await client.get(QUEUE, name)
    except NotFound:
        return await _create(client, name, manifest)
    except (ApiError, TransportError) as error:
        log.warning("cannot read queue", queue=name, error=str(error))
        return isinstance(error, ApiError) and error.status == 403
    return True


async def _create(client: Client, name: str, manifest: JsonObject) -> bool:
    try:
        await client.create(QUEUE, manifest)
    except AlreadyExists:
        return True
    except (ApiError, TransportError) as error:
        log.warning("cannot create queue", queue=name, error=str(error))
        return isinstance(error, ApiError) and error.status == 403
    return True
