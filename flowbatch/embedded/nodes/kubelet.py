"""The part of a kubelet that API servers call: container logs over HTTPS, for every node of this program.

One certificate, signed by itself, as kubelets have by default; API servers do not verify it unless told to.
"""

import contextlib
import ipaddress
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flowbatch.embedded.clock import Clock
from flowbatch.embedded.nodes import logs
from flowbatch.embedded.nodes.lifecycle import ContainerLife
from flowbatch.embedded.nodes.podrun import PodRun
from flowbatch.embedded.nodes.specification import ADDRESS

_VALID = timedelta(days=365)


@dataclass(slots=True)
class Kubelet:
    """`runs` are the pods of this program by `namespace/name`."""

    runs: Mapping[str, PodRun]
    clock: Clock
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on loopback, on a port of the system's choice."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/pods", self._pods)
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, ADDRESS, 0, ssl_context=self_signed(self.clock.now()))
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening; logs that are being followed end."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _pods(self, request: web.Request) -> web.Response:
        items = [_summary(run) for run in self.runs.values()]
        return web.json_response({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        run = self.runs.get(f"{names['namespace']}/{names['pod']}")
        each = run.life.containers.get(names["container"]) if run else None
        if run is None or each is None:
            return web.Response(status=404, text=f'container "{names["container"]}" not found in pod "{names["pod"]}"')
        wish, previous = wish_of(request.query, self.clock), request.query.get("previous") in ("true", "1")
        attempt = each.attempt - 1 if previous else each.attempt
        path = run.sandbox.log_path(each.name, attempt)
        if attempt < 0 or not path.exists():
            return web.Response(status=400, text=_no_log_yet(each, names["pod"], previous=previous))
        return await _send(request, path, wish, lambda: _has_ended(each, attempt))


def _has_ended(each: ContainerLife, attempt: int) -> bool:
    return each.attempt != attempt or each.ended is not None


def _no_log_yet(each: ContainerLife, pod: str, *, previous: bool) -> str:
    if previous:
        return f'previous terminated container "{each.name}" in pod "{pod}" not found'
    reason = each.trouble[0] if each.trouble else "ContainerCreating"
    return f'container "{each.name}" in pod "{pod}" is waiting to start: {reason}'


async def _send(request: web.Request, path: Path, wish: logs.Wish, ended: Callable[[], bool]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for piece in logs.read(path, wish, ended):
        await response.write(piece)
    await response.write_eof()
    return response


def wish_of(query: Mapping[str, str], clock: Clock) -> logs.Wish:
    """The reader's wish; a parameter that cannot be read counts as absent."""

    def number(name: str) -> int | None:
        value = query.get(name, "")
        return int(value) if value.isdigit() else None

    since: datetime | None = None
    if (seconds := number("sinceSeconds")) is not None:
        since = clock.now() - timedelta(seconds=seconds)
    elif moment := query.get("sinceTime"):
        with contextlib.suppress(ValueError):
            since = datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(UTC)
    flags = {name: query.get(name) in ("true", "1") for name in ("follow", "timestamps")}
    return logs.Wish(**flags, tail_lines=number("tailLines"), since=since, limit_bytes=number("limitBytes"))


def _summary(run: PodRun) -> dict[str, object]:
    meta = run.pod.metadata
    named = {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid}
    return {"metadata": named, "status": {"phase": run.life.phase, "podIP": run.entry.ip}}


def self_signed(now: datetime) -> ssl.SSLContext:
    """A server's TLS with a fresh key that is never stored."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flowbatch-node")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # ssl takes certificates from files only
        file.write(pem + certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context
