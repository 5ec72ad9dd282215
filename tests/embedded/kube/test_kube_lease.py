"""Do two electors never lead at once, through partitions, hand-overs and crashes of what they lead?

The server is a real HTTP one that keeps one Lease with optimistic locking; times are those of the real clock, short.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from aiohttp import web

from flowbatch.api.kinds import POD
from flowbatch.kube import request as build
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig
from flowbatch.kube.errors import Fenced, TransportError
from flowbatch.kube.faults import Fault
from flowbatch.kube.lease import Elector, LeaderLost, LeaseTiming
from flowbatch.kube.request import Request

QUICK = LeaseTiming(lease_s=1.0, renew_deadline_s=0.6, retry_s=0.1)


class LeaseServer:
    """One Lease."""

    def __init__(self) -> None:
        self.lease: dict | None = None
        self.version = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return self._say(self.lease) if self.lease else self._refuse(404, "NotFound")
        if "leases" not in request.path:
            return self._say({"metadata": {"name": "p"}})
        sent = await request.json()
        if request.method == "POST" and self.lease is not None:
            return self._refuse(409, "AlreadyExists")
        if self.lease is not None and sent["metadata"].get("resourceVersion") != str(self.version):
            return self._refuse(409, "Conflict")
        self.version += 1
        sent["metadata"]["resourceVersion"] = str(self.version)
        self.lease = sent
        return self._say(sent)

    def _say(self, body: dict) -> web.Response:
        return web.Response(text=json.dumps(body))

    def _refuse(self, status: int, reason: str) -> web.Response:
        return web.Response(status=status, text=json.dumps({"kind": "Status", "code": status, "reason": reason}))


@pytest.fixture
async def server() -> AsyncIterator[LeaseServer]:
    lease = LeaseServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", lease.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    lease.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield lease
    await runner.cleanup()


class Replica:
    """One program that wants to lead, behind a cable that can be cut."""

    def __init__(self, server: LeaseServer, name: str, history: list[tuple[float, str]]) -> None:
        self.cut = False
        self.name, self.history = name, history
        self.client = Client(ClusterConfig(server.url), rule=self._rule)
        self.elector = Elector(self.client, "a", "scheduler", name, timing=QUICK)
        self.task: asyncio.Task[None] | None = None

    def _rule(self, request: Request, line: bytes | None) -> Fault | None:
        return Fault("drop_request", seconds=60) if self.cut else None

    async def lead(self) -> None:
        self.history.append((time.monotonic(), f"+{self.name}"))
        try:
            await asyncio.sleep(3600)
        finally:
            self.history.append((time.monotonic(), f"-{self.name}"))

    def start(self) -> None:
        self.task = asyncio.create_task(self.elector.run(self.lead))

    async def leads(self) -> None:
        with anyio.fail_after(5):
            while not self.elector.leading:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})
        await self.client.close()


@pytest.fixture
async def history() -> list[tuple[float, str]]:
    return []


@pytest.fixture
async def pair(server: LeaseServer, history: list[tuple[float, str]]) -> AsyncIterator[tuple[Replica, Replica]]:
    both = Replica(server, "one", history), Replica(server, "two", history)
    yield both
    for each in both:
        await each.stop()


def never_two(history: list[tuple[float, str]]) -> bool:
    leading: set[str] = set()
    for _, what in sorted(history):
        (leading.add if what[0] == "+" else leading.discard)(what[1:])
        if len(leading) > 1:
            return False
    return True


async def test_one_leads_and_hands_over_at_once_when_it_stops(pair: tuple[Replica, Replica], history):
    one, two = pair
    one.start()
    await one.leads()
    two.start()
    await asyncio.sleep(1.3)  # longer than the lease: renewals must hold it
    assert not two.elector.leading
    began = time.monotonic()
    await one.stop()
    await two.leads()
    assert time.monotonic() - began < QUICK.renew_deadline_s  # released, not expired
    assert never_two(history)
    assert two.client.gate.epoch > one.client.gate.epoch


async def test_a_leader_that_is_cut_off_stops_before_its_rival_begins(pair: tuple[Replica, Replica], history):
    one, two = pair
    one.start()
    await one.leads()
    two.start()
    await asyncio.sleep(0.3)
    cut_at = time.monotonic()
    one.cut = True
    assert one.task is not None
    with pytest.raises(LeaderLost):
        await one.task
    stopped_at = time.monotonic()
    with pytest.raises(Fenced):
        await one.client.send(build.create_object(POD, {}))
    await two.leads()
    assert stopped_at - cut_at <= QUICK.renew_deadline_s + 0.3
    assert [what for _, what in history] == ["+one", "-one", "+two"]
    assert never_two(history)


async def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes(pair: tuple[Replica, Replica]):
    one, _ = pair
    one.start()
    await one.leads()
    time.sleep(QUICK.renew_deadline_s)  # noqa: ASYNC251  (as SIGSTOP does: the loop stands still)
    with pytest.raises(Fenced):  # before any task of the elector could run
        one.client.gate.admit()


async def test_of_many_that_start_at_once_one_leads(server: LeaseServer, history):
    crowd = [Replica(server, f"r{number}", history) for number in range(8)]
    for each in crowd:
        each.start()
    await asyncio.sleep(0.5)
    assert sum(each.elector.leading for each in crowd) == 1
    for each in crowd:
        await each.stop()
    assert never_two(history)


async def test_a_flaky_network_costs_no_leadership(pair: tuple[Replica, Replica], history):
    one, _ = pair
    one.start()
    await one.leads()
    for _ in range(4):
        one.cut = True
        await asyncio.sleep(0.15)
        one.cut = False
        await asyncio.sleep(0.25)
    assert one.elector.leading
    assert [what for _, what in history] == ["+one"]


async def test_two_that_share_a_name_are_still_two(server: LeaseServer, history):
    twins = [Replica(server, "same", history) for _ in range(2)]
    for each in twins:
        each.start()
    await asyncio.sleep(1.5)
    assert sum(each.elector.leading for each in twins) == 1
    for each in twins:
        await each.stop()


async def test_what_the_led_program_raises_or_returns_ends_leadership(server: LeaseServer):
    async with Client(ClusterConfig(server.url)) as client:

        async def fails() -> None:
            raise KeyError("mine")

        async def ends() -> None:
            assert client.gate.is_open

        with pytest.raises(KeyError):
            await Elector(client, "a", "scheduler", "x", timing=QUICK).run(fails)
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == ""
        await Elector(client, "a", "scheduler", "y", timing=QUICK).run(ends)
        assert not client.gate.is_open


async def test_a_lease_taken_away_by_force_ends_leadership_soon(pair: tuple[Replica, Replica], server: LeaseServer):
    one, _ = pair
    one.start()
    await one.leads()
    assert server.lease is not None
    server.version += 1
    server.lease["spec"]["holderIdentity"] = "somebody"
    server.lease["metadata"]["resourceVersion"] = str(server.version)
    assert one.task is not None
    with pytest.raises(LeaderLost, match="somebody"):
        await one.task
    assert server.lease["spec"]["holderIdentity"] == "somebody"


async def test_a_lease_written_by_others_is_kept_whole(pair: tuple[Replica, Replica], server: LeaseServer):
    server.version = 1
    server.lease = {"metadata": {"name": "scheduler", "resourceVersion": "1", "labels": {"a": "b"}}, "spec": {"x": 1}}
    pair[0].start()
    await pair[0].leads()
    assert server.lease["metadata"]["labels"] == {"a": "b"}
    assert server.lease["spec"]["x"] == 1
    assert server.lease["spec"]["leaseTransitions"] == 1


async def test_before_the_first_lease_nothing_is_written(pair: tuple[Replica, Replica]):
    one, _ = pair
    one.cut = True
    one.start()
    await asyncio.sleep(0.2)
    with pytest.raises((Fenced, TransportError)):
        await one.client.send(build.create_object(POD, {}))
    assert one.client.gate.refused == 1
