"""Are open questions asked again and again, each once a round, and is a flow told only when an answer has changed?"""

import asyncio

import pytest

from flowbatch.controllers.prober import Prober
from flowbatch.controllers.reach import request, verdict
from flowbatch.workload.flow.changes import Ask


def ask(pod="p", port=80, path="", header=None):
    return Ask("ns", pod, "uid", "10.0.0.1", port, path, header)


class Pods:
    def __init__(self):
        self.says = {}
        self.asked = []
        self.stuck = asyncio.Event()

    async def reach(self, question):
        self.asked.append(question.pod)
        if question.pod == "slow":
            await self.stuck.wait()
        return self.says.get(question.pod, "refused")


async def until(true):
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  (the test watches from outside)
            await asyncio.sleep(0.001)


@pytest.fixture
async def world():
    pods, told = Pods(), []
    prober = Prober(pods.reach, told.append, period_s=0.01)
    task = asyncio.create_task(prober.run())
    yield prober, pods, told
    task.cancel()


async def test_a_flow_is_told_when_an_answer_has_changed_and_only_then(world):
    prober, pods, told = world
    prober.want("f", [ask()])
    await until(lambda: len(pods.asked) > 3)
    assert (told, prober.answers("f")) == (["f"], {ask(): "refused"})
    pods.says["p"] = ""
    await until(lambda: len(told) == 2)
    assert prober.answers("f") == {ask(): ""}


async def test_what_nobody_wants_to_know_any_more_is_not_asked(world):
    prober, pods, _ = world
    prober.want("f", [ask("a"), ask("b")])
    await until(lambda: "b" in pods.asked)
    prober.want("f", [ask("a")])
    await until(lambda: set(pods.asked[-3:]) == {"a"})
    prober.want("f", [])
    count = len(pods.asked)
    await asyncio.sleep(0.05)
    assert len(pods.asked) - count <= 1
    assert prober.answers("f") == {}


async def test_two_flows_that_ask_the_same_ask_it_once_a_round(world):
    prober, pods, told = world
    prober.want("f", [ask()])
    prober.want("g", [ask()])
    await until(lambda: sorted(told) == ["f", "g"])
    assert len(pods.asked) <= 2


async def test_a_flow_that_goes_while_its_pod_thinks_leaves_nothing_behind(world):
    prober, pods, told = world
    prober.want("f", [ask("slow")])
    await until(lambda: pods.asked == ["slow"])
    prober.want("f", [])
    pods.stuck.set()
    await asyncio.sleep(0.02)
    assert (told, prober.answers("f")) == ([], {})


def test_the_request_is_one_and_says_what_it_should():
    assert request(ask(path="/ok", header=("X-Y", "1"))) == (
        b"GET /ok HTTP/1.0\r\nHost: 10.0.0.1\r\nUser-Agent: flowbatch-probe\r\nX-Y: 1\r\n\r\n"
    )
    assert b"Host: other\r\n" in request(ask(path="/", header=("Host", "other")))
    assert b"10.0.0.1" not in request(ask(path="/", header=("Host", "other")))


@pytest.mark.parametrize("bad", [ask(path="/a b"), ask(path="/\r\nX: 1"), ask(path="/", header=("X", "1\r\nY: 2"))])
def test_what_would_be_more_than_one_request_is_none(bad):
    with pytest.raises(ValueError):
        request(bad)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n", ""),
        (b"HTTP/1.0 302 Found\r\n", ""),
        (b"HTTP/1.1 404 Not Found\r\n", "p:80/: HTTP 404"),
        (b"SSH-2.0-OpenSSH\r\n", "p:80/: the answer is not HTTP"),
        (b"", "p:80/: the answer is not HTTP"),
        (b"HTTP/1.1 abc\r\n", "p:80/: the answer is not HTTP"),
    ],
)
def test_what_an_answer_says(line, said):
    assert verdict(ask(path="/"), line) == said
