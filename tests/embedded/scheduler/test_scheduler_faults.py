"""Over real HTTP, with faults: does every gang still bind whole, and no pod twice?"""

from functools import partial

import anyio
import pytest

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


async def test_of_two_schedulers_one_binds(nodes):
    timing = LeaseTiming(lease_s=3.0, renew_deadline_s=2.0, retry_s=0.2)
    leaders: list[str] = []

    async def replica(name, tasks):
        async with Client(nodes.config, component=name) as client:
            scheduler = Scheduler(client, make_engine=partial(Engine, validate=True), now=now_ms, habits=BRISK)

            async def lead():
                leaders.append(name)
                await scheduler.lead()

            async with anyio.create_task_group() as inner:
                inner.start_soon(scheduler.caches.run)
                await Elector(client, "kube-system", "flowbatch", name, timing=timing).run(lead)

    async with anyio.create_task_group() as tasks:
        first = anyio.CancelScope()

        async def cancellable():
            with first:
                await replica("a", tasks)

        tasks.start_soon(cancellable)
        await nodes.until(lambda: _is(leaders, ["a"]))
        tasks.start_soon(replica, "b", tasks)
        await nodes.gang("one", 4)
        await nodes.until_bound("one", 4)
        assert (leaders, nodes.requests("create", "pods/binding", "b")) == (["a"], 0)
        first.cancel()
        await nodes.gang("two", 4)
        await nodes.until_bound("two", 4, timeout_s=20)
        assert leaders == ["a", "b"]
        assert nodes.requests("create", "pods/binding", "a") == 4
        assert nodes.requests("create", "pods/binding", "b") == 4
        stamp = (await nodes.pods())["two-0"].metadata.annotations["flowbatch.dev/epoch"]
        assert stamp == "2"
        tasks.cancel_scope.cancel()


async def _is(found, expected):
    return found == expected
