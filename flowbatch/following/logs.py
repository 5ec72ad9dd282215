"""The log of a job as one stream of lines: waits for pods, reconnects, follows restarts.

Each incarnation of a pod has a reader of its own. A reader asks for timestamps and, after a lost connection, asks
again and skips what it has passed on already; so no line is lost or said twice, and a container that starts again
simply goes on with later times.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable

from flowbatch.api.core import Pod
from flowbatch.api.kinds import POD
from flowbatch.api.names import JOB_NAME
from flowbatch.following.lines import STARTED, LogLine, place_of
from flowbatch.following.states import Follower, closed, finished, job_states
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, NotFound, TransportError
from flowbatch.kube.request import pod_logs

#: How long to wait before asking again for a log that is not to be had yet, or that ended with its connection.
RETRY_S = 0.1
#: After the job has ended: how long a reader may stay silent before its pod is taken to be gone.
SILENCE_S = 3.0


class Target:
    """Whose log: a job, by uid, and all of its pods, those of one task, or one pod."""

    def __init__(
        self,
        namespace: str,
        name: str,
        uid: str,
        task: str = "",
        index: int | None = None,
        *,
        tail: int | None = None,
    ) -> None:
        self.namespace = namespace
        #: Only so many of the last lines of each pod; None: all.
        self.tail = tail
        self.name = name
        self.uid = uid
        self._task = task
        self._index = index

    @property
    def selector(self) -> str:
        """The labels of the job's pods."""
        return f"{JOB_NAME}={self.name}"

    def has(self, pod: Pod) -> bool:
        """Whether the log of `pod` is asked for."""
        owner = pod.metadata.controller
        task, index = place_of(pod)
        ours = owner is None or owner.uid == self.uid
        return ours and self._task in ("", task) and self._index in (None, index)


class Reader:
    """Follows the log of one pod and passes each line on once."""

    def __init__(
        self,
        client: Client,
        pod: Pod,
        lines: "asyncio.Queue[LogLine | None]",
        *,
        follow: bool,
        tail: int | None = None,
    ) -> None:
        self._client = client
        self._pod = pod
        self._lines = lines
        self._task, self._index = place_of(pod)
        self._follow = follow
        self._tail = tail
        self._last = b""
        self._seen_at_last = 0
        #: How many lines it has passed on.
        self.passed = 0

    async def run(self) -> None:
        """Until the pod has ended and its log is read."""
        while True:
            if await self._read() or not self._follow:
                return
            await asyncio.sleep(RETRY_S)

    async def finish(self) -> None:
        """Read what a silent connection kept back: it may be open on this side only."""
        self._follow = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await self._read()

    async def _read(self) -> bool:
        """Pass on what is new; True if that was the last of it."""
        meta = self._pod.metadata
        container = self._pod.spec.containers[0].name if self._pod.spec.containers else None
        # Once a line was passed on, what is new is told by its time and not by its number.
        tail = None if self._last else self._tail
        request = pod_logs(
            meta.namespace, meta.name, container=container, follow=self._follow, timestamps=True, tail_lines=tail
        )
        try:
            async with self._client.stream(request, idle_timeout_s=None) as stream:
                # Asked now, with the log open: so the log is this very pod's, and of one that has ended it is whole.
                now = await self._client.get(POD, meta.name, meta.namespace)
                if now.metadata.uid != meta.uid:
                    return True
                await self._copy(stream)
        except NotFound:
            return True
        except (ApiError, TransportError):
            return False
        return now.status.phase in ("Succeeded", "Failed")

    async def _copy(self, stream: AsyncIterable[bytes]) -> None:
        """Pass on the lines that are later than the last one, and as many of its own moment as were not yet."""
        said, known = self._last, self._seen_at_last
        async for line in stream:
            moment, _, text = line.partition(b" ")
            if moment == said and known:
                known -= 1
            elif moment >= said:
                await self._pass_on(moment, text)

    async def _pass_on(self, moment: bytes, text: bytes) -> None:
        self._seen_at_last = self._seen_at_last + 1 if moment == self._last else 1
        self._last = moment
        said = text.decode(errors="replace").rstrip("\r\n")
        self.passed += 1
        await self._lines.put(LogLine(said, self._pod.metadata.name, self._task, self._index))


class Conductor:
    """Starts a reader for each pod as it starts, and ends once the job and its readers have."""

    def __init__(self, client: Client, target: Target) -> None:
        self._client = client
        self._target = target
        self._readers: dict[str, tuple[Reader, asyncio.Task[None]]] = {}
        #: What readers pass on; None ends it.
        self.lines: asyncio.Queue[LogLine | None] = asyncio.Queue(maxsize=1000)

    async def run(self) -> None:
        """Until the job is finished or gone, and everything it printed is read."""
        target = self._target
        try:
            async with Follower(self._client, POD, target.namespace, labels=target.selector) as pods:
                pods.informer.on_change(lambda _old, pod: self._start(pod))
                async for job in job_states(self._client, target.namespace, target.name, target.uid):
                    if job is None or finished(job):
                        break
                await self._finish()
        finally:
            await closed({task for _, task in self._readers.values()})
            await self.lines.put(None)

    def _start(self, pod: Pod | None) -> None:
        if pod is None or pod.metadata.uid in self._readers or pod.status.phase not in STARTED:
            return
        if self._target.has(pod):
            reader = Reader(self._client, pod, self.lines, follow=True, tail=self._target.tail)
            self._readers[pod.metadata.uid] = reader, asyncio.create_task(reader.run())

    async def _finish(self) -> None:
        """Read what is left. The watch of pods may lag behind that of the job, so their list is asked for afresh."""
        target = self._target
        for pod in await self._client.list(POD, target.namespace, label_selector=target.selector):
            self._start(pod)
        while reading := [(reader, task) for reader, task in self._readers.values() if not task.done()]:
            before = sum(reader.passed for reader, _ in reading)
            done, _ = await asyncio.wait([task for _, task in reading], timeout=SILENCE_S)
            if not done and sum(reader.passed for reader, _ in reading) == before:
                await closed({task for _, task in reading})
                for reader, _ in reading:
                    await reader.finish()


async def follow(client: Client, target: Target) -> AsyncGenerator[LogLine, None]:
    """Every line of the target's pods as it comes, those of pods yet to be made included, until the job ends."""
    conductor = Conductor(client, target)
    running = asyncio.create_task(conductor.run())
    try:
        while (line := await conductor.lines.get()) is not None:
            yield line
        await running
    finally:
        await closed({running})


async def read(client: Client, target: Target, *, wait: bool = True) -> AsyncGenerator[LogLine, None]:
    """What the target's pods have printed so far, pod after pod; with `wait`, not before one of them has started."""
    for pod in await _started(client, target, wait):
        lines: asyncio.Queue[LogLine | None] = asyncio.Queue()
        await Reader(client, pod, lines, follow=False, tail=target.tail).run()
        while not lines.empty():
            line = lines.get_nowait()
            if line is not None:
                yield line


async def _started(client: Client, target: Target, wait: bool) -> list[Pod]:
    """The target's pods that have started, in order; empty only if the job ended without any, or nobody waits."""
    async for job in job_states(client, target.namespace, target.name, target.uid):
        pods = await client.list(POD, target.namespace, label_selector=target.selector)
        ready = [pod for pod in pods if pod.status.phase in STARTED and target.has(pod)]
        if ready or not wait or job is None or finished(job):
            return sorted(ready, key=place_of)
    return []
