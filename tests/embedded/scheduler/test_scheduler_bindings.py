"""Are orders with steps, evictions and nominations carried out over real HTTP, in order, and only on the pod meant?"""

import time
from datetime import UTC, datetime

import anyio
import pytest

from flowbatch.api.kinds import POD
from flowbatch.embedded.faults import Fault, Rule, Rules
from flowbatch.engine import events
from flowbatch.engine.decisions import Bind, Evict, Nominate, Step
from flowbatch.scheduler.bindings import Bindings


@pytest.fixture
def told():
    return []


@pytest.fixture
async def bindings(cluster, told):
    await cluster.node("n0")
    await cluster.pod("p", "g")
    bindings = Bindings(cluster.user, told.append, lambda: 0, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bindings.run)
        yield bindings
        tasks.cancel_scope.cancel()


async def until_told(told, count=1):
    with anyio.fail_after(5):
        while len(told) < count:  # noqa: ASYNC110  (failures are told late, on purpose)
            await anyio.sleep(0.01)
    return told


async def order(cluster, **changes) -> Bind:
    pod = (await cluster.pods())["p"]
    return Bind(**{"uid": pod.metadata.uid, "namespace": "default", "name": "p", "node": "n0", **changes})


async def test_steps_are_done_in_order_before_the_binding(cluster, bindings, told):
    gated = {"spec": {"schedulingGates": [{"name": "room"}]}}
    await cluster.user.delete(POD, "p", "default", grace_seconds=0)
    await cluster.pod("p", "g", **gated["spec"])
    steps = (
        Step("annotation", "seen", "yes"),
        Step("gate", "room"),
        Step("patch", "l", '{"metadata":{"labels":{"a":"b"}}}'),
    )
    await bindings.bind(await order(cluster, before=steps), time.perf_counter())
    pod = (await cluster.pods())["p"]
    assert pod.spec.node_name == "n0"
    assert (pod.metadata.annotations["seen"], pod.metadata.labels, pod.spec.scheduling_gates) == ("yes", {"a": "b"}, ())
    assert told == []


async def test_a_failed_step_means_no_binding(cluster, bindings, told):
    wrong = await order(cluster, before=(Step("volume", "claim"),))
    await bindings.bind(wrong, time.perf_counter())
    assert [(type(each), each.step) for each in await until_told(told)] == [(events.StepFailed, "claim")]
    assert await cluster.bound() == {}


async def test_a_namesake_is_not_bound(cluster, bindings, told):
    await bindings.bind(await order(cluster, uid="another"), time.perf_counter())
    assert [(each.uid, each.permanent) for each in told] == [("another", True)]
    assert await cluster.bound() == {}


async def test_a_pod_that_somebody_else_bound_is_reported_late_and_as_passing(cluster, bindings, told):
    await cluster.node("n1")
    one = await order(cluster)
    await bindings.bind(await order(cluster, node="n1"), time.perf_counter())
    await bindings.bind(one, time.perf_counter())
    assert [(each.node, each.permanent) for each in await until_told(told)] == [("n0", False)]
    assert await cluster.bound() == {"p": "n1"}


async def test_binding_again_where_it_is_bound_already_is_a_success(cluster, bindings, told):
    one = await order(cluster)
    await bindings.bind(one, time.perf_counter())
    await bindings.bind(one, time.perf_counter())
    assert (bindings.bound, told) == (2, [])


async def test_a_nomination_is_remembered_on_the_pod_and_taken_back(cluster, bindings):
    uid = (await order(cluster)).uid
    await bindings.nominate(Nominate(uid, "default", "p", "n0"))
    assert (await cluster.pods())["p"].status.nominated_node_name == "n0"
    await bindings.nominate(Nominate(uid, "default", "p", None))
    assert (await cluster.pods())["p"].status.nominated_node_name == ""


async def test_an_eviction_ends_the_pod_meant_and_no_other(cluster, bindings, told):
    await bindings.evict(Evict("another", "default", "p", "preempted"))
    assert [(type(each), each.uid) for each in await until_told(told)] == [(events.EvictFailed, "another")]
    await bindings.evict(Evict((await order(cluster)).uid, "default", "p", "preempted"))
    assert len(told) == 1
    pods = await cluster.pods()
    assert "p" not in pods or pods["p"].metadata.deletion_timestamp is not None


async def test_evicting_what_is_gone_is_a_success(cluster, bindings, told):
    await bindings.evict(Evict("gone", "default", "gone", "preempted"))
    assert told == []


async def test_an_eviction_that_is_refused_is_told(cluster, bindings, told):
    cluster.server.rule = Rules([Rule(fault=Fault("status", code=403, reason="Forbidden"), subresource="eviction")])
    await bindings.evict(Evict((await order(cluster)).uid, "default", "p", "preempted"))
    assert [type(each) for each in await until_told(told)] == [events.EvictFailed]
    conditions = {each.type: each for each in (await cluster.pods())["p"].status.conditions}
    assert conditions["DisruptionTarget"].status == "False", "its end would be charged to nobody"


async def test_an_eviction_says_on_the_pod_that_it_is_not_its_own_doing(cluster, bindings, told):
    cluster.server.rule = Rules([Rule(fault=Fault("status", code=500, reason="InternalError"), subresource="eviction")])
    await bindings.evict(Evict((await order(cluster)).uid, "default", "p", "preempt", "ns/high"))
    assert [type(each) for each in await until_told(told)] == [events.EvictFailed]
    conditions = {each.type: each for each in (await cluster.pods())["p"].status.conditions}
    found = conditions["DisruptionTarget"]
    assert (found.status, found.reason) == ("True", "PreemptionByScheduler"), "it may have been accepted all the same"
    assert found.message == "preempt for ns/high"
