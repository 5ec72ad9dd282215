"""Over real HTTP: are nodes measured by a Prometheus, and does scheduling go on when it lies, errs or is silent?"""

from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web

from flowbatch.engine.engine import Engine
from flowbatch.policy.measuring import MetricsSource
from flowbatch.policy.volcano import read_volcano
from flowbatch.scheduler.usage_source import UsageSource, measure, read_vector


@asynccontextmanager
async def prometheus(answers):
    """A server that answers queries of cpu and memory with what `answers` now says; gives its address."""
    asked = []

    async def query(request):
        asked.append(request.query["query"])
        answer = answers["cpu" if "node_cpu" in request.query["query"] else "memory"]
        return web.Response(body=answer) if isinstance(answer, bytes) else web.json_response(answer)

    app = web.Application()
    app.router.add_get("/api/v1/query", query)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", asked
    finally:
        await runner.cleanup()


def vector(**percent):
    result = [{"metric": {"instance": name}, "value": [1.0, str(value)]} for name, value in percent.items()]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


async def test_a_busy_node_takes_nothing_until_it_is_measured_idle(cluster):
    answers = {"cpu": vector(**{"n0": 95, "n1:9100": 40}), "memory": vector(n0=1, n1=1)}
    async with prometheus(answers) as (address, asked):
        metrics = {"type": "prometheus", "address": address, "interval": "1s"}
        plugins = [{"name": "usage", "arguments": {"thresholds": {"cpu": 80}}}, {"name": "predicates"}]
        policy = read_volcano({"tiers": [{"plugins": plugins}], "metrics": metrics})
        await cluster.node("n0")
        await cluster.node("n1")
        async with cluster.scheduler(make=lambda: Engine(policy, validate=True)) as scheduler:
            await cluster.until(lambda: _measured(scheduler, "n0"))
            await cluster.gang("g", 4)
            assert set((await cluster.until_bound("g", 4)).values()) == {"n1"}
            await cluster.gang("h", 4)
            told = await cluster.until_condition("h", "Unschedulable")
            assert "1 the CPU load of the node exceeds the upper limit." in told.message
            answers["cpu"] = vector(n0=5, n1=95)
            assert set((await cluster.until_bound("h", 4)).values()) == {"n0"}
        assert len(asked) <= 2 * 12


async def _measured(scheduler, name):
    return name in scheduler.cycles.engine._view.measured.by_node


@pytest.mark.parametrize(
    "answer", [b"{", b"[]", {"status": "error"}, {"status": "success", "data": {"resultType": "scalar"}}]
)
async def test_an_answer_that_makes_no_sense_is_counted_and_asked_again(answer):
    answers = {"cpu": answer, "memory": vector(n0=5)}
    told = []
    async with prometheus(answers) as (address, _), anyio.create_task_group() as tasks:
        source = MetricsSource(kind="prometheus", address=address, interval_ms=20)
        usage = UsageSource(lambda: source, lambda: ["n0"], told.append, lambda: 7)
        tasks.start_soon(usage.run)
        with anyio.fail_after(5):
            while usage.failures < 2:  # noqa: ASYNC110  (a count, not an event)
                await anyio.sleep(0.01)
            assert told == []
            answers["cpu"] = vector(n0=12.34, gone=50)
            while not told:  # noqa: ASYNC110  (a list, not an event)
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert (told[0].node, told[0].permille, told[0].at) == ("n0", (("cpu", 123), ("memory", 50)), 7)


async def test_nobody_there_is_an_error_that_ends_soon():
    with anyio.fail_after(5), pytest.raises(OSError, match="Cannot connect"):
        await measure(MetricsSource(kind="prometheus", address="http://127.0.0.1:9"))


def test_samples_that_cannot_be_read_are_left_out():
    body = (
        b'{"status":"success","data":{"resultType":"vector","result":['
        b'{"metric":{"instance":"a"},"value":[1,"NaN"]},{"metric":{},"value":[1,"5"]},{"metric":7},'
        b'{"metric":{"instance":"b"},"value":[1,"-3"]},{"metric":{"node":"c"},"value":[1.5,"7.06"]}]}}'
    )
    assert read_vector(body) == {"c": 71}
