"""Does virtual time pass in no time, in one order, and does a deadlock raise instead of hanging?"""

import asyncio
import time
from datetime import timedelta

import pytest

from flowbatch.embedded.clock import EPOCH, Deadlock, LoopClock, RealClock, VirtualTime


def run(main):
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(main)


def test_hours_pass_in_a_moment_and_in_order():
    async def story() -> list[str]:
        told = []

        async def tell(after_s: float, word: str) -> None:
            await RealClock().sleep(after_s)
            told.append(f"{asyncio.get_running_loop().time():.0f} {word}")

        async with asyncio.TaskGroup() as group:
            for after_s, word in ((7200, "late"), (3600, "early"), (3600, "also early")):
                group.create_task(tell(after_s, word))
        assert LoopClock().now() == EPOCH + timedelta(hours=2)
        return told

    begun = time.monotonic()
    assert run(story()) == run(story()) == ["3600 early", "3600 also early", "7200 late"]
    assert time.monotonic() - begun < 1


def test_waiting_for_what_never_comes_raises():
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(hang())


def test_an_exception_that_asyncio_would_only_log_ends_the_run():
    async def fail_in_a_callback() -> None:
        asyncio.get_running_loop().call_later(1, lambda: 1 / 0)
        await asyncio.sleep(10)

    with pytest.raises(ZeroDivisionError):
        run(fail_in_a_callback())
