"""Over real HTTP, with faults: does every gang still bind whole, and no pod twice?"""

from dataclasses import replace
from functools import partial

import anyio
import pytest

from flowbatch import __version__
from flowbatch.embedded.faults import Fault, Rule, Rules
from flowbatch.engine.engine import Engine
from flowbatch.kube.client import Client
from flowbatch.kube.lease import Elector, LeaseTiming
from flowbatch.runtime.clock import now_ms
from flowbatch.scheduler.driver import Scheduler
from tests.embedded.scheduler.conftest import BRISK


def binding(fault: Fault, **when) -> Rules:
    return Rules([Rule(fault=fault, resource="pods", subresource="binding", verb="create", **when)])


@pytest.fixture
async def nodes(cluster):
    for index in range(3):
        await cluster.node(f"n{index}")
    return cluster


async def test_a_refused_binding_is_decided_again(nodes):
    nodes.server.rule = binding(Fault("status", code=409, reason="Conflict"), name="g-1", times=2)
    async with nodes.scheduler() as scheduler:
        await nodes.gang("g", 4)
        await nodes.until_bound("g", 4)
        assert scheduler.dispatch.bindings.refused == 2
    assert nodes.accepted_bindings() == 4


async def test_a_lost_answer_is_resolved_by_reading_and_not_by_binding_twice(nodes):
    nodes.server.rule = binding(Fault("drop_reply"), point="reply", name="g-1")
    async with nodes.scheduler() as scheduler:
        await nodes.gang("g", 4)
        await nodes.until_bound("g", 4)
        await nodes.until_phase("g", "Running")
        assert scheduler.dispatch.bindings.unknown == 1
        assert scheduler.dispatch.bindings.bound == 4
    assert nodes.requests("get", "pods") == 1
    assert nodes.requests("create", "pods/binding") == 4


async def test_a_lost_request_is_sent_again(nodes):
    nodes.server.rule = binding(Fault("drop_request"), name="g-1", times=2)
    async with nodes.scheduler() as scheduler:
        await nodes.gang("g", 4)
        await nodes.until_bound("g", 4)
        assert scheduler.dispatch.bindings.refused == 0
    assert nodes.accepted_bindings() == 4


@pytest.mark.parametrize(
    ("code", "reason"), [(500, "InternalError"), (503, "ServiceUnavailable"), (429, "TooManyRequests")]
)
async def test_a_server_in_trouble_is_asked_again(nodes, code, reason):
    nodes.server.rule = binding(Fault("status", code=code, reason=reason), times=3)
    async with nodes.scheduler() as scheduler:
        await nodes.gang("g", 4)
        await nodes.until_bound("g", 4)
        assert scheduler.dispatch.bindings.refused == 0


async def test_forbidden_is_not_tried_in_a_hot_loop(nodes):
    nodes.server.rule = binding(Fault("status", code=403, reason="Forbidden"), times=0)
    async with nodes.scheduler():
        await nodes.gang("g", 2)
        await anyio.sleep(1.0)
        assert 2 <= nodes.requests("create", "pods/binding") <= 12
        nodes.server.rule = None
        await nodes.until_bound("g", 2, timeout_s=15)


async def test_a_pod_deleted_under_the_binding_is_replaced_in_its_gang(nodes):
    nodes.server.rule = binding(Fault("status", code=404, reason="NotFound"), name="g-1")
    async with nodes.scheduler():
        await nodes.gang("g", 4, minimum=3)
        await nodes.until_bound("g", 3)


async def test_a_status_that_could_not_be_written_is_written_later(nodes):
    trouble = Rule(fault=Fault("status", code=500), verb="patch", resource="podgroups", times=3)
    nodes.server.rule = Rules([trouble])
    async with nodes.scheduler():
        await nodes.gang("g", 2)
        await nodes.until_phase("g", "Running")


async def test_a_scheduler_restarted_amid_a_gang_completes_it(nodes):
    nodes.server.rule = binding(Fault("status", code=503, reason="ServiceUnavailable"), nth=4, times=0)
    async with nodes.scheduler():
        await nodes.gang("g", 9)
        await nodes.until_bound("g", 3)
    assert len(await nodes.bound("g")) == 3
    nodes.server.rule = None
    async with nodes.scheduler():
        await nodes.until_bound("g", 9)
    assert nodes.accepted_bindings() == 9


async def test_being_stopped_finishes_the_bindings_in_flight(nodes):
    nodes.server.rule = binding(Fault("delay", seconds=0.3), times=0)
    async with nodes.scheduler() as scheduler:
        await nodes.gang("g", 9)
        await nodes.until(lambda: _is(scheduler.dispatch.lanes.in_flight, 9))
    assert len(await nodes.bound("g")) == 9


async def test_a_watch_that_breaks_loses_nothing(nodes):
    async with nodes.scheduler():
        await nodes.gang("one", 3)
        await nodes.until_bound("one", 3)
        nodes.server.end_watches()
        await nodes.gang("two", 3)
        await nodes.until_bound("two", 3, timeout_s=20)


class Replicas:
    """Schedulers that campaign for one lease; each can be stopped."""

    def __init__(self, cluster, tasks):
        self.cluster, self.tasks = cluster, tasks
        #: Who led, in order.
        self.leaders: list[str] = []
        self.scopes: dict[str, anyio.CancelScope] = {}

    def start(self, name):
        self.tasks.start_soon(self._run, name)

    async def _run(self, name):
        timing = LeaseTiming(lease_s=3.0, renew_deadline_s=2.0, retry_s=0.2)
        with anyio.CancelScope() as self.scopes[name]:
            async with Client(self.cluster.config, component=name) as client, anyio.create_task_group() as inner:
                habits = replace(BRISK, quiet_s=0.2)
                scheduler = Scheduler(client, make_engine=partial(Engine, validate=True), now=now_ms, habits=habits)

                async def lead():
                    self.leaders.append(name)
                    await scheduler.lead()

                inner.start_soon(scheduler.caches.run)
                await Elector(client, "kube-system", "flowbatch", name, timing=timing).run(lead)


@pytest.fixture
async def replicas(cluster):
    async with anyio.create_task_group() as tasks:
        yield Replicas(cluster, tasks)
        tasks.cancel_scope.cancel()


async def test_of_two_schedulers_one_binds(nodes, replicas):
    replicas.start("a")
    await nodes.until(lambda: _is(replicas.leaders, ["a"]))
    replicas.start("b")
    await nodes.gang("one", 4)
    await nodes.until_bound("one", 4)
    assert (replicas.leaders, nodes.requests("create", "pods/binding", "b")) == (["a"], 0)
    replicas.scopes["a"].cancel()
    await nodes.gang("two", 4)
    await nodes.until_bound("two", 4, timeout_s=20)
    assert replicas.leaders == ["a", "b"]
    assert nodes.requests("create", "pods/binding", "a") == 4
    assert nodes.requests("create", "pods/binding", "b") == 4
    assert (await nodes.pods())["two-0"].metadata.annotations["flowbatch.dev/epoch"] == "2"


async def test_a_new_leader_whose_watch_lags_does_not_give_away_what_the_old_one_gave(cluster, replicas):
    await cluster.node("n0")
    agent = f"flowbatch/{__version__} (late"
    lost = Rule(fault=Fault("skip"), point="event", resource="pods", user_agent=agent, body='"nodeName":"n0"', times=0)
    cluster.server.rule = Rules([lost])
    replicas.start("early")
    await cluster.until(lambda: _is(replicas.leaders, ["early"]))
    replicas.start("late")
    await anyio.sleep(0.3)
    await cluster.gang("one", 4)
    await cluster.until_bound("one", 4)
    replicas.scopes["early"].cancel()
    await cluster.gang("two", 2)
    await cluster.until(lambda: _is(replicas.leaders, ["early", "late"]), timeout_s=20)
    await anyio.sleep(1.0)
    assert cluster.requests("create", "pods/binding", "late") == 0
    assert await cluster.bound("two") == {}


async def _is(found, expected):
    return found == expected


async def test_admission_is_said_again_after_a_conflict(nodes):
    rule = Rule(fault=Fault("status", code=409, reason="Conflict"), resource="podgroups", verb="patch", times=2)
    nodes.server.rule = Rules([rule])
    async with nodes.scheduler():
        await nodes.group("g", 2)
        await nodes.until_phase("g", "Inqueue")
