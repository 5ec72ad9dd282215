"""Do the two processes of `flowbatch up` live and die as one?"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


class Up:
    """A running `flowbatch up` and the API server it started."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.kubeconfig = folder / "kubeconfig"
        command = [sys.executable, "-m", "flowbatch", "up", "--simulate", "--nodes", "1"]
        command += ["--kubeconfig", str(self.kubeconfig), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "ready":
                break
        self.servers = [pid for pid in children(self.process.pid) if "flowbatch.local.apiserver" in command_of(pid)]

    def errors(self) -> str:
        return self.process.communicate(timeout=PATIENCE_S)[1]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    yield running
    for pid in [running.process.pid, *running.servers]:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    running.process.communicate()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_stopping_it_ends_the_server_too(up: Up) -> None:
    assert len(up.servers) == 1
    up.process.terminate()
    assert up.process.wait(PATIENCE_S) == 0
    assert not alive(up.servers[0])
    assert not up.kubeconfig.exists()


def test_killing_it_leaves_no_server_behind(up: Up) -> None:
    up.process.kill()
    wait_for(lambda: not alive(up.servers[0]))


def test_a_server_that_dies_ends_it_with_a_message(up: Up) -> None:
    os.kill(up.servers[0], signal.SIGKILL)
    assert up.process.wait(PATIENCE_S) == 1
    assert "error: the API server ended by itself" in up.errors()


def test_a_port_that_is_taken_is_one_clear_error(up: Up, tmp_path: Path) -> None:
    port = up.kubeconfig.read_text().partition("https://127.0.0.1:")[2].partition('"')[0]
    (tmp_path / "second").mkdir()
    second = Up(tmp_path / "second", "--port", port)
    assert second.process.wait(PATIENCE_S) == 2
    said = second.errors()
    assert "port" in said
    assert "Traceback" not in said
