"""Does a LocalCluster start, serve, stop, and die with its parent, leaving nothing behind?"""

import os
import signal
import sys
import time
from pathlib import Path

import anyio
import pytest

from flowbatch.errors import FlowbatchError
from flowbatch_dsl import Job, LocalCluster, Resources, Task
from flowbatch_dsl.clusters import OPEN, resolve

HOLD = "from flowbatch_dsl import LocalCluster; import time; here = LocalCluster(1, simulate=True).start(); "
HOLD += "print(here._child.process.pid, flush=True); time.sleep(60)"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_a_cluster_runs_a_job_and_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    played = Task("w", ["x"], replicas=2, resources=Resources(cpu=1))
    job = Job("j", tasks=[played.but(pod={"metadata": {"annotations": {"flowbatch.dev/sim-run-seconds": "0.3"}}})])
    with LocalCluster(nodes=2, cpus=2, simulate=True) as here:
        file, child = here.kubeconfig, here._child.process.pid
        assert file.stat().st_mode & 0o077 == 0
        assert resolve(None) == here.cluster
        assert "a local cluster of 2 nodes" in capsys.readouterr().err
        assert job.submit().wait(timeout=30).phase == "Completed"
        assert "running" in repr(here)
    assert not file.parent.exists()
    assert gone(child, 1)
    assert not OPEN
    here.stop()


async def test_async_code_opens_one_too() -> None:
    async with LocalCluster(nodes=1, simulate=True) as here:
        run = await Job("j", tasks=[Task("w", ["x"])]).asubmit(here)
        assert (await run.wait_for("Running", timeout=30)).running == 1


def test_outside_its_block_a_cluster_says_how_to_open_it() -> None:
    with pytest.raises(FlowbatchError, match="with LocalCluster"):
        Job("j", tasks=[Task("w", ["x"])]).submit(LocalCluster())


def test_a_cluster_that_cannot_start_says_why_and_is_closed() -> None:
    with pytest.raises(FlowbatchError, match=r"(?s)ended with exit code 2.*--cpus"):
        LocalCluster(cpus="many").start()
    assert not OPEN


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_it_dies_with_its_parent_however_that_ends(end: signal.Signals) -> None:
    async with await anyio.open_process([sys.executable, "-c", HOLD], stderr=None) as parent:
        pid = (await parent.stdout.receive()).decode()
        assert alive(int(pid))
        os.kill(parent.pid, end)
        await parent.wait()
    assert gone(int(pid), 10)


def test_two_open_clusters_must_be_told_apart() -> None:
    with LocalCluster(1, simulate=True), LocalCluster(1, simulate=True) as second:
        with pytest.raises(FlowbatchError, match="2 local clusters are open"):
            resolve(None)
        assert resolve(second).kubeconfig == str(second.kubeconfig)
