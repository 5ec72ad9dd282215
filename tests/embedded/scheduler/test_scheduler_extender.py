"""Over real HTTP: is an extender asked in Volcano's JSON, and does one that misbehaves harm only its own gangs?"""

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio
import pytest
from aiohttp import web

from flowbatch.api.kinds import NODE
from flowbatch.engine.decisions import Ask
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Answered
from flowbatch.model.inquiry import Inquiry
from flowbatch.policy.presets import DEFAULT
from flowbatch.policy.volcano import read_volcano
from flowbatch.scheduler.asking import Asking


class Stranger:
    """An extender that answers as it is told: per verb a JSON value, bytes, or something to await."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.heard: list[tuple[str, dict]] = []
        self.url = ""

    async def reply(self, request: web.Request) -> web.StreamResponse:
        verb, body = request.match_info["verb"], await request.json()
        self.heard.append((verb, body))
        answer = self.answers.get(verb, {})
        if callable(answer):
            answer = answer(body)
        if hasattr(answer, "__await__"):
            answer = await answer
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(body=answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def of(self, verb: str) -> list[dict]:
        return [body for each, body in self.heard if each == verb]


@asynccontextmanager
async def stranger():
    it = Stranger()
    app = web.Application()
    app.router.add_post("/v1/{verb}", it.reply)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield it
    finally:
        await runner.cleanup()


def engine_for(url: str, **arguments: object):
    told = {"extender.urlPrefix": url, "extender.httpTimeout": "300ms", "extender.predicateVerb": "predicate"}
    told |= {f"extender.{name}": value for name, value in arguments.items()}
    policy = read_volcano({"tiers": [{"plugins": [{"name": "extender", "arguments": told}]}]})
    mixed = replace(DEFAULT, confirmations=policy.confirmations)
    return partial(Engine, mixed, validate=True)


async def nodes(cluster, count=2):
    for index in range(count):
        await cluster.node(f"n{index}", cpu="2")


async def test_an_extender_is_asked_in_volcanos_words_and_obeyed(cluster):
    await nodes(cluster, 3)
    ranks = {"n0": 0, "n1": 10, "n2": 90}
    verbs = {f"{name}Verb": name for name in ("prioritize", "jobReady", "queueOverused", "jobEnqueueable")}
    async with stranger() as it, cluster.scheduler(make=engine_for(it.url, **verbs)):
        it.answers |= {"jobReady": {"status": True}, "jobEnqueueable": {"status": 1}}
        it.answers["predicate"] = lambda body: {"errorMessage": "no"} if body["node"]["Name"] == "n0" else {}
        it.answers["prioritize"] = lambda body: {"nodeScore": {name: ranks[name] for name in _names(body)}}
        await cluster.gang("a", 2)
        assert await cluster.until_bound("a", 2) == {"a-0": "n2", "a-1": "n2"}
        task = it.of("predicate")[0]["task"]
        assert (task["Job"], task["Resreq"]["MilliCPU"]) == ("default/a", 1000)
        assert task["Pod"]["metadata"]["name"] in ("a-0", "a-1")
        assert it.of("predicate")[0]["node"]["Node"]["metadata"]["name"] == "n0"
        assert it.of("jobEnqueueable")[0]["job"]["MinAvailable"] == 2
        assert len(it.of("jobReady")[0]["job"]["Tasks"]) == 2
        assert it.of("queueOverused")[0]["queue"]["Name"] == "default"


def _names(body):
    return [each["Name"] for each in body["nodes"]]


async def test_a_no_is_told_to_people_and_asked_again(cluster):
    await nodes(cluster)
    async with stranger() as it, cluster.scheduler(make=engine_for(it.url, jobReadyVerb="ready")):
        await cluster.gang("a", 1)
        condition = await cluster.until_condition("a", "Unschedulable")
        assert "the job is not ready with these places" in condition.message
        it.answers["ready"] = {"status": True}
        await cluster.until_bound("a", 1)


async def endless():
    await anyio.sleep(60)


HOSTILE = {
    "hangs": lambda _: endless(),
    "is huge": b'{"errorMessage": "' + b"x" * (2 << 20) + b'"}',
    "is deep": b"[" * 100_000,
    "is deep where it is skipped": b'{"other": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "is no JSON": b"<html>",
    "has wrong types": {"errorMessage": 7},
    "is a list": [1],
    "is an error": lambda _: web.Response(status=500),
    "sends elsewhere": lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    "is packed": lambda _: web.Response(body=b"\x1f\x8b" + b"0" * 100, headers={"Content-Encoding": "gzip"}),
    "is not UTF-8": b'{"errorMessage": "\xff"}',
}


@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("ignorable", [False, True])
async def test_an_extender_that_misbehaves_harms_only_its_own_gangs(cluster, how, ignorable):
    await nodes(cluster)
    await devices(cluster, "n1", "2", "1")
    options = {"managedResources": ["x/gpu"], "ignorable": ignorable}
    async with stranger() as it, cluster.scheduler(make=engine_for(it.url, **options)) as scheduler:
        it.answers["predicate"] = HOSTILE[how]
        await cluster.group("mine", 1)
        await cluster.pod("mine-0", "mine", containers=[_gpu_container()])
        await cluster.gang("other", 1)
        await cluster.until_bound("other", 1)
        if ignorable:
            await cluster.until_bound("mine", 1)
        else:
            condition = await cluster.until_condition("mine", "Unschedulable")
            assert "extender" in condition.message
            assert not await cluster.bound("mine")
            it.answers["predicate"] = {}
            await cluster.until_bound("mine", 1)
        assert scheduler.cycles.failures == 0


async def devices(cluster, node, cpu, count):
    status = {"allocatable": {"cpu": cpu, "memory": "32Gi", "pods": "110", "x/gpu": count}}
    await cluster.user.patch(NODE, node, {"status": status}, subresource="status")


def _gpu_container():
    return {
        "name": "main",
        "image": "x",
        "resources": {"requests": {"cpu": "1", "x/gpu": "1"}, "limits": {"x/gpu": "1"}},
    }


async def test_an_extender_that_hangs_delays_no_gang_that_need_not_ask_it(cluster):
    """More questions than lanes: all of them wait, the others are placed meanwhile."""
    await cluster.node("n0", cpu="64")
    await devices(cluster, "n0", "64", "40")
    options = {"managedResources": "x/gpu", "httpTimeout": "20s"}
    async with stranger() as it, cluster.scheduler(make=engine_for(it.url, **options)):
        it.answers["predicate"] = lambda _: endless()
        for index in range(12):
            await cluster.group(f"mine{index}", 1)
            await cluster.pod(f"mine{index}-0", f"mine{index}", containers=[_gpu_container()])
        for index in range(5):
            await cluster.gang(f"other{index}", 1)
        await cluster.until_bound("other", 5)
        assert not await cluster.bound("mine")


async def test_an_extender_that_does_not_exist_is_told_by_name(cluster):
    await nodes(cluster)
    async with cluster.scheduler(make=engine_for("http://127.0.0.1:9/v1")):
        await cluster.gang("a", 1)
        condition = await cluster.until_condition("a", "Unschedulable")
        assert "http://127.0.0.1:9/v1" in condition.message
        assert "cannot be reached" in condition.message


class Nothing:
    """Caches in which nothing is known."""

    def pod(self, key):
        return None

    group = queue = node = pod


async def test_an_answer_to_an_engine_that_is_no_more_is_not_given_to_the_next_one():
    """Both count their questions from one."""
    told: list = []
    asking = Asking(Nothing(), told.append)
    async with stranger() as it, anyio.create_task_group() as tasks:
        tasks.start_soon(asking.run)
        release = anyio.Event()
        it.answers["ready"] = lambda _: _later(release, {"status": True})
        inquiry = Inquiry("place", it.url, 5_000, False, (("jobReady", "ready"),), "ns/g", "q")
        asking.ask(Ask("ask-1", "?", inquiry))
        while not it.heard:  # noqa: ASYNC110  (a server is asked)
            await anyio.sleep(0.01)
        asking.renew()
        asking.ask(Ask("ask-1", "?", inquiry))
        release.set()
        with anyio.fail_after(5):
            await asking.lanes.drain()
        assert told == [Answered("ask-1", "yes")]
        tasks.cancel_scope.cancel()


async def _later(event, answer):
    await event.wait()
    return answer
