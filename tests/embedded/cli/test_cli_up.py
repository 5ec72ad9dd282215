"""Does `flowbatch up` leave other people's files alone, refuse what it cannot do, and end without a trace?"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowbatch import cli

UP = [sys.executable, "-m", "flowbatch", "up", "--nodes", "1"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


@pytest.fixture
def up():
    started = []

    def start(*flags, simulate=True):
        kind = ["--simulate"] if simulate else []
        process = subprocess.Popen([*UP, *kind, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_running_cluster_is_found_without_a_flag_and_a_second_one_is_refused(home, up, capfd):
    first = up()
    assert cli.invoke(["get", "nodes", "-o", "name"]) == 0
    assert capfd.readouterr().out == "node/node-0\n"
    assert cli.invoke(["up", "--nodes", "1", "--simulate"]) == 1
    assert "a cluster runs already with the kubeconfig" in capfd.readouterr().err
    assert cli.invoke(["get", "nodes"]) == 0
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=10)
    assert (first.returncode, out) == (0, "")
    assert len(err.splitlines()) == 2, err  # the server and the kubeconfig: quiet unless asked
    assert not list((home / "state" / "flowbatch").iterdir())
    assert cli.invoke(["get", "nodes"]) == 3


def test_what_a_killed_cluster_leaves_is_not_mistaken_for_a_running_one(home, up):
    first = up()
    first.kill()
    first.wait()
    assert (home / "state" / "flowbatch" / "kubeconfig").exists()
    assert cli.invoke(["get", "nodes"]) == 3
    up()
    assert cli.invoke(["get", "nodes"]) == 0


def processes_with(text):
    """The command lines of live processes that hold `text`, in any namespace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if text in line]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_a_cluster_with_running_jobs_outlives_it(home, up, make_job, number):
    cluster = up(simulate=False)
    mark = f"4242.{os.getpid()}{number:02}"
    (home / "job.json").write_text(json.dumps(make_job("long", f"setsid sleep {mark} & sleep {mark}", replicas=2)))
    assert cli.invoke(["run", "-d", str(home / "job.json")]) == 0
    deadline = time.monotonic() + 30
    while len(processes_with(f"sleep {mark}")) < 4:
        assert time.monotonic() < deadline, "the job never ran"
        time.sleep(0.05)
    cluster.send_signal(number)
    cluster.wait(15)
    deadline = time.monotonic() + 10
    while left := processes_with(mark) + processes_with(str(home / "state")):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_impatience_ends_it_at_once_and_in_silence(home, up, number):
    process = up()
    for _ in range(3):
        if process.poll() is None:
            process.send_signal(number)
        time.sleep(0.01)
    _, err = process.communicate(timeout=10)
    assert "Traceback" not in err
    assert process.returncode in (0, 128 + number)


def test_a_kubeconfig_that_is_not_ours_is_never_touched(home, capfd):
    mine = home / "config"
    mine.write_text("clusters: [{name: production}]\n")
    os.mkfifo(home / "pipe")
    for path, said in ((mine, "is not a local cluster's"), (home, "not a plain file"), (home / "pipe", "plain file")):
        assert cli.invoke(["up", "--kubeconfig", str(path)]) == 2
        assert said in capfd.readouterr().err
        assert path.exists()
    assert mine.read_text() == "clusters: [{name: production}]\n"


def test_a_port_that_is_taken_or_none_is_refused(home, up, capfd):
    up()
    port = (home / "state/flowbatch/kubeconfig").read_text().split("127.0.0.1:")[1].split('"')[0]
    assert cli.invoke(["up", "--port", port, "--kubeconfig", str(home / "second")]) == 2
    assert f"--port: {port}: cannot be had" in capfd.readouterr().err
    assert not (home / "second").exists()
    assert cli.invoke(["up", "--port", "99999"]) == 2


@pytest.mark.parametrize(
    "flags",
    [
        ("--nodes", "-1"),
        ("--nodes", "10001"),
        ("--cpus", "0"),
        ("--memory", "x"),
        ("--image", "x"),
        ("--config", "/no"),
    ],
)
def test_nonsense_is_refused_before_anything_starts(home, capfd, flags):
    assert cli.invoke(["up", *flags]) == 2
    assert flags[1] in capfd.readouterr().err
