"""Many writes of one job, a bounded number at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from flowbatch.errors import FlowbatchError

Item = TypeVar("Item")


async def each(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], limit: int) -> None:
    """Do `work` on every item, at most `limit` at once; raises the first trouble, after those in flight ended.

    After a failure no new item is begun: a thousand pods that are all forbidden cost `limit` requests, not a thousand.
    """
    waiting = list(items)
    if len(waiting) == 1:
        await work(waiting[0])
        return
    problems: list[FlowbatchError] = []
    shared = iter(waiting)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(waiting))):
            group.create_task(_lane(shared, work, problems))
    if problems:
        raise problems[0]


async def _lane(
    shared: Iterator[Item], work: Callable[[Item], Awaitable[None]], problems: list[FlowbatchError]
) -> None:
    for item in shared:
        try:
            await work(item)
        except FlowbatchError as problem:
            problems.append(problem)
        if problems:
            return
