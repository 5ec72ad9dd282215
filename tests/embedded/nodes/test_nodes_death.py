"""When the program ends, in whichever way, does anything stay behind?"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.nodes.test_nodes_isolation import processes

#: A whole small cluster: one server, one node, one pod that tries to outlive it.
PROGRAM = """
import asyncio, sys
from flowbatch.api.kinds import POD
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.nodes import NodeSpecification, ProcessNodes
from flowbatch.kube import request
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig

async def main(marker, isolated):
    async with ApiServer(tls=False) as server, Client(await from_kubeconfig(server.kubeconfig())) as client:
        nodes = ProcessNodes(client, [NodeSpecification("n", "1", "1Gi")], isolation=isolated)
        running = asyncio.ensure_future(nodes.run())
        await nodes.ready.wait()
        script = f"trap '' TERM INT HUP; setsid sh -c \\"trap '' TERM; sleep {marker}\\" & sleep {marker}"
        spec = {"containers": [{"name": "c", "image": "i", "command": ["sh", "-c", script]}]}
        made = await client.create(POD, {"metadata": {"name": "p"}, "spec": spec}, "default")
        await client.send(request.bind_pod("default", "p", made.metadata.uid, "n"))
        while (await client.get(POD, "p", "default")).status.phase != "Running":
            await asyncio.sleep(0.01)
        print("up", flush=True)
        import signal
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            pass

asyncio.run(main(sys.argv[1], {"own": None, "user-namespace": "user", "none": "none"}[sys.argv[2]]))
"""


@contextlib.contextmanager
def program(marker: str, mode: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PROGRAM, marker, mode]
    env = {**os.environ, "TMPDIR": str(folder)}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        yield child
    finally:
        child.kill()
        child.wait()


def until(true: Callable[[], Any], timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(true())


def leftovers(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


@pytest.mark.parametrize("mode", ["own", "user-namespace", "none"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_and_no_file_outlives_the_program(how: signal.Signals, mode: str, can_isolate: None, tmp_path: Path):
    marker = f"7{time.time_ns() % 10**10}"
    with program(marker, mode, tmp_path) as child:
        assert until(lambda: len(processes(marker)) >= 3)
        assert leftovers(tmp_path)
        child.send_signal(how)
        assert until(lambda: not processes(marker))
        child.wait(5)
    assert until(lambda: not leftovers(tmp_path))


@pytest.mark.parametrize("victim", ["outer", "inner"])
def test_killing_the_first_process_of_the_cluster_kills_the_pods(victim: str, can_isolate: None, tmp_path: Path):
    marker = f"6{time.time_ns() % 10**10}"
    with program(marker, "own", tmp_path) as child:
        outer = _children(child.pid)[0]
        os.kill(outer if victim == "outer" else _children(outer)[0], signal.SIGKILL)
        assert until(lambda: not [pid for pid in processes(marker) if pid != child.pid])
        child.wait(5)
    assert not leftovers(tmp_path)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_marker_is_seen_while_the_program_lives(can_isolate: None, tmp_path: Path):
    """The checks above would pass on a machine where nothing is ever found."""
    marker = f"5{time.time_ns() % 10**10}"
    with program(marker, "own", tmp_path):
        assert processes(marker)
