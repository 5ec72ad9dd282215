"""The ConfigMaps, Secrets and claims that pods name, read at their start; equal reads of one moment are one request."""

import asyncio
from typing import Any

from flowbatch.api.core import ConfigMap, Secret
from flowbatch.api.kinds import CONFIG_MAP, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, SECRET, Kind
from flowbatch.embedded.nodes.environment import Surroundings
from flowbatch.embedded.nodes.volumes import References
from flowbatch.kube.client import Client
from flowbatch.kube.errors import NotFound

#: The pods of a gang start together and name the same objects.
FRESH_S = 2.0


class Configuration:
    """Reads objects for pods; a result is shared by everyone who asks within `FRESH_S` of its reading."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._reads: dict[tuple[str, str, str], asyncio.Task[Any]] = {}

    async def surroundings(
        self, namespace: str, needed: References, *, pod_ip: str, host_ip: str, allocatable: dict[str, str]
    ) -> Surroundings:
        """Everything `needed` that exists. Raises ApiError, TransportError."""
        config_maps: dict[str, ConfigMap] = {}
        secrets: dict[str, Secret] = {}
        for name in needed.config_maps:
            if (config_map := await self._read(CONFIG_MAP, namespace, name)) is not None:
                config_maps[name] = config_map
        for name in needed.secrets:
            if (secret := await self._read(SECRET, namespace, name)) is not None:
                secrets[name] = secret
        claims = {name: path for name in needed.claims if (path := await self._folder(namespace, name))}
        return Surroundings(config_maps, secrets, pod_ip, host_ip, allocatable, claims)

    async def _folder(self, namespace: str, claim: str) -> str:
        """The folder of this machine that a claim is bound to; "" if there is none."""
        found = await self._get(PERSISTENT_VOLUME_CLAIM, namespace, claim)
        if found is None or found.status.phase != "Bound":
            return ""
        volume = await self._get(PERSISTENT_VOLUME, "", found.spec.volume_name)
        source = None if volume is None else volume.spec.host_path or volume.spec.local
        return source.path if source is not None else ""

    async def _read(self, kind: Kind[Any], namespace: str, name: str) -> Any:
        key = (kind.kind, namespace, name)
        task = self._reads.get(key)
        if task is None:
            task = self._reads[key] = asyncio.create_task(self._get(kind, namespace, name))
            # What is not there may be created any moment: only found objects stay fresh for a while.
            task.add_done_callback(lambda done: self._forget_later(key, done))
        return await asyncio.shield(task)

    async def _get(self, kind: Kind[Any], namespace: str, name: str) -> Any:
        try:
            return await self._client.get(kind, name, namespace or None)
        except NotFound:
            return None

    def _forget_later(self, key: tuple[str, str, str], done: "asyncio.Task[Any]") -> None:
        found = not done.cancelled() and done.exception() is None and done.result() is not None
        loop = asyncio.get_running_loop()
        loop.call_later(FRESH_S if found else 0, self._reads.pop, key, None)
