"""Who we are, request by request: tokens that rotate on disk, plugins that hand out short-lived ones."""

import asyncio
import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from flowbatch.api.meta import JsonObject
from flowbatch.kube.errors import ConfigError

#: The kubelet rotates projected tokens well before they expire; reading once a minute never sees a dead one.
TOKEN_REREAD_S = 60.0
#: A plugin's token is renewed at least this often; the plugin itself caches, so asking is cheap.
PLUGIN_REREAD_S = 300.0


class Credentials(Protocol):
    """Gives the headers that authenticate a request."""

    async def headers(self) -> Mapping[str, str]:
        """The headers for a request sent now."""
        ...

    def renew(self) -> None:
        """The server answered 401: do not use what is cached."""
        ...


class FixedHeaders:
    """A token or password that never changes, or nothing at all (client certificates)."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})

    async def headers(self) -> Mapping[str, str]:
        """Always the same."""
        return self._headers

    def renew(self) -> None:
        """Nothing newer exists."""


class TokenFile:
    """A bearer token in a file, read again each minute and after a 401."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._headers: Mapping[str, str] = {}
        self._read_at = float("-inf")

    async def headers(self) -> Mapping[str, str]:
        """The token as it is in the file now, or was a minute ago. A vanished file keeps the last one."""
        if time.monotonic() - self._read_at >= TOKEN_REREAD_S:
            try:
                token = self._path.read_text().strip()
            except OSError as problem:
                if not self._headers:
                    raise ConfigError(f"cannot read the token file {self._path}: {problem.strerror}") from None
            else:
                self._headers = bearer(token)
            self._read_at = time.monotonic()
        return self._headers

    def renew(self) -> None:
        """Read the file at the next request."""
        self._read_at = float("-inf")


class Plugin:
    """An exec plugin or auth provider of the kubeconfig, run by kubernetes-asyncio.

    Importing that takes half a second, so it happens only here, for users who need it.
    """

    def __init__(self, kubeconfig: JsonObject, context: str) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._headers: Mapping[str, str] = {}
        self._ran_at = float("-inf")
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """The plugin's token; runs the plugin when the last one may be too old."""
        async with self._lock:
            if time.monotonic() - self._ran_at >= PLUGIN_REREAD_S:
                await self.run()
        return self._headers

    def renew(self) -> None:
        """Run the plugin before the next request."""
        self._ran_at = float("-inf")

    async def run(self) -> Any:
        """Run it now; gives kubernetes-asyncio's Configuration, which may name client certificate files."""
        from kubernetes_asyncio.client import Configuration
        from kubernetes_asyncio.config import load_kube_config_from_dict
        from kubernetes_asyncio.config.config_exception import ConfigException

        found = Configuration()
        try:
            await load_kube_config_from_dict(self._kubeconfig, self._context, found)
        except (ConfigException, OSError, KeyError) as problem:
            raise ConfigError(f"context {self._context!r}: its authentication plugin failed: {problem}") from problem
        self._headers = {setting["key"]: setting["value"] for setting in (await found.auth_settings()).values()}
        self._ran_at = time.monotonic()
        return found


def bearer(token: str) -> dict[str, str]:
    """The header of a bearer token."""
    return {"Authorization": f"Bearer {token}"}


def basic(username: str, password: str) -> dict[str, str]:
    """The header of a user name and password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
