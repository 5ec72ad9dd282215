"""Puts the engine's questions to HTTP extenders and tells it what they said.

An extender is a stranger. It has a few lanes of its own, so that one that hangs delays only those who must ask it; each
call is bounded in time and bytes, the whole question in time, and every question is answered, come what may.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import anyio
import msgspec
import structlog

from flowbatch.api.core import Node, Pod
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import TASK_SPEC
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.engine.decisions import Ask
from flowbatch.engine.events import Answered, Event
from flowbatch.metrics import EXTENDER_CALLS, EXTENDER_SECONDS
from flowbatch.model.ids import NodeName, PodUid
from flowbatch.model.inquiry import Inquiry, Subject
from flowbatch.scheduler import extending
from flowbatch.scheduler.extending import ExtenderFailed
from flowbatch.scheduler.lanes import Lanes, Rank
from flowbatch.scheduler.translate import marked

if TYPE_CHECKING:
    import aiohttp

#: Questions at once, and calls at once for all of them.
LANES: Final = 8
CALLS: Final = 16
#: Volcano reads up to ten MiB; an answer about a few hundred nodes is far below this, and must not take long to read.
MOST_BYTES: Final = 2**18
#: A question as a whole may take so long, however many nodes it is about.
MOST_S: Final = 30.0

T = TypeVar("T", bound=msgspec.Struct)
Refused = list[tuple[PodUid, NodeName, str]]
Scored = list[tuple[PodUid, NodeName, float]]
Body = Callable[[], JsonObject]

log = structlog.get_logger()


class Things(Protocol):
    """Where objects are found, as they were last seen."""

    def pod(self, key: str) -> Pod | None:
        """A pod by `namespace/name`."""

    def group(self, key: str) -> PodGroup | None:
        """A PodGroup by `namespace/name`."""

    def queue(self, key: str) -> Queue | None:
        """A queue by name."""

    def node(self, name: str) -> Node | None:
        """A node by name."""


class Asking:
    """Carries out Asks; `tell` posts the answers."""

    def __init__(self, things: Things, tell: Callable[[Event], None], most_s: float = MOST_S) -> None:
        self._things = things
        self._tell = tell
        self._most_s = most_s
        self._session: aiohttp.ClientSession | None = None
        self._calls = anyio.CapacityLimiter(CALLS)
        #: Engines so far: each counts its questions from one.
        self._era = 0
        self.lanes = Lanes(LANES)

    def renew(self) -> None:
        """There is a new engine: what the one before it has asked is nobody's question any more."""
        self._era += 1

    def ask(self, order: Ask) -> None:
        """See to it that the question is answered. Never waits."""
        if order.inquiry is None:
            # A policy's own question in words: there is nobody here who could answer it.
            self._tell(Answered(order.ask, "refused: nobody answers questions here"))
        else:
            self.lanes.put(f"ask/{order.ask}", Rank.BIND, partial(self._answer, order.ask, order.inquiry, self._era))

    async def run(self) -> None:
        """Ask until cancelled; what is not answered then never is, and the engine that asked is gone too."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.lanes.run)
                try:
                    await anyio.sleep_forever()
                finally:
                    await self.lanes.close(0.0)
        finally:
            if self._session is not None:
                with anyio.CancelScope(shield=True):
                    await self._session.close()

    async def _answer(self, ask: str, inquiry: Inquiry, era: int) -> None:
        answer = Answered(ask, "yes" if inquiry.ignorable else f"no answer within {self._most_s:g} s")
        try:
            with anyio.move_on_after(self._most_s):
                answer = await self._put(ask, inquiry)
        except ExtenderFailed as error:
            log.warning("extender failed", url=inquiry.url, gang=inquiry.gang, error=str(error))
            answer = Answered(ask, str(error))
        except Exception as error:
            # The one place of this loop: a question without an answer would hold its capacity for ever.
            log.exception("asking an extender went wrong", url=inquiry.url, gang=inquiry.gang)
            answer = Answered(ask, f"{type(error).__name__}: {error}")
        if era == self._era:
            self._tell(answer)

    async def _put(self, ask: str, inquiry: Inquiry) -> Answered:
        tasks = self._tasks(inquiry)
        job = partial(extending.job_info, inquiry.gang, self._things.group(inquiry.gang), tasks)
        queue = partial(extending.queue_info, inquiry.queue, self._things.queue(inquiry.queue))
        permit = await self._call(inquiry, "jobEnqueueable", lambda: {"job": job()}, extending.EnqueueableReply)
        if permit is not None and permit.status < 0:
            return Answered(ask, "the job may not be enqueued")
        over = await self._call(inquiry, "queueOverused", lambda: {"queue": queue()}, extending.OverusedReply)
        if over is not None and over.overused:
            return Answered(ask, f'queue "{inquiry.queue}" is overused')
        ready = await self._call(inquiry, "jobReady", lambda: {"job": job()}, extending.ReadyReply)
        if ready is not None and not ready.status:
            return Answered(ask, "the job is not ready with these places")
        refused: Refused = []
        scores: Scored = []
        for subject in inquiry.subjects:
            task = tasks.get(subject.uid)
            if task is not None:
                await self._judge(inquiry, subject, task, refused)
                await self._rank(inquiry, subject, task, scores)
        return Answered(ask, "yes", tuple(refused), tuple(scores))

    def _tasks(self, inquiry: Inquiry) -> dict[str, JsonObject]:
        """The pods by uid; one that has gone since is not spoken of."""
        tasks: dict[str, JsonObject] = {}
        for uid, key, node in inquiry.places:
            pod = self._things.pod(key)
            if pod is not None and pod.metadata.uid == uid:
                tasks[uid] = extending.task_info(pod, inquiry.gang, marked(pod.metadata, TASK_SPEC), node)
        return tasks

    async def _judge(self, inquiry: Inquiry, subject: Subject, task: JsonObject, refused: Refused) -> None:
        """Every node of the subject, a few calls at a time; refusals in the order of nodes."""
        if not inquiry.verb("predicate"):
            return
        free = dict(inquiry.free)
        replies: dict[NodeName, str] = {}

        async def one(name: NodeName) -> None:
            def body() -> JsonObject:
                return {"task": task, "node": extending.node_info(name, self._things.node(name), free.get(name, ()))}

            reply = await self._call(inquiry, "predicate", body, extending.PredicateReply)
            if reply is not None and reply.refusal:
                replies[name] = reply.refusal

        await _all(partial(one, name) for name in subject.nodes)
        refused += [(subject.uid, name, replies[name]) for name in subject.nodes if name in replies]

    async def _rank(self, inquiry: Inquiry, subject: Subject, task: JsonObject, scores: Scored) -> None:
        """All nodes of the subject in one call."""
        free = dict(inquiry.free)

        def body() -> JsonObject:
            nodes = [extending.node_info(name, self._things.node(name), free.get(name, ())) for name in subject.nodes]
            return {"task": task, "nodes": nodes}

        reply = await self._call(inquiry, "prioritize", body, extending.PrioritizeReply)
        if reply is None:
            return
        if reply.error_message and not inquiry.ignorable:
            raise ExtenderFailed(f"it cannot rank nodes: {reply.error_message[:200]}")
        found = extending.scores_of(reply, subject.nodes)
        scores += [(subject.uid, NodeName(name), score) for name, score in found.items()]

    async def _call(self, inquiry: Inquiry, what: str, body: Body, kind: type[T]) -> T | None:
        """One verb; None where it is not asked, or where no answer can be had and none is needed."""
        word = inquiry.verb(what)
        if not word:
            return None
        started = anyio.current_time()
        try:
            async with self._calls:
                data = await self._post(f"{inquiry.url}/{word}", msgspec.json.encode(body()), inquiry.timeout_ms)
            reply = extending.read(data, kind)
        except ExtenderFailed as error:
            EXTENDER_CALLS.labels(what, "failed").inc()
            if inquiry.ignorable:
                log.info("extender ignored", url=inquiry.url, verb=what, error=str(error))
                return None
            raise ExtenderFailed(f"{what}: {error}") from error
        finally:
            EXTENDER_SECONDS.labels(what).observe(anyio.current_time() - started)
        EXTENDER_CALLS.labels(what, "answered").inc()
        return reply

    async def _post(self, url: str, body: bytes, timeout_ms: int) -> bytes:
        """Send; gives the answer's bytes. Raises ExtenderFailed."""
        import aiohttp

        if self._session is None:
            self._session = _session()
        headers = {"Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=timeout_ms / 1000)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise ExtenderFailed(f"it answered {response.status}")
                return await _bounded(response)
        except TimeoutError as error:
            raise ExtenderFailed(f"no answer within {timeout_ms} ms") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ExtenderFailed(f"it cannot be reached: {error or type(error).__name__}") from error


async def _bounded(response: "aiohttp.ClientResponse") -> bytes:
    chunks: list[bytes] = []
    total = 0
    async for chunk in response.content.iter_any():
        total += len(chunk)
        if total > MOST_BYTES:
            raise ExtenderFailed(f"its answer is longer than {MOST_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _all(turns: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Run them side by side; the first failure ends the others."""
    failed: list[ExtenderFailed] = []
    async with anyio.create_task_group() as tasks:

        async def run(turn: Callable[[], Awaitable[None]]) -> None:
            try:
                await turn()
            except ExtenderFailed as error:
                failed.append(error)
                tasks.cancel_scope.cancel()

        for turn in turns:
            tasks.start_soon(run, turn)
    if failed:
        raise failed[0]


def _session() -> "aiohttp.ClientSession":
    """Connections to strangers: no proxy from the environment, no cookies, and nothing packed is unpacked."""
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CALLS, ttl_dns_cache=60),
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
    )
