"""Does the client repeat exactly what is safe to repeat, and say truly what became of the rest?"""

import time
from collections.abc import AsyncIterator

import pytest

from flowbatch.api.kinds import POD
from flowbatch.kube import request as build
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig
from flowbatch.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Fenced,
    Invalid,
    ServerError,
    Throttled,
    TransportError,
    Unauthorized,
)
from flowbatch.kube.faults import Fault
from flowbatch.kube.gate import WriteGate
from flowbatch.kube.request import Request
from tests.embedded.kube.scripted import Script, bookmark, drop, event, listed, pod, reply, scripted, status, stream

NEW = {"metadata": {"name": "p", "namespace": "a"}}


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with scripted() as server:
        yield server


@pytest.fixture
async def client(script: Script) -> AsyncIterator[Client]:
    async with Client(script.config, component="test") as made:
        yield made


async def test_a_read_survives_text_errors_and_broken_connections(script: Script, client: Client):
    script.play(reply("no healthy upstream", 503), drop(), reply("", 502), reply(pod("p", 7)))
    assert (await client.get(POD, "p", "a")).metadata.resource_version == "7"
    assert script.log == ["GET"] * 4
    assert script.agents[0].startswith("flowbatch/")
    assert script.agents[0].endswith(" (test)")


async def test_a_read_gives_up_after_a_while_with_the_servers_words(script: Script, client: Client):
    script.play(*[reply("<html>down</html>", 503)] * 9)
    with pytest.raises(ServerError, match="down") as caught:
        await client.get(POD, "p", "a")
    assert caught.value.status == 503
    assert len(script.log) < 9


async def test_a_write_is_never_repeated_after_a_server_error(script: Script, client: Client):
    script.play(reply("oops", 500), reply(pod("p", 7)))
    with pytest.raises(ServerError):
        await client.create(POD, NEW)
    assert script.log == ["POST"]


@pytest.mark.parametrize(
    "request_", [build.create_object(POD, NEW), build.delete_object(POD, "p", "a"), build.replace_object(POD, "p", NEW)]
)
async def test_a_write_without_an_answer_is_an_unknown_outcome_and_not_repeated(
    script: Script, client: Client, request_: Request
):
    script.play(reply({}), drop(), reply({}))
    await client.send(build.get_object(POD, "warm"))  # so that the connection is reused, where libraries retry
    with pytest.raises(TransportError) as caught:
        await client.send(request_)
    assert caught.value.sent
    assert len(script.log) == 2


async def test_a_write_that_was_throttled_waits_as_long_as_asked(script: Script, client: Client):
    script.play(reply("slow down", 429, Retry_After="0.2"), reply(pod("p", 7), 201))
    began = time.monotonic()
    assert (await client.create(POD, NEW)).metadata.name == "p"
    assert time.monotonic() - began >= 0.2
    assert script.log == ["POST", "POST"]


async def test_a_retry_after_of_hours_is_the_callers_problem(script: Script, client: Client):
    script.play(reply("", 429, Retry_After="7200"))
    with pytest.raises(Throttled) as caught:
        await client.create(POD, NEW)
    assert caught.value.retry_after == 7200


async def test_a_disruption_budget_is_not_waited_for(script: Script, client: Client):
    causes = {"causes": [{"reason": "DisruptionBudget", "message": "needs 2 healthy"}]}
    script.play(reply(status(429, "TooManyRequests", "no", details=causes), 429))
    with pytest.raises(Throttled):
        await client.send(build.evict_pod("a", "p", "u"))
    assert script.log == ["POST"]


async def test_a_refused_connection_is_tried_again_and_known_not_to_have_happened():
    async with Client(ClusterConfig("http://127.0.0.1:1")) as client:
        with pytest.raises(TransportError) as caught:
            await client.create(POD, NEW)
    assert not caught.value.sent


async def test_conflicts_are_told_apart(script: Script, client: Client):
    script.play(reply(status(409, "AlreadyExists"), 409), reply(status(409, "Conflict"), 409))
    with pytest.raises(AlreadyExists):
        await client.create(POD, NEW)
    with pytest.raises(Conflict):
        await client.create(POD, NEW)


async def test_an_invalid_object_says_where(script: Script, client: Client):
    causes = {"causes": [{"field": "spec.x", "reason": "FieldValueInvalid", "message": "bad"}]}
    script.play(reply(status(422, "Invalid", "no", details=causes), 422))
    with pytest.raises(Invalid) as caught:
        await client.create(POD, NEW)
    assert caught.value.causes[0]["field"] == "spec.x"


async def test_fresh_credentials_are_tried_once_after_a_401(script: Script, client: Client):
    script.play(*[reply(status(401, "Unauthorized"), 401)] * 3)
    with pytest.raises(Unauthorized):
        await client.create(POD, NEW)
    assert script.log == ["POST", "POST"]


async def test_an_unreadable_answer_to_a_write_is_an_unknown_outcome(script: Script, client: Client):
    script.play(reply("<html>fine</html>", 200))
    with pytest.raises(TransportError, match="no Pod"):
        await client.create(POD, NEW)


async def test_a_redirect_is_not_followed(script: Script, client: Client):
    script.play(reply("", 307, Location="http://127.0.0.1:1/"))
    with pytest.raises(ApiError) as caught:
        await client.get(POD, "p", "a")
    assert caught.value.status == 307


async def test_a_list_is_read_page_by_page(script: Script, client: Client):
    script.play(listed(pod("p", 1), version=9, continue_="more"), listed(pod("q", 2), version=9))
    assert [each.metadata.name for each in await client.list(POD)] == ["p", "q"]
    assert script.log == ["L@", "L+"]


async def test_a_list_whose_token_expires_begins_again(script: Script, client: Client):
    expired = reply(status(410, "Expired", "the provided continue parameter is too old"), 410)
    script.play(listed(pod("p", 1), version=9, continue_="more"), expired, listed(pod("q", 2), version=10))
    assert [each.metadata.name for each in await client.list(POD)] == ["q"]


async def test_null_counts_as_unset(script: Script, client: Client):
    script.play(reply({"metadata": {"name": "p", "labels": None}, "spec": {"containers": None}, "status": None}))
    assert (await client.get(POD, "p", "a")).spec.containers == ()


async def test_a_shut_gate_sends_nothing_but_reads_pass(script: Script):
    gate = WriteGate()
    gate.shut("not leading")
    script.play(reply(pod("p", 1)))
    async with Client(script.config, gate=gate) as client:
        with pytest.raises(Fenced, match="not leading"):
            await client.create(POD, NEW)
        await client.get(POD, "p", "a")
    assert script.log == ["GET"]


async def test_a_write_is_cut_off_before_a_rival_may_lead(script: Script):
    gate = WriteGate()
    gate.open(epoch=3, until=time.monotonic() + 60, write_s=0.2)
    async with Client(script.config, gate=gate) as client:  # an empty script never answers
        began = time.monotonic()
        with pytest.raises(TransportError):
            await client.create(POD, NEW)
    assert time.monotonic() - began < 2


async def test_silence_on_a_stream_is_a_broken_connection(script: Script, client: Client):
    script.play(stream(event("ADDED", "p", 1), then="hang"))
    lines = []
    with pytest.raises(TransportError):  # noqa: PT012  (the stream breaks while it is read)
        async with client.stream(build.watch_objects(POD), idle_timeout_s=0.2) as watch:
            async for line in watch:
                lines.append(line)  # noqa: PERF401  (what came before the break counts)
    assert len(lines) == 1


async def test_an_error_instead_of_a_stream_is_raised_when_it_is_opened(script: Script, client: Client):
    script.play(reply("rate limited", 429, Retry_After="3"))
    with pytest.raises(Throttled) as caught:
        async with client.stream(build.watch_objects(POD), idle_timeout_s=1):
            pass
    assert (caught.value.retry_after, caught.value.message) == (3, "rate limited")


async def test_a_streams_last_line_needs_no_line_end(script: Script, client: Client):
    script.play(stream(b"one\ntw", b"o\n\nthree"))
    async with client.stream(build.pod_logs("a", "p", follow=True), idle_timeout_s=None) as log:
        assert [line async for line in log] == [b"one", b"two", b"three"]


async def test_writes_wait_for_a_lane_but_the_lease_does_not(script: Script):
    async with Client(script.config, max_in_flight=1) as client:
        script.play(stream(bookmark(1), then="hang"), reply({}))

        async with client.stream(build.watch_objects(POD), idle_timeout_s=None):
            assert await client.send(build.create_object(POD, NEW), urgent=True) == b"{}"


@pytest.mark.parametrize(
    ("fault", "error", "reached"),
    [
        (Fault("refuse"), TransportError, 0),
        (Fault("drop_request"), TransportError, 0),
        (Fault("drop_reply"), TransportError, 1),
        (Fault("garbage"), TransportError, 1),
        (Fault("status", status=500), ServerError, 0),
    ],
)
async def test_a_fault_rule_stands_between_the_client_and_the_network(
    script: Script, fault: Fault, error: type[Exception], reached: int
):
    script.play(reply(pod("p", 1)))
    async with Client(script.config, rule=lambda request, line: fault if request.is_write else None) as client:
        with pytest.raises(error):
            await client.create(POD, NEW)
    assert len(script.log) == reached
