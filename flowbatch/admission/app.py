"""The webhook as a whole: caches that are watched, a certificate that is kept in force, a server that answers."""

import contextlib
import ssl
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import anyio
import structlog
from aiohttp import web

from flowbatch.admission.caches import Caches
from flowbatch.admission.resource_groups import ResourceGroup
from flowbatch.admission.rotation import PLURALS, Place, Rotation
from flowbatch.admission.server import Door
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, TransportError

#: How often Secret and configurations are looked at.
LOOK_S = 60.0
#: The same while something is wrong or missing.
HURRY_S = 2.0

_log = structlog.get_logger(__name__)


class Webhook:
    """Serves until cancelled; several replicas do so at once."""

    def __init__(
        self,
        client: Client,
        place: Place,
        *,
        now: Callable[[], datetime],
        host: str,
        port: int,
        groups: Sequence[ResourceGroup] = (),
        folder: Path | None = None,
    ) -> None:
        """`folder`, if given, holds tls.crt and tls.key that somebody else keeps in force (cert-manager)."""
        self.caches = Caches(client)
        self.door = Door(self.caches, groups)
        self.rotation = Rotation(client, place, now, self._take)
        self._host = host
        self._folder = folder
        self._context = _context()
        self._certified = anyio.Event()
        self._seen = b""
        #: Where it listens, once it does.
        self.port = 0
        self._wanted = port
        self.problem = "no certificate yet"

    async def run(self) -> None:
        """Watch, keep the certificate, serve."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.caches.run)
            tasks.start_soon(self._keep_certificate)
            await self._certified.wait()
            await self._serve()

    async def _serve(self) -> None:
        runner = web.AppRunner(self.door.app(), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._wanted, ssl_context=self._context)
            await site.start()
            self.port = runner.addresses[0][1]
            _log.info("webhook listens", host=self._host, port=self.port)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    # The certificate -----------------------------------------------------------------------------------------------

    async def _keep_certificate(self) -> None:
        while True:
            try:
                await self._look()
                self.problem = ""
            except (ApiError, TransportError, OSError, ssl.SSLError) as problem:
                self.problem = f"certificate: {problem}"
                _log.warning("the webhook's certificate could not be looked at", problem=str(problem))
            unsettled = bool(self.problem) or len(self.rotation.missing) == len(PLURALS)
            await anyio.sleep(HURRY_S if unsettled else LOOK_S)

    async def _look(self) -> None:
        if self._folder is None:
            await self.rotation.look()
            return
        certificate, key = (self._folder / name for name in ("tls.crt", "tls.key"))
        texts = await anyio.Path(certificate).read_bytes(), await anyio.Path(key).read_bytes()
        if b"".join(texts) != self._seen:
            self._take(*(text.decode() for text in texts))
            self._seen = b"".join(texts)

    def _take(self, certificate: str, key: str) -> None:
        """Connections from now on get this one; those that are open keep what they have."""
        with tempfile.TemporaryDirectory() as folder:
            # ssl reads key material from files only.
            path = Path(folder, "server.pem")
            path.touch(mode=0o600)
            path.write_text(key + certificate)
            # Tried elsewhere first: half of a pair must not come into the context that is served.
            _context().load_cert_chain(path)
            self._context.load_cert_chain(path)
        self._certified.set()
        _log.info("webhook certificate loaded")


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.suppress(NotImplementedError):
        context.set_alpn_protocols(["http/1.1"])
    return context
