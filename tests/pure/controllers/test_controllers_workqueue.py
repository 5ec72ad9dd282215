"""Does the work queue hand out each key to one worker at a time, lose none, and back off per key?"""

import asyncio
import random

import pytest

from flowbatch.controllers.workqueue import FIRST_RETRY_S, JITTER, WorkQueue


async def test_a_key_added_twice_is_worked_on_once():
    queue = WorkQueue()
    queue.add("a")
    queue.add("a")
    async with queue.take() as key:
        assert key == "a"
    assert len(queue) == 0
    assert queue.idle


async def test_a_key_added_while_held_comes_again_and_never_to_two_lanes():
    queue = WorkQueue()
    queue.add("a")
    async with queue.take():
        queue.add("a")
        assert len(queue) == 0, "a second lane could take the key"
    async with asyncio.timeout(1), queue.take() as again:
        assert again == "a"


async def test_keys_come_in_the_order_they_were_added():
    queue = WorkQueue()
    for key in "cab":
        queue.add(key)
    got = []
    for _ in range(3):
        async with queue.take() as key:
            got.append(key)
    assert got == ["c", "a", "b"]


async def test_a_failing_worker_gives_its_key_back():
    queue = WorkQueue()
    queue.add("a")

    async def fail() -> None:
        async with queue.take():
            queue.add("a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert len(queue) == 1


async def test_a_delayed_add_keeps_the_earlier_appointment():
    queue = WorkQueue()
    queue.add_after("a", 0.01)
    queue.add_after("a", 10)
    assert queue.delayed == 1
    async with asyncio.timeout(1), queue.take() as key:
        assert key == "a"


async def test_an_earlier_delay_replaces_a_later_one():
    queue = WorkQueue()
    queue.add_after("a", 10)
    queue.add_after("a", 0.01)
    async with asyncio.timeout(1), queue.take() as key:
        assert key == "a"
    assert queue.delayed == 0


async def test_adding_now_ends_a_delay():
    queue = WorkQueue()
    queue.add_after("a", 0.01)
    queue.add("a")
    async with queue.take():
        pass
    await asyncio.sleep(0.03)
    assert len(queue) == 0, "the delay fired although the work had been done"


async def test_a_delay_asked_for_while_held_is_kept():
    queue = WorkQueue()
    queue.add("a")
    async with queue.take():
        queue.add_after("a", 0.01)
    async with asyncio.timeout(1), queue.take() as key:
        assert key == "a"


async def test_retries_double_per_key_and_forget_resets():
    queue = WorkQueue(jitter=random.Random(1))
    delays = [queue.retry("bad") for _ in range(5)]
    for failures, delay_s in enumerate(delays):
        floor = FIRST_RETRY_S * 2**failures
        assert floor <= delay_s <= floor * (1 + JITTER)
    assert queue.failures("bad") == 5
    assert queue.retry("other") <= FIRST_RETRY_S * (1 + JITTER)
    queue.forget("bad")
    assert queue.retry("bad") <= FIRST_RETRY_S * (1 + JITTER)


async def test_a_key_that_failed_for_weeks_still_has_a_delay():
    queue = WorkQueue()
    queue._failures["a"] = 5000
    assert 1000 <= queue.retry("a") <= 1250


async def test_a_lane_cancelled_as_it_is_woken_passes_the_key_on():
    queue = WorkQueue()

    async def lane(got: list[str]) -> None:
        async with queue.take() as key:
            got.append(key)

    first: list[str] = []
    second: list[str] = []
    doomed = asyncio.create_task(lane(first))
    other = asyncio.create_task(lane(second))
    await asyncio.sleep(0)
    queue.add("a")
    doomed.cancel()
    await asyncio.gather(doomed, return_exceptions=True)
    async with asyncio.timeout(1):
        await other
    assert (first, second) == ([], ["a"])


async def test_no_key_is_lost_and_none_is_held_twice_under_random_traffic():
    rng = random.Random(7)
    queue = WorkQueue()
    version = dict.fromkeys("abcde", 0)
    seen = dict.fromkeys("abcde", 0)
    holders: set[str] = set()

    async def lane() -> None:
        while True:
            async with queue.take() as key:
                assert key not in holders
                holders.add(key)
                seen[key] = version[key]
                await asyncio.sleep(rng.random() * 0.002)
                holders.discard(key)

    lanes = [asyncio.create_task(lane()) for _ in range(3)]
    for _ in range(300):
        key = rng.choice("abcde")
        version[key] += 1
        rng.choice([queue.add, lambda k: queue.add_after(k, 0.001), queue.retry])(key)
        if rng.random() < 0.2:
            await asyncio.sleep(0)
    for key in version:
        queue.add(key)
    async with asyncio.timeout(5):
        while not queue.idle or queue.delayed:  # noqa: ASYNC110  (the queue has no event for it)
            await asyncio.sleep(0.001)
    for task in lanes:
        task.cancel()
    results = await asyncio.gather(*lanes, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert seen == version
