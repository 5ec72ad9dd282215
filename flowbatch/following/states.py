"""Watching one job, or one flow: every state it passes through, as an async iterator that survives lost connections.

Written with plain tasks instead of task groups, because a caller may drop an iterator half-way and have it closed by
another task; a cancel scope that is open across a `yield` would not survive that.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Generic, TypeVar

import anyio

from flowbatch.api.batch import Job
from flowbatch.api.kinds import JOB, Kind
from flowbatch.api.meta import Wire
from flowbatch.informer import Informer
from flowbatch.kube.client import Client

T = TypeVar("T", bound=Wire)

#: Phases that a job never leaves.
FINAL = ("Completed", "Failed", "Terminated")


def finished(job: Job) -> bool:
    """Whether the job will never run again. A suspended job (phase Aborted) is not finished."""
    return job.status.state.phase in FINAL


class Follower(Generic[T]):
    """An informer in a task of its own, whose changes can be awaited; an async context manager."""

    def __init__(self, client: Client, kind: Kind[T], namespace: str, *, labels: str = "", fields: str = "") -> None:
        self.informer = Informer(client, kind, namespace=namespace, label_selector=labels, field_selector=fields)
        self.changes: asyncio.Queue[T | BaseException | None] = asyncio.Queue()
        self.informer.on_change(lambda _old, new: self.changes.put_nowait(new))
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Follower[T]":
        self._task = asyncio.create_task(self.informer.run())
        self._task.add_done_callback(self._ended)
        synced = asyncio.create_task(self.informer.wait_synced())
        try:
            await asyncio.wait([self._task, synced], return_when=asyncio.FIRST_COMPLETED)
        finally:
            synced.cancel()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await closed({self._task})

    def _ended(self, task: "asyncio.Task[None]") -> None:
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            self.changes.put_nowait(problem)

    async def next(self) -> T | None:
        """The next state of an object; None: it was deleted. Raises what ended the informer."""
        change = await self.changes.get()
        if isinstance(change, BaseException):
            raise change
        return change


async def states(client: Client, kind: Kind[T], namespace: str, name: str, uid: str) -> AsyncGenerator[T | None, None]:
    """Each state of the object with this uid, beginning with the present one; ends with None once it is gone."""
    async with Follower(client, kind, namespace, fields=f"metadata.name={name}") as follower:
        if not follower.informer.store.values():
            yield None
            return
        while True:
            state: Any = await follower.next()
            gone = state is None or state.metadata.uid != uid
            yield None if gone else state
            if gone:
                return


def job_states(client: Client, namespace: str, name: str, uid: str) -> AsyncGenerator[Job | None, None]:
    """Each state of the job with this uid, beginning with the present one; ends with None once it is gone."""
    return states(client, JOB, namespace, name, uid)


async def closed(tasks: "set[asyncio.Task[Any]]") -> None:
    """Cancel `tasks` and wait until they have ended, whatever they say, even if we are being cancelled ourselves."""
    for task in tasks:
        task.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.gather(*tasks, return_exceptions=True)
