"""Asks Prometheus how busy nodes are, and tells the engine (Volcano: `metrics` of the scheduler configuration).

Two questions for the whole cluster, not two for each node. Whatever goes wrong, scheduling goes on without: the engine
forgets measurements that are too old.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import aiohttp
import anyio
import msgspec
import structlog

from flowbatch.engine.events import UsageSeen
from flowbatch.model.ids import Instant, NodeName
from flowbatch.policy.measuring import MetricsSource

#: Volcano's questions, for all nodes at once: mean use over ten minutes, in percent, by the exporter's instance.
QUERIES: Final[Mapping[str, str]] = {
    "cpu": (
        'avg_over_time((100 - (avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100))[10m:30s])'
    ),
    "memory": (
        "100*avg_over_time(((1-avg by (instance) (node_memory_MemAvailable_bytes)"
        "/avg by (instance) (node_memory_MemTotal_bytes)))[10m:30s])"
    ),
}
MOST_BYTES: Final = 16 << 20
TIMEOUT_S: Final = 10.0
#: How often to look whether somebody has configured a source.
IDLE_S: Final = 30.0

log = structlog.get_logger()


class _Sample(msgspec.Struct, frozen=True):
    metric: dict[str, str] = {}
    value: tuple[float, str] = (0.0, "")


class _Data(msgspec.Struct, frozen=True, rename={"result_type": "resultType"}):
    result_type: str = ""
    result: list[msgspec.Raw] = []


class _Answer(msgspec.Struct, frozen=True):
    status: str = ""
    data: _Data = _Data()


_answers = msgspec.json.Decoder(_Answer)
_samples = msgspec.json.Decoder(_Sample)


class UsageSource:
    """Asks as long as the policy in force names a source; another policy may name another one at any time."""

    def __init__(
        self,
        source: Callable[[], MetricsSource | None],
        nodes: Callable[[], Iterable[str]],
        tell: Callable[[UsageSeen], None],
        now: Callable[[], Instant],
    ) -> None:
        self._source = source
        self._nodes = nodes
        self._tell = tell
        self._now = now
        self.failures = 0
        self._unknown: dict[str, None] = {}

    async def run(self) -> None:
        """Ask, tell, wait; until cancelled."""
        while True:
            source = self._source()
            if source is None:
                await anyio.sleep(IDLE_S)
                continue
            if source.kind == "prometheus":
                await self._round(source)
            elif source.kind not in self._unknown:
                self._unknown[source.kind] = None
                log.warning("no measurements: this kind of source is not read here", kind=source.kind)
            await anyio.sleep(source.interval_ms / 1000)

    async def _round(self, source: MetricsSource) -> None:
        try:
            found = await measure(source)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError, ValueError) as error:
            self.failures += 1
            log.warning("cannot measure nodes", address=source.address, error=repr(error), failures=self.failures)
            return
        at = self._now()
        for name in self._nodes():
            permille = tuple(
                sorted((resource, by_node[name]) for resource, by_node in found.items() if name in by_node)
            )
            if permille:
                self._tell(UsageSeen(NodeName(name), permille, at))


async def measure(source: MetricsSource) -> dict[str, dict[str, int]]:
    """Parts per thousand by resource and node. Raises what aiohttp and msgspec raise."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(ssl=not source.insecure)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False) as session:
        return {resource: await _ask(session, source, query) for resource, query in QUERIES.items()}


async def _ask(session: aiohttp.ClientSession, source: MetricsSource, query: str) -> dict[str, int]:
    url = f"{source.address.rstrip('/')}/api/v1/query"
    async with session.get(url, params={"query": query}, allow_redirects=False) as response:
        response.raise_for_status()
        body = await response.content.read(MOST_BYTES + 1)
        while len(body) <= MOST_BYTES and not response.content.at_eof():
            body += await response.content.read(MOST_BYTES + 1 - len(body))
    if len(body) > MOST_BYTES:
        raise ValueError(f"an answer of more than {MOST_BYTES} bytes")
    return read_vector(body)


def read_vector(body: bytes) -> dict[str, int]:
    """Node to parts per thousand, from an answer in percent; samples that cannot be read are left out."""
    answer = _answers.decode(body)
    if answer.status != "success" or answer.data.result_type != "vector":
        raise ValueError("the answer is no vector")
    found: dict[str, int] = {}
    for raw in answer.data.result:
        try:
            sample = _samples.decode(raw)
            percent = float(sample.value[1])
        except (msgspec.MsgspecError, ValueError):
            continue
        instance = sample.metric.get("node") or sample.metric.get("instance", "")
        if instance and 0 <= percent < 1e6:
            found[instance] = found[instance.partition(":")[0]] = round(percent * 10)
    return found
