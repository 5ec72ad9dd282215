"""Is the store equal to the API server in the end, whatever happens to lists and watches, and is nothing asked in vain?

Each test scripts the server, waits until the script is used up, and compares the store and the request log.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from flowbatch.api.core import Pod
from flowbatch.api.kinds import POD
from flowbatch.informer import Informer, Store, Timing
from flowbatch.informer.reflector import LINES_PER_LOOK, Reflector
from flowbatch.kube.client import Client
from tests.embedded.kube.scripted import (
    Script,
    bookmark,
    drop,
    error,
    event,
    listed,
    pod,
    reply,
    scripted,
    status,
    stream,
    watch_list,
)

QUICK = Timing(idle_s=0.3, first_backoff_s=0.01, max_backoff_s=0.02, short_watch_s=0.0)
EXPIRED = reply(status(410, "Expired", "too old resource version: 101 (300)"), 410)


class Play:
    """An informer playing a script, and the changes that it told."""

    def __init__(self, script: Script, client: Client) -> None:
        self.script, self.client = script, client
        self.changes: list[str] = []
        self.informer: Informer[Pod] = self.make()

    def make(self, **options: Any) -> Informer[Pod]:
        informer = Informer(self.client, POD, **{"timing": QUICK, **options})
        informer.on_change(self._note)
        return informer

    def _note(self, old: Pod | None, new: Pod | None) -> None:
        sign = "+" if old is None else "-" if new is None else "~"
        self.changes.append(sign + ((new or old) or Pod()).metadata.name)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.informer.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def to_the_end(self) -> list[str]:
        """Runs the whole script; gives the names in the store."""
        async with self.running():
            with anyio.fail_after(5):
                await self.script.exhausted.wait()
        return self.names

    @property
    def names(self) -> list[str]:
        return sorted(each.metadata.name for each in self.informer.store.values())


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with scripted() as server:
        yield server


@pytest.fixture
async def play(script: Script) -> AsyncIterator[Play]:
    async with Client(script.config) as client:
        yield Play(script, client)


async def test_everything_that_can_happen_to_a_watch_ends_consistent(script: Script, play: Play):
    script.play(
        reply("no healthy upstream", 503),
        reply("slow down", 429, Retry_After="0.05"),
        stream(event("ADDED", "p", 90), then="reset"),  # drops during the snapshot
        stream(event("ADDED", "p", 90), then="close"),  # ends during the snapshot
        listed(pod("p", 90), pod("q", 95), pod("r", 100), version=101),  # two broken WatchLists: a plain list
        stream(event("MODIFIED", "q", 102, node="n"), then="reset"),  # drops; resumes at 102
        stream(event("ADDED", "s", 103), then="hang"),  # falls silent; the guard cuts it
        EXPIRED,  # as a status
        EXPIRED,  # and again for "not older than 103": a quorum read follows
        watch_list("p", "r", "s", version=300, then=(error(410, "Expired", "too old"),)),  # q vanished unseen
        watch_list("p", "r", "t", version=400, ends="close"),  # s vanished, t appeared
    )
    assert await play.to_the_end() == ["p", "r", "t"]
    assert script.log == [*["WL@"] * 4, "L@", "W@101", "W@102", "W@103", "WL@103", "WL@", "WL@300", "W@400"]
    assert play.changes == ["+p", "+q", "+r", "~q", "+s", "-q", "+t", "-s"]


async def test_a_clean_end_resumes_at_the_last_version_without_reading_again(script: Script, play: Play):
    script.play(watch_list("p", version=10, ends="close"), stream(event("MODIFIED", "p", 11, node="n")))
    assert await play.to_the_end() == ["p"]
    assert script.log == ["WL@", "W@10", "W@11"]


async def test_bookmarks_move_the_version_and_tell_nobody(script: Script, play: Play):
    script.play(watch_list("p", version=10, then=(bookmark(500),), ends="close"))
    await play.to_the_end()
    assert script.log == ["WL@", "W@500"]
    assert play.changes == ["+p"]


async def test_versions_of_initial_events_are_not_trusted(script: Script, play: Play):
    shown = [event("ADDED", "p", 90), event("ADDED", "q", 20)]
    script.play(stream(*shown, then="close"), watch_list("p", "q", version=95))
    async with play.running():
        await play.informer.wait_synced()
    assert script.log == ["WL@", "WL@"]  # and never W@20


@pytest.mark.parametrize(
    "refusal",
    [
        reply(status(422, "Invalid", "sendInitialEvents is forbidden"), 422),
        reply("resourceVersionMatch is forbidden for watch", 400),
        stream(error(500, "InternalError", "etcdserver: RequestWatchProgress is disabled")),
        stream({"type": "ERROR", "object": {"message": "RequestWatchProgress is disabled"}}),
    ],
    ids=["422", "400-text", "in-stream", "in-stream-bare"],
)
async def test_a_server_without_watch_list_is_listed_and_never_asked_again(script: Script, play: Play, refusal: Any):
    script.play(refusal, listed(pod("p", 5), version=10), EXPIRED, listed(pod("q", 11), version=20))
    assert await play.to_the_end() == ["q"]
    assert script.log == ["WL@", "L@", "W@10", "L@10", "W@20"]


async def test_a_relist_is_a_diff_and_the_store_is_never_empty(script: Script, play: Play):
    sizes: list[int] = []
    play.informer.on_change(lambda old, new: sizes.append(len(play.informer.store)))
    script.play(
        watch_list("p", "q", version=10, then=(error(410, "Expired"),)), watch_list("q", "r", version=20, ends="close")
    )
    assert await play.to_the_end() == ["q", "r"]
    assert play.changes[:2] == ["+p", "+q"]
    assert play.changes[-1] == "-p"
    assert min(sizes[1:]) >= 1


async def test_a_name_made_again_is_another_object(script: Script, play: Play):
    script.play(
        watch_list("p", version=10, then=(error(410, "Expired"),)),
        stream(event("ADDED", "p", 15, uid="second"), bookmark(20, end=True), then="hang"),
    )
    async with play.running():
        await play.informer.wait_synced()
        with anyio.fail_after(5):
            while play.changes != ["+p", "-p", "+p"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_an_event_that_is_late_or_repeated_changes_nothing(script: Script, play: Play):
    late = (event("MODIFIED", "p", 10, node="n"), event("MODIFIED", "p", 9, node="old"), event("DELETED", "p", 8))
    script.play(watch_list("p", version=10, then=late, ends="close"))
    assert await play.to_the_end() == ["p"]
    assert play.changes == ["+p"]


async def test_an_update_of_nothing_we_read_is_not_told_but_its_version_is_kept(script: Script, play: Play):
    script.play(watch_list("p", version=10, then=(event("MODIFIED", "p", 12),), ends="close"))
    await play.to_the_end()
    held = play.informer.store.get("a/p")
    assert held is not None
    assert held.metadata.resource_version == "12"
    assert play.changes == ["+p"]


async def test_a_version_from_the_future_falls_back_to_a_quorum_read(script: Script, play: Play):
    too_large = status(504, "Timeout", "Too large resource version: 10, current: 4")
    script.play(
        watch_list("p", version=10, then=(error(410, "Expired"),)), reply(too_large, 504), watch_list(version=12)
    )
    async with play.running():
        with anyio.fail_after(5):
            while len(script.log) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert script.log == ["WL@", "WL@10", "WL@"]


async def test_an_api_server_that_went_back_in_time_is_believed_after_a_quorum_read(script: Script, play: Play):
    script.play(
        watch_list("p", "q", version=100, then=(error(410, "Expired"),)),
        EXPIRED,
        watch_list("p", version=40),  # restored from a backup: q was never made
        watch_list("p", version=41, ends="close"),
    )
    assert await play.to_the_end() == ["p"]
    held = play.informer.store.get("a/p")
    assert held is not None
    assert held.metadata.resource_version == "41"


async def test_a_stale_list_from_a_cache_is_refused(script: Script, play: Play):
    play.informer = play.make(watch_list=False)
    script.play(
        listed(pod("p", 100), version=100),
        EXPIRED,
        listed(version=50),  # a lagging server's cache
        listed(pod("p", 100), version=120),
    )
    assert await play.to_the_end() == ["p"]
    assert "-p" not in play.changes


async def test_an_unreadable_object_harms_no_other(script: Script, play: Play):
    broken = {"type": "ADDED", "object": {"metadata": {"name": "x", "namespace": "a"}, "spec": {"nodeName": 7}}}
    script.play(watch_list("p", version=10, then=(broken, event("ADDED", "q", 12)), ends="close"))
    assert await play.to_the_end() == ["p", "q"]


async def test_garbage_on_the_wire_is_a_broken_watch(script: Script, play: Play):
    script.play(watch_list("p", version=10, ends="close"), stream(b"<html>\n"), stream(event("ADDED", "q", 11)))
    assert await play.to_the_end() == ["p", "q"]
    assert script.log == ["WL@", "W@10", "W@10", "W@11"]


async def test_a_server_that_cuts_slow_readers_is_resumed_where_it_cut(script: Script, play: Play):
    cut = stream(event("ADDED", "q", 11), b'{"type":"ADDED","object":{"meta', then="reset")
    script.play(watch_list("p", version=10, ends="close"), cut, stream(event("ADDED", "r", 12)))
    assert await play.to_the_end() == ["p", "q", "r"]
    assert script.log == ["WL@", "W@10", "W@11", "W@12"]


async def test_watches_that_end_at_once_are_not_asked_for_in_a_hot_loop(script: Script):
    async with Client(script.config) as client:
        play = Play(script, client)
        play.informer = play.make(timing=Timing(first_backoff_s=0.2, max_backoff_s=0.2))
        script.play(watch_list("p", version=10, ends="close"), *[stream()] * 50)
        async with play.running():
            await asyncio.sleep(0.6)
    assert len(script.log) < 30


async def test_a_connection_that_breaks_before_an_answer_is_tried_again(script: Script, play: Play):
    script.play(drop(), watch_list("p", version=10, ends="close"))
    assert await play.to_the_end() == ["p"]


async def test_a_handler_that_raises_harms_nobody(script: Script, play: Play):
    def broken(old: Pod | None, new: Pod | None) -> None:
        raise KeyError("mine")

    informer = play.informer = Informer(play.client, POD, timing=QUICK)
    informer.on_change(broken)
    informer.on_change(play._note)
    script.play(watch_list("p", "q", version=10, ends="close"))
    assert await play.to_the_end() == ["p", "q"]
    assert play.changes == ["+p", "+q"]


async def test_those_who_come_late_are_told_what_is_there(script: Script, play: Play):
    script.play(watch_list("p", "q", version=10, ends="close"))
    await play.to_the_end()
    late: list[str] = []
    play.informer.on_change(lambda old, new: late.append(new.metadata.name if new and old is None else "?"))
    assert late == ["p", "q"]


async def test_a_burst_leaves_the_loop_to_others(script: Script, play: Play):
    """Slices of no length at all: others must run after each look at the clock."""
    store: Store[Pod] = Store()
    reflector = Reflector(play.client, POD, store, timing=Timing(slice_s=0.0))
    lines = [json.dumps(event("ADDED", f"p{number}", number + 1)).encode() for number in range(640)]
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    beating = asyncio.create_task(beat())
    await reflector._take(lines, None)
    beating.cancel()
    assert len(store) == 640
    assert beats >= 640 // LINES_PER_LOOK - 1
