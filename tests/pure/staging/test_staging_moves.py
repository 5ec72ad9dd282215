"""Are inputs whole or not there, outputs whole or not there, and is the reason said? Real files and a real server."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from aiohttp import web

from flowbatch.api.staging import ENDED, EXITS, INPUTS, OUTPUTS, Item, Plan
from flowbatch.staging.digest import measure
from flowbatch.staging.fetch import PAUSES_S, fetch_all
from flowbatch.staging.store import MANIFEST, prepare, store_all, wait_for_end


def item(url, *, file="x", **fields):
    return Item("one", str(url), str(url), file=file, **fields)


def fetch(root, *items):
    pauses: list[float] = []
    return fetch_all(Plan(items), root, pauses.append), pauses


def store(root, *items, succeeded=True):
    return store_all(Plan(items), root, succeeded=succeeded)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "a").write_text("a")
    (tmp_path / "data" / "deep" / "b").write_text("bb")
    return tmp_path / "data"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def test_a_file_and_a_directory_are_fetched_with_their_size_and_digest(root, data):
    (one,), _ = fetch(root, item(f"file://{data}/a"))
    assert (one.bytes, one.digest) == measure(data / "a")
    assert (root / INPUTS / "one").read_text() == "a"
    (one,), _ = fetch(root, item(f"file://{data}/", file=""))
    assert (one.bytes, one.digest) == measure(data)
    assert (root / INPUTS / "one" / "deep" / "b").read_text() == "bb"


def test_a_digest_of_a_directory_depends_on_names_and_contents_alone(data, tmp_path):
    before = measure(data)
    (data / "a").touch()
    assert measure(data) == before
    (data / "a").rename(data / "c")
    assert measure(data)[1] != before[1]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///nowhere/at/all", "NotFound"),
        ("nosuchscheme://x/y", "BadUrl"),
        ("http://127.0.0.1:1/x", "Unreachable"),
        ("http://[::bad/x", "BadUrl"),
    ],
)
def test_what_cannot_be_fetched_says_why_and_leaves_nothing(root, url, reason):
    (one,), pauses = fetch(root, item(url))
    assert one.reason == reason, one
    assert url in one.message
    assert list((root / INPUTS).iterdir()) == []
    assert tuple(pauses) == (PAUSES_S if reason == "Unreachable" else ()), "only the network is tried again"


def test_something_else_than_what_was_expected_is_refused(root, data):
    (one,), _ = fetch(root, item(f"file://{data}/a", digest="sha256:00"))
    assert (one.reason, list((root / INPUTS).iterdir())) == ("Changed", [])
    (one,), _ = fetch(root, item(f"file://{data}/a", digest=measure(data / "a")[1]))
    assert one.reason == ""


def test_one_bad_input_does_not_keep_the_others(root, data):
    plan = Plan((item("file:///nowhere/x"), Item("two", "", f"file://{data}/a", file="a")))
    assert [each.reason for each in fetch_all(plan, root, lambda _: None)] == ["NotFound", ""]


@contextlib.contextmanager
def serving(*routes):
    """A real HTTP server in a thread; gives its address."""
    ready, stop, port = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def serve():
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.append(site._server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def test_a_connection_that_breaks_off_is_tried_again_and_never_leaves_half_a_file(root):
    tries = []

    async def breaks(request):
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": "1000"})
        tries.append(request)
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * (1000 if len(tries) > 2 else 10))
        if len(tries) <= 2:
            request.transport.close()
        return response

    with serving(web.get("/x", breaks, allow_head=False), web.head("/x", breaks)) as url:
        (one,), pauses = fetch(root, item(f"{url}/x"))
    assert (one.reason, one.bytes, pauses) == ("", 1000, list(PAUSES_S[:2]))


@pytest.mark.parametrize(("status", "reason"), [(404, "NotFound"), (403, "Forbidden"), (401, "Forbidden")])
def test_answers_of_a_server_become_reasons(root, status, reason):
    async def answer(_request):
        return web.Response(status=status)

    with serving(web.route("*", "/x", answer)) as url:
        (one,), _ = fetch(root, item(f"{url}/x"))
    assert one.reason == reason


def left_behind(root, **files):
    folder = root / OUTPUTS / "one"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_file_is_stored_under_its_final_name_only_when_it_is_whole(root, tmp_path):
    left_behind(root, x="result")
    prepare(Plan((item("u"),)), root)
    (one,) = store(root, item(f"file://{tmp_path}/new/folder/result"))
    assert (one.reason, (tmp_path / "new" / "folder" / "result").read_text()) == ("", "result")
    assert [each.name for each in (tmp_path / "new" / "folder").iterdir()] == ["result"]


def test_a_directory_is_replaced_as_a_whole_and_lists_its_files(root, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "stale").write_text("old")
    left_behind(root, **{"a": "1", "deep/b": "2"})
    prepare(Plan((item("u"),)), root)
    (one,) = store(root, item(f"file://{target}/", file=""))
    assert one.reason == ""
    assert sorted(each.relative_to(target).as_posix() for each in target.rglob("*") if each.is_file()) == [
        MANIFEST,
        "a",
        "deep/b",
    ]
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("out")] == ["out"]


def test_what_was_stored_is_not_stored_again_by_a_sidecar_that_starts_anew(root, tmp_path):
    left_behind(root, x="first")
    prepare(Plan((item("u"),)), root)
    first = store(root, item(f"file://{tmp_path}/r"))
    left_behind(root, x="second")
    assert store(root, item(f"file://{tmp_path}/r")) == first
    assert (tmp_path / "r").read_text() == "first"


def test_nothing_is_stored_of_containers_that_failed_unless_it_is_always_wanted(root, tmp_path):
    left_behind(root, x="partial")
    prepare(Plan((item("u"),)), root)
    (skipped,) = store(root, item(f"file://{tmp_path}/a"), succeeded=False)
    assert (skipped.skipped, (tmp_path / "a").exists()) == (True, False)
    (kept,) = store(root, item(f"file://{tmp_path}/b", always=True), succeeded=False)
    assert (kept.reason, (tmp_path / "b").read_text()) == ("", "partial")


@pytest.mark.parametrize("file", ["x", ""])
def test_containers_that_leave_nothing_are_told_so(root, tmp_path, file):
    prepare(Plan((item("u"),)), root)
    (one,) = store(root, item(f"file://{tmp_path}/a/", file=file))
    assert (one.reason, (tmp_path / "a").exists()) == ("NotFound", False)


def test_a_server_takes_outputs_by_put(root):
    got = {}

    async def take(request):
        got[request.path] = await request.read()
        return web.Response(status=201)

    left_behind(root, x="result")
    prepare(Plan((item("u"),)), root)
    with serving(web.put("/r", take)) as url:
        (one,) = store(root, item(f"{url}/r"))
    assert (one.reason, got) == ("", {"/r": b"result"})


FULL = """
mount -t tmpfs -o size=64k tmpfs {target} && exec {python} - <<'END'
from pathlib import Path
from flowbatch.api.staging import Item, Plan
from flowbatch.staging.{verb} import {verb}_all
plan, root = Plan((Item("one", "u", "file://{place}", file="x"),)), Path("{root}")
(moved,) = {verb}_all(plan, root{more})
print(moved.reason, sorted(each.name for each in Path("{target}").rglob("*") if each.is_file()))
END
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a small file system of its own needs Linux")
@pytest.mark.parametrize("verb", ["fetch", "store"])
def test_a_full_disk_is_a_reason_and_leaves_nothing_half_written(root, tmp_path, verb):
    target = root if verb == "fetch" else tmp_path / "target"
    target.mkdir()
    left_behind(tmp_path if verb == "fetch" else root, x="x" * 200_000)
    prepare(Plan((item("u"),)), tmp_path / "unused" if verb == "fetch" else root)
    place = tmp_path / OUTPUTS / "one" / "x" if verb == "fetch" else target / "result"
    more = "" if verb == "fetch" else ", succeeded=True"
    script = FULL.format(python=sys.executable, verb=verb, target=target, root=root, place=place, more=more)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount anything: {done.stderr.strip()}")
    assert done.stdout == "NoSpace []\n", done.stderr


@pytest.mark.parametrize(
    ("codes", "ended", "succeeded"),
    [({"a": "0", "b": "0"}, False, True), ({"a": "0", "b": "1"}, True, False), ({"a": "0"}, True, False)],
)
def test_the_end_is_seen_in_the_exit_codes_or_told_by_the_kubelet(root, codes, ended, succeeded):
    plan = Plan((item("u"),), ("a", "b"))
    prepare(plan, root)
    for name, code in codes.items():
        (root / EXITS / name).write_text(f"{code}\n")
    if ended:
        (root / ENDED).touch()
    assert wait_for_end(plan, root) is succeeded
