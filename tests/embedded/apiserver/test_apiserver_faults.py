"""Does each fault do what its word says, and nothing else?"""

import asyncio
from typing import Any

import aiohttp
import msgspec
import orjson
import pytest

from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.faults import Rules

PATH = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def faulty(server: ApiServer, connect: Any) -> Any:
    """Installs rules and gives a connection."""

    def make(*rules: dict[str, Any]) -> Any:
        server.rule = Rules.from_json(rules)
        return connect(server)

    return make


async def exists(server: ApiServer, name: str) -> bool:
    return f"default/{name}" in server.store.collection("/configmaps").entries


async def test_status_with_retry_after_counts_its_requests(faulty: Any) -> None:
    throttle = {"action": "status", "code": 429, "reason": "TooManyRequests", "retry_after_s": 3}
    api = faulty({"verb": "create", "resource": "configmaps", "nth": 2, "times": 2, "fault": throttle})
    answers = [await api.post(PATH, {"metadata": {"name": f"a{index}"}}) for index in range(4)]
    assert [each.status for each in answers] == [201, 429, 429, 201]
    assert answers[1].headers["Retry-After"] == "3"


async def test_dropped_request_is_not_done_and_dropped_reply_is(faulty: Any, server: ApiServer) -> None:
    api = faulty(
        {"name": "", "body": "lost-request", "fault": {"action": "drop_request"}},
        {"point": "reply", "body": "lost-reply", "fault": {"action": "drop_reply"}},
    )
    for name in ("lost-request", "lost-reply"):
        with pytest.raises(aiohttp.ClientError):
            await api.post(PATH, {"metadata": {"name": name}})
    assert not await exists(server, "lost-request")
    assert await exists(server, "lost-reply")


async def test_half_a_reply(faulty: Any, server: ApiServer) -> None:
    api = faulty({"point": "reply", "verb": "create", "fault": {"action": "reset_mid_body"}})
    with pytest.raises(aiohttp.ClientError):
        await api.post(PATH, {"metadata": {"name": "a"}})
    assert await exists(server, "a")


async def test_garbage_and_gone(faulty: Any) -> None:
    api = faulty(
        {"verb": "get", "fault": {"action": "garbage"}},
        {"verb": "list", "fault": {"action": "gone_410"}},
    )
    assert (await api.get(f"{PATH}/x")).body.startswith(b"<html>")
    gone = await api.get(PATH)
    assert (gone.status, gone.reason) == (410, "Expired")


async def test_delay(faulty: Any) -> None:
    api = faulty({"verb": "list", "fault": {"action": "delay", "seconds": 0.1}})
    started = asyncio.get_running_loop().time()
    await api.get(PATH)
    assert asyncio.get_running_loop().time() - started >= 0.09


async def test_watch_lines_are_lost_and_doubled(faulty: Any, server: ApiServer) -> None:
    api = faulty(
        {"point": "event", "body": '"name":"lost"', "fault": {"action": "skip"}},
        {"point": "event", "body": '"name":"twice"', "fault": {"action": "dup"}},
    )
    async with api.watch(PATH, resourceVersion=str(server.store.version)) as events:
        for name in ("lost", "twice", "once"):
            await api.post(PATH, {"metadata": {"name": name}})
        assert [name for _, name in await events.kinds(3)] == ["twice", "twice", "once"]


async def test_watch_ends_with_410_or_without_a_word(faulty: Any, server: ApiServer) -> None:
    api = faulty(
        {"point": "event", "body": '"name":"a"', "fault": {"action": "gone_410"}},
        {"point": "event", "body": '"name":"b"', "fault": {"action": "close_watch"}},
        {"point": "event", "body": '"name":"c"', "fault": {"action": "truncate"}},
        {"point": "event", "body": '"name":"d"', "fault": {"action": "freeze"}},
    )
    async with api.watch(PATH, resourceVersion=str(server.store.version)) as events:
        await api.post(PATH, {"metadata": {"name": "a"}})
        assert (await events.next())["object"]["code"] == 410
        assert await events.next() is None
    async with api.watch(PATH, resourceVersion=str(server.store.version)) as events:
        await api.post(PATH, {"metadata": {"name": "b"}})
        assert await events.next() is None
    async with api.watch(PATH, resourceVersion=str(server.store.version)) as events:
        await api.post(PATH, {"metadata": {"name": "c"}})
        with pytest.raises((aiohttp.ClientError, orjson.JSONDecodeError)):
            await events.next()
    async with api.watch(PATH, resourceVersion=str(server.store.version)) as events:
        await api.post(PATH, {"metadata": {"name": "d"}})
        assert await events.quiet()


def test_misspelt_rule_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Rules.from_json([{"verbs": "create", "fault": {"action": "delay"}}])
    with pytest.raises(msgspec.ValidationError):
        Rules.from_json([{"fault": {"action": "explode"}}])
