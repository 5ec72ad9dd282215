"""Lanes that take keys from a work queue and reconcile them: the one place that survives a bad object.

Whatever one key raises is counted, told to its controller, and waited out with that key's own back-off; the other
keys never notice. Reconciling is level-triggered: a key says only *what* to look at, never what has happened.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from flowbatch import metrics
from flowbatch.controllers.workqueue import LONGEST_RETRY_S, WorkQueue
from flowbatch.kube.errors import Conflict, Fenced, ServerError, Throttled, TransportError

#: The longest back-off for trouble that is the server's and not the object's.
LONGEST_OUTAGE_RETRY_S = 10.0
#: How long a stop waits for the reconciles under way.
GRACE_S = 2.0
_PASSING = (Conflict, Fenced, ServerError, Throttled, TransportError)

_log = structlog.get_logger(__name__)

#: Look at a key and set things right; gives the seconds after which to look again even if nothing happens.
Reconcile = Callable[[str], Awaitable[float | None]]
#: Told of each failure that is the object's own.
OnFailure = Callable[[str, Exception], None]


class Runner:
    """Some lanes over one queue."""

    def __init__(
        self, name: str, queue: WorkQueue, reconcile: Reconcile, lanes: int, on_failure: OnFailure | None = None
    ) -> None:
        self.name = name
        self._queue = queue
        self._reconcile = reconcile
        self._lanes = lanes
        self._on_failure = on_failure
        self.reconciles = 0
        self._seconds = metrics.RECONCILE_SECONDS.labels(name)
        metrics.WORKQUEUE_DEPTH.labels(name).set_function(lambda: len(queue))
        self.failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Work until cancelled; a reconcile under way may then finish, if it is quick."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._lanes):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while True:
            async with self._queue.take() as key:
                await _finished(self._work(key))

    async def _work(self, key: str) -> None:
        self.reconciles += 1
        try:
            with self._seconds.time():
                again_s = await self._reconcile(key)
        except Exception as problem:
            self._failed(key, problem)
            return
        self._queue.forget(key)
        if again_s is not None:
            self._queue.add_after(key, again_s)

    def _failed(self, key: str, problem: Exception) -> None:
        self.failures[type(problem).__name__] += 1
        metrics.RECONCILE_FAILURES.labels(self.name).inc()
        passing = is_passing(problem)
        delay_s = self._queue.retry(key, longest_s=LONGEST_OUTAGE_RETRY_S if passing else LONGEST_RETRY_S)
        _log.warning("reconcile failed", controller=self.name, key=key, problem=repr(problem), retry_in_s=delay_s)
        if self._on_failure is not None and not passing:
            self._on_failure(key, problem)


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`; when cancelled, let it finish first, so that no write is left with an unknown outcome."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=GRACE_S)
        task.cancel()
        raise


def is_passing(problem: Exception) -> bool:
    """Whether `problem` is the server's or the moment's, and says nothing about the object."""
    return isinstance(problem, _PASSING)
