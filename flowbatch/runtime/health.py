"""What probes, Prometheus and the curious ask a running program: one small server, loopback unless told otherwise.

/livez    is the event loop turning, and are the watches alive? (else: restart me)
/readyz   is everything listed, and do I lead or stand by? With details, also of settings that were refused.
/metrics  Prometheus text.
/debug/why/NAMESPACE/NAME   why a gang waits, from the engine itself, as it is now.
/debug/shadow   what a second policy would do otherwise, where the settings name one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import msgspec
import structlog
from aiohttp import web

from flowbatch.api.meta import JsonObject
from flowbatch.metrics import LOOP_LAG_SECONDS, exposition
from flowbatch.runtime.settings import HealthSettings

#: A loop that is later than this no longer serves its watches and its lease.
DEAD_LAG_S: Final = 10.0
BEAT_S: Final = 1.0

log = structlog.get_logger()

#: Empty: all is well; else what is wrong.
Check = Callable[[], str]
Explain = Callable[[str, str], JsonObject | None]


def _nothing(_namespace: str, _name: str) -> JsonObject | None:
    return None


@dataclass(kw_only=True)
class Health:
    """The checks of one program. Others add theirs before it is served."""

    alive: dict[str, Check] = field(default_factory=dict)
    ready: dict[str, Check] = field(default_factory=dict)
    #: Told, but neither alive nor ready depend on them.
    details: dict[str, Callable[[], Any]] = field(default_factory=dict)
    explain: Explain = _nothing
    shadow: Callable[[], JsonObject | None] = lambda: None
    lag_s: float = 0.0
    #: Where it listens, once it does.
    port: int = 0

    async def run(self, settings: HealthSettings) -> None:
        """Serve until cancelled; at once done where no port is wanted."""
        if settings.port < 0:
            return
        self.alive["loop"] = self._loop
        runner = web.AppRunner(self.app(), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            self.port = runner.addresses[0][1]
            log.info("health server listens", host=settings.host, port=self.port)
            await self._beat()
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    def app(self) -> web.Application:
        """The routes, without a server."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/healthz", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/debug/why/{namespace}/{name}", self._why)
        app.router.add_get("/debug/shadow", self._shadow)
        return app

    async def _beat(self) -> None:
        while True:
            expected = anyio.current_time() + BEAT_S
            await anyio.sleep_until(expected)
            self.lag_s = anyio.current_time() - expected
            LOOP_LAG_SECONDS.set(self.lag_s)

    def _loop(self) -> str:
        return "" if self.lag_s < DEAD_LAG_S else f"the event loop is {self.lag_s:.1f} s late"

    async def _livez(self, _request: web.Request) -> web.Response:
        return _answer(self.alive, {})

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer({**self.alive, **self.ready}, {name: tell() for name, tell in self.details.items()})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _shadow(self, _request: web.Request) -> web.Response:
        told = self.shadow()
        return _json({"error": "no shadow policy is set"}, 404) if told is None else _json(told)

    async def _why(self, request: web.Request) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        explanation = self.explain(namespace, name)
        if explanation is None:
            return _json({"error": f"no PodGroup {namespace}/{name} is known here"}, 404)
        return _json(explanation)


def _answer(checks: Mapping[str, Check], details: Mapping[str, object]) -> web.Response:
    results = {name: check() for name, check in checks.items()}
    failed = any(results.values())
    shown: dict[str, object] = {name: result or "ok" for name, result in results.items()}
    return _json({**shown, **details}, 503 if failed else 200)


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
