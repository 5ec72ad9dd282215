"""Do writes keep to their bounds: few at once, one per object, bindings first, statuses once?"""

import anyio
import anyio.lowlevel
import pytest

from flowbatch.engine.decisions import Plan, Tick
from flowbatch.engine.events import PodGone, Synced
from flowbatch.scheduler.cycles import Cycles
from flowbatch.scheduler.journal import Journal
from flowbatch.scheduler.lanes import Lanes, Rank
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.timers import Timers


class Turns:
    """Turns that end when told to, and what happened to them."""

    def __init__(self):
        self.running: list[str] = []
        self.begun: list[str] = []
        self.go = anyio.Event()

    def turn(self, name):
        async def run():
            self.begun.append(name)
            self.running.append(name)
            await self.go.wait()
            self.running.remove(name)

        return run


@pytest.fixture
async def lanes():
    lanes = Lanes(2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lanes.run)
        yield lanes
        await lanes.close(1)


async def test_no_more_turns_run_than_there_are_lanes(lanes):
    turns = Turns()
    for name in "abcd":
        lanes.put(name, Rank.BIND, turns.turn(name))
    await anyio.wait_all_tasks_blocked()
    assert turns.running == ["a", "b"]
    assert lanes.backlog == 2
    turns.go.set()
    await lanes.drain()
    assert turns.begun == ["a", "b", "c", "d"]


async def test_what_takes_capacity_goes_before_what_people_read(lanes):
    turns = Turns()
    for name in ("s1", "s2", "s3"):
        lanes.put(name, Rank.STATUS, turns.turn(name))
    lanes.put("p", Rank.PHASE, turns.turn("p"))
    lanes.put("b", Rank.BIND, turns.turn("b"))
    await anyio.wait_all_tasks_blocked()
    turns.go.set()
    await lanes.drain()
    assert turns.begun[-3:] == ["b", "p", "s3"] or turns.begun == ["b", "p", "s1", "s2", "s3"]


async def test_turns_of_one_object_run_one_after_another(lanes):
    turns = Turns()
    lanes.put("pod", Rank.STATUS, turns.turn("first"))
    lanes.put("pod", Rank.BIND, turns.turn("second"))
    await anyio.wait_all_tasks_blocked()
    assert len(turns.running) == 1
    turns.go.set()
    await lanes.drain()
    assert sorted(turns.begun) == ["first", "second"]


async def test_closing_finishes_what_runs_and_forgets_what_waits():
    lanes, turns = Lanes(1), Turns()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lanes.run)
        for name in "ab":
            lanes.put(name, Rank.BIND, turns.turn(name))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            turns.go.set()
            await lanes.close(5)
    assert turns.begun == ["a"]
    assert turns.running == []


async def test_a_mailbox_keeps_the_latest_of_a_key_and_drains_in_order():
    mailbox = Mailbox()
    mailbox.post("a", PodGone("1"))
    mailbox.post("b", PodGone("2"))
    mailbox.post("a", PodGone("3"))
    assert mailbox.drain(1) == [PodGone("3")]
    with anyio.fail_after(1):
        await mailbox.wait()
    assert mailbox.drain(9) == [PodGone("2")]
    with anyio.move_on_after(0.01) as scope:
        await mailbox.wait()
    assert scope.cancelled_caught


async def test_a_timer_keeps_the_earliest_time_of_a_key():
    due: list[str] = []
    timers = Timers(due.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(timers.run)
        await anyio.lowlevel.checkpoint()
        timers.within("late", 60)
        timers.within("soon", 60)
        timers.within("soon", 0.01)
        timers.within("never", 0.01)
        timers.forget("never")
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert due == ["soon"]


class Scripted:
    """An engine that answers from a list, counts, and raises where the list says so."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.seen: list = []
        self.ticks: list[Tick] = []

    def observe(self, facts):
        self.seen += facts

    def cycle(self, tick):
        self.ticks.append(tick)
        answer = self.answers.pop(0) if self.answers else Plan(len(self.ticks))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def loop_of():
    lanes = Lanes()
    async with anyio.create_task_group() as tasks:

        def start(*engines, facts=()):
            mailbox, plans, made = Mailbox(), [], iter(engines)
            cycles = Cycles(mailbox, lanes, lambda: next(made), lambda: facts, plans.append, lambda: 1000, Journal())
            tasks.start_soon(lanes.run)
            tasks.start_soon(cycles.run)
            return mailbox, cycles, plans

        yield start
        await lanes.close(1)
        tasks.cancel_scope.cancel()


async def test_nothing_is_decided_before_everything_is_listed(loop_of):
    engine = Scripted()
    mailbox, cycles, _ = loop_of(engine)
    mailbox.post("a", PodGone("1"))
    await anyio.sleep(0.03)
    assert (engine.seen, cycles.cycles) == ([PodGone("1")], 0)
    mailbox.post("synced", Synced())
    await anyio.sleep(0.03)
    assert cycles.cycles == 1


async def reached(true):
    """Wait for it, however busy the machine is."""
    with anyio.fail_after(10):
        while not true():  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_without_news_there_is_no_cycle_and_more_asks_for_another(loop_of):
    engine = Scripted(Plan(1, more=True), Plan(2, more=True), Plan(3))
    mailbox, cycles, plans = loop_of(engine)
    mailbox.post("synced", Synced())
    await reached(lambda: len(plans) >= 3)
    await anyio.sleep(0.05)
    assert [plan.cycle for plan in plans] == [1, 2, 3]
    assert cycles.budget > 256


async def test_a_plan_may_ask_to_be_woken(loop_of):
    engine = Scripted(Plan(1, wake_at=1020), Plan(2))
    mailbox, cycles, _ = loop_of(engine)
    mailbox.post("synced", Synced())
    await reached(lambda: cycles.cycles >= 2)
    assert cycles.cycles == 2


async def test_an_engine_that_raises_is_made_anew_from_the_stores(loop_of, monkeypatch):
    monkeypatch.setattr("flowbatch.scheduler.cycles.FIRST_REBUILD_S", 0.01)
    broken, fresh = Scripted(RuntimeError("a broken invariant")), Scripted()
    mailbox, cycles, plans = loop_of(broken, fresh, facts=[PodGone("from the store")])
    mailbox.post("synced", Synced())
    await reached(lambda: bool(plans))
    assert cycles.failures == 1
    assert fresh.seen == [PodGone("from the store"), Synced()]
    assert [plan.cycle for plan in plans] == [1]
