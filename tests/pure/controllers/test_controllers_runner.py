"""Does one bad key leave the others alone, and is every failure counted, told and waited out by itself?"""

import asyncio
import contextlib

from flowbatch.controllers.bounded import each
from flowbatch.controllers.runner import Runner
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.kube.errors import Conflict, Forbidden, ServerError


@contextlib.asynccontextmanager
async def running(reconcile, *, lanes=1, on_failure=None):
    queue = WorkQueue()
    runner = Runner("test", queue, reconcile, lanes, on_failure)
    task = asyncio.create_task(runner.run())
    try:
        yield queue, runner
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def drained(queue):
    async with asyncio.timeout(5):
        while not queue.idle:  # noqa: ASYNC110  (the queue has no event for it)
            await asyncio.sleep(0.001)


async def test_a_poisonous_key_does_not_stop_the_lane_and_is_told():
    done, told = [], []

    async def reconcile(key):
        if key == "bad":
            raise ZeroDivisionError("oops")
        done.append(key)

    async with running(reconcile, on_failure=lambda key, problem: told.append((key, str(problem)))) as (queue, runner):
        for key in ("bad", "good", "fine"):
            queue.add(key)
        await drained(queue)
    assert done == ["good", "fine"]
    assert told[0] == ("bad", "oops")
    assert runner.failures["ZeroDivisionError"] >= 1
    assert queue.failures("bad") >= 1
    assert queue.failures("good") == 0


async def test_trouble_that_passes_is_retried_without_blaming_the_object():
    told, tries = [], []

    async def reconcile(key):
        tries.append(key)
        if len(tries) == 1:
            raise Conflict(409, "Conflict", "changed")
        if len(tries) == 2:
            raise ServerError(503, "ServiceUnavailable", "later")

    async with running(reconcile, on_failure=lambda *what: told.append(what)) as (queue, _):
        queue.add("a")
        async with asyncio.timeout(5):
            while len(tries) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await drained(queue)
    assert told == []
    assert queue.failures("a") == 0, "success resets the back-off"


async def test_a_reconcile_may_ask_to_be_called_again():
    calls = []

    async def reconcile(key):
        calls.append(key)
        return 0.01 if len(calls) < 3 else None

    async with running(reconcile) as (queue, _):
        queue.add("a")
        await asyncio.sleep(0.2)
    assert calls == ["a"] * 3


async def test_lanes_work_on_different_keys_at_once():
    inside, most = 0, 0

    async def reconcile(_key):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    async with running(reconcile, lanes=3) as (queue, _):
        for key in "abcdef":
            queue.add(key)
        await drained(queue)
    assert most == 3


async def test_a_stop_lets_the_reconcile_under_way_finish():
    begun, finished = asyncio.Event(), []

    async def reconcile(key):
        begun.set()
        await asyncio.sleep(0.02)
        finished.append(key)

    async with running(reconcile) as (queue, _):
        queue.add("a")
        await begun.wait()
    assert finished == ["a"]


async def test_bounded_work_never_exceeds_its_limit_and_does_everything():
    inside, most, done = 0, 0, []

    async def work(item):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1
        done.append(item)

    await each(range(50), work, limit=8)
    assert sorted(done) == list(range(50))
    assert most == 8


async def test_bounded_work_begins_nothing_new_after_a_failure():
    begun = []

    async def work(item):
        begun.append(item)
        await asyncio.sleep(0.001)
        raise Forbidden(403, "Forbidden", "no")

    try:
        await each(range(1000), work, limit=8)
    except Forbidden:
        pass
    else:
        raise AssertionError("the failure was swallowed")
    assert len(begun) == 8
