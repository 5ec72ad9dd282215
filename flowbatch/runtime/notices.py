"""An Event that tells administrators about the program itself: that its settings were refused, or are followed again.

It stands on what people look at: the pod, where the downward API says which one this is (POD_NAME, POD_NAMESPACE); else
the lease of an elected program; else the namespace in which the lease would be.
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from flowbatch.api.kinds import EVENT, LEASE, NAMESPACE, POD
from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists, ApiError, Fenced, TransportError
from flowbatch.runtime.settings import ElectionSettings

#: Kubernetes' limit on an Event's message.
MESSAGE_CHARS: Final = 1024


def subject(election: ElectionSettings, component: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the Event is about, as an object reference."""
    said = os.environ if environment is None else environment
    name, namespace = said.get("POD_NAME", ""), said.get("POD_NAMESPACE", "")
    if name and namespace:
        return {"apiVersion": POD.api_version, "kind": POD.kind, "namespace": namespace, "name": name}
    if election.enabled:
        lease = election.name or component
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "namespace": election.namespace, "name": lease}
    return {"apiVersion": NAMESPACE.api_version, "kind": NAMESPACE.kind, "name": election.namespace}


def event(
    about: Mapping[str, str],
    component: str,
    kind: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    now: datetime,
) -> JsonObject:
    """The Event; what is said twice has one name."""
    said = "\0".join((*about.values(), reason, message)).encode()
    name = f"{about['name'][:200]}.{hashlib.sha256(said).hexdigest()[:16]}"
    stamp = format_time(now)
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": name, "namespace": about.get("namespace", "default")},
        "involvedObject": dict(about),
        "type": kind,
        "reason": reason,
        "message": message[:MESSAGE_CHARS],
        "source": {"component": component},
        "reportingComponent": component,
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
    }


async def tell(client: Client, body: JsonObject) -> bool:
    """Send it; whether it was taken. Losing it is no harm: the health page and the metrics say the same."""
    try:
        await client.create(EVENT, body, body["metadata"]["namespace"])
    except AlreadyExists:
        return True
    except (ApiError, TransportError, Fenced):
        return False
    return True
