"""Do typed flows, sweeps and recipes do on real processes what they do in plain Python?"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbatch_dsl import (
    FlowFailed,
    FlowRun,
    Job,
    LocalCluster,
    Node,
    Resources,
    Run,
    Task,
    Workflow,
    flow,
    gang,
    jax,
    ray,
    step,
    sweep,
)

os.environ["FLOWBATCH_TEST_FOLDER"] = f"{tempfile.gettempdir()}/flowbatch-flows-{os.getpid()}"
from tests.embedded.dsl import realsteps

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(300)

small = Resources(cpu="100m", memory="32Mi")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """What some steps share with the test."""
    realsteps.FOLDER.mkdir()
    yield realsteps.FOLDER
    shutil.rmtree(realsteps.FOLDER)


@pytest.fixture(scope="module")
def here(folder: Path) -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, cpus=4) as cluster:
        yield cluster


def eventually(there: Path) -> None:
    deadline = time.monotonic() + 60
    while not there.exists():
        assert time.monotonic() < deadline, f"{there} never came"
        time.sleep(0.05)


def test_a_flow_with_fan_out_gives_what_plain_python_gives(here: LocalCluster) -> None:
    run = realsteps.weighing.bind("one fifteen seventeen four").submit(here)
    assert run.result(timeout=100) == realsteps.weighing("one fifteen seventeen four")
    status = run.status()
    assert status.step("weigh").total == 3
    assert [status.step(name).state for name in ("praise", "praise-x2")] == ["Completed", "Skipped"]
    assert [line.text for line in run.logs("total")] == ["$(HOME) $$: 3 weights"]
    assert "5 of 7" not in run.why()
    assert "<svg" in run._repr_html_()


def test_a_list_with_nothing_in_it_is_mapped_to_nothing(here: LocalCluster) -> None:
    empty = realsteps.weighing.but(name="empty")
    assert empty.bind("", parts=0).submit(here).result(timeout=100) == realsteps.weighing("", parts=0)


def test_a_step_that_fails_at_first_is_tried_again(here: LocalCluster) -> None:
    run = realsteps.retried.bind().submit(here)
    assert run.result(timeout=100) == 2
    assert run.status().step("flaky").attempts == 2


def test_a_failed_flow_says_why_and_goes_on_from_what_completed(here: LocalCluster, folder: Path) -> None:
    run = realsteps.broken.bind().submit(here)
    with pytest.raises(FlowFailed) as caught:
        run.wait(timeout=100)
    assert caught.value.step == "needs-file"
    assert any("looking for missing" in line for line in caught.value.lines)
    assert any("FileNotFoundError" in line for line in caught.value.lines)
    (folder / "missing").write_text("found ")
    again = FlowRun.attach("broken", cluster=here, returns=str)
    again.resume()
    assert again.result(timeout=100) == "FOUND 1"
    assert (folder / "counted.tries").read_text() == "1"
    assert again.status().step("needs-file").attempts == 2


def test_a_suspended_flow_stops_its_pods_and_goes_on_when_resumed(here: LocalCluster, folder: Path) -> None:
    run = realsteps.held.bind().submit(here)
    begun = folder / "gate.begun"
    eventually(begun)
    run.suspend()
    Run.attach("held-hold", cluster=here).wait_for("Aborted", timeout=100)
    assert run.why().startswith("suspended: 0 of 2 steps done")
    (folder / "gate").write_text("open")
    begun.unlink()
    assert run.status().suspended
    run.resume()
    assert run.result(timeout=100) == "OPEN"


def test_a_sweep_gives_the_value_of_each_point(here: LocalCluster) -> None:
    def trial(x: int, y: int) -> Job:
        words = ["sh", "-c", f"""echo '{{"sum": {x + y}}}' > /dev/termination-log"""]
        return Job("t", tasks=[Task("main", words, resources=small)])

    grid = sweep("grid", trial, x=[1, 2], y=[10, 20], max_parallel=2, outputs=["sum"])
    assert grid.submit(here).result(timeout=100) == {f"t-{i}.sum": x for i, x in enumerate((11, 21, 12, 22))}


def test_one_that_fails_does_not_keep_its_lane_from_going_on(here: LocalCluster) -> None:
    def trial(code: int) -> Job:
        return Job("l", tasks=[Task("main", ["sh", "-c", f"exit {code}"], resources=small)])

    run = sweep("lanes", trial, code=[1, 0, 0], max_parallel=1).submit(here)
    with pytest.raises(FlowFailed) as caught:
        run.wait(timeout=100)
    assert caught.value.step == "l-0"
    assert [step.state for step in run.status().steps] == ["Failed", "Completed", "Completed"]


def test_a_workflow_of_jobs_passes_values_on(here: LocalCluster) -> None:
    give = Job(
        "give", tasks=[Task("main", ["sh", "-c", """echo '{"n": 7}' > /dev/termination-log"""], resources=small)]
    )
    take = Job("take", tasks=[Task("main", ["sh", "-c", 'echo "got $N"'], resources=small)])
    run = Workflow("pass", Node(give, outputs=["n"]) >> Node(take, inputs={"N": "give.n"})).submit(here)
    run.wait(timeout=100)
    assert [line.text for line in run.logs("take", follow=True)] == ["got 7"]


def test_a_job_stands_among_typed_steps(here: LocalCluster) -> None:
    words = ["sh", "-c", """test "$N" = 3 && echo "{\\"n\\": $N}" > /dev/termination-log"""]
    job = Job("middle", tasks=[Task("main", words, resources=small)])

    def mixed() -> str:
        size = realsteps.size_of({"a": 1, "b": 2})
        given = gang(job, inputs={"N": realsteps.whole(size)}, output="n", local=lambda: 3)
        return realsteps.shout(realsteps.told(given))

    run = flow(mixed).bind().submit(here)
    assert run.result(timeout=100) == mixed() == "N IS 3"


def test_ray_shaped_head_workers_and_driver_meet(here: LocalCluster) -> None:
    """A stub in place of Ray: it listens, joins and submits as Ray does, and computes nothing."""
    path = f"{ROOT}/examples/programs/stub:{os.environ['PATH']}"
    env = {"PATH": path, "RAY_STUB_WORKERS": "2"}
    job = ray("rl", ["sh", "-c", "echo driven by $RAY_STUB_NODES workers"], workers=2, env=env)
    run = job.but(tasks=[task.but(resources=small) for task in job.tasks]).submit(here)
    lines = [line.text for line in run.logs("driver", follow=True)]
    assert run.wait(timeout=100).phase == "Completed"
    assert lines == ["driven by 2 workers"]


def test_jax_processes_are_told_where_to_meet(here: LocalCluster) -> None:
    program = "echo $JAX_PROCESS_ID of $JAX_NUM_PROCESSES at $JAX_COORDINATOR_ADDRESS"
    run = jax("gemma", ["sh", "-c", program], processes=2, port=7000, resources=small).submit(here)
    run.wait(timeout=100)
    said = sorted(line.text for line in run.logs())
    assert said == [f"{i} of 2 at gemma-worker-0.gemma:7000" for i in range(2)]


def test_a_function_of_a_notebook_cell_runs_if_it_may_be_pickled(here: LocalCluster) -> None:
    pytest.importorskip("cloudpickle")
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("FACTOR = 3\ndef tripled(x: int) -> int: return FACTOR * x", scope)
    tripled = step(pickle=True, resources=small)(scope["tripled"])
    cell = flow(name="cell")(lambda: tripled(tripled(2)))
    assert cell.bind().submit(here).result(timeout=100) == cell() == 18


SCRIPT = """\
from flowbatch_dsl import flow, step, Resources

@step(resources=Resources(cpu="100m"))
def twice(x: int) -> int:
    print("doubling", x)
    return 2 * x

@flow
def scripted(x: int = 4) -> int:
    return twice(twice(x))

@step(resources=Resources(cpu="100m"))
def boom() -> int:
    raise ValueError("no luck")

@flow
def _unlucky() -> int:
    return twice(boom())

unlucky = _unlucky.bind()

if __name__ == "__main__":
    print("result", scripted.bind(3).but(name="by-hand").submit().result(timeout=100))
"""


def in_other_folder(here: LocalCluster, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "dsl")))
    env = {**os.environ, "KUBECONFIG": str(here.kubeconfig), "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=110, check=False
    )


def test_functions_of_a_script_are_found_wherever_it_lies(here: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = in_other_folder(here, tmp_path, "mine.py")
    assert done.stdout == "result 12\n", done.stdout + done.stderr
    done = in_other_folder(here, tmp_path, "-m", "flowbatch", "run", "mine.py:scripted")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "scripted-twice-main-0: doubling 4" in lines
    assert "scripted: twice-x2 Completed" in lines
    assert lines[-1].startswith("scripted: completed in")
    failed = in_other_folder(here, tmp_path, "-m", "flowbatch", "run", "mine.py:unlucky")
    assert failed.returncode == 1
    assert "unlucky-boom-main-0: ValueError: no luck" in failed.stdout
    assert "unlucky: failed: step boom" in failed.stdout
    resumed = in_other_folder(here, tmp_path, "-m", "flowbatch", "resume", "jobflow/unlucky")
    assert resumed.stdout == "jobflow/unlucky resumed: what failed is run once more\n", resumed.stderr
    with pytest.raises(FlowFailed) as caught:
        FlowRun.attach("unlucky", cluster=here).wait(timeout=100)
    assert caught.value.step == "boom"
    assert FlowRun.attach("unlucky", cluster=here).status().step("boom").attempts == 2
    again = in_other_folder(here, tmp_path, "-m", "flowbatch", "run", "mine.py:scripted")
    assert again.returncode == 1
    assert "workflow scripted exists already" in again.stderr
