"""Do the examples do, on a real cluster of real processes, what they say they do?"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowbatch_dsl import Job, JobFailed, LocalCluster, Resources, Run, Task

ROOT = Path(__file__).parents[3]
Example = Callable[[str], str]


@pytest.fixture(scope="module")
def here() -> Iterator[LocalCluster]:
    before = Path.cwd()
    os.chdir(ROOT)
    with LocalCluster(nodes=4, cpus=2) as cluster:
        os.chdir(before)
        yield cluster


@pytest.fixture
def example(here: LocalCluster) -> Example:
    def run(name: str) -> str:
        env = {**os.environ, "KUBECONFIG": str(here.kubeconfig)}
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / f"{name}.py")],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_mpi_runs_its_ranks_on_all_workers(example: Example) -> None:
    said = example("mpi_pi")
    assert "pi is about 3.14159265" in said
    assert re.findall(r"2 ranks on (\S+)", said) == [f"pi-worker-{i}" for i in range(4)]
    assert said.endswith("Completed\n")


def test_parameter_servers_train_a_model_that_works(example: Example) -> None:
    said = example("ps_worker")
    losses = [float(loss) for loss in re.findall(r"epoch .*loss ([0-9.]+)", said)]
    assert losses[-1] < losses[0] / 1.5
    accuracy = re.search(r"accuracy ([0-9.]+)", said)
    assert accuracy is not None
    assert float(accuracy.group(1)) > 0.9
    assert said.endswith("Completed\n")


def test_data_comes_and_goes_with_its_jobs(example: Example) -> None:
    assert example("staged_data").splitlines() == ["1275 + 3775 = 5050", "Succeed"]


def test_the_second_gang_waits_whole_and_says_what_it_lacks(example: Example) -> None:
    said = example("two_gangs").splitlines()
    waits = next(line for line in said if line.startswith("second: ") and "unschedulable" in line)
    assert re.search(r"short [0-9.]+ cpu", waits)
    assert said[-1] == "second: Completed"


def test_a_suspended_job_makes_room_and_comes_back_without_a_retry(example: Example) -> None:
    said = example("suspend_resume")
    assert "urgent: Completed in the room of the suspended job" in said
    assert said.endswith("Completed after 0 retries\n")


def test_a_policy_tries_again_elsewhere_until_it_works(example: Example) -> None:
    assert re.search(r"Completed on node-\d after 2 retries\n$", example("restart_policy"))


def test_an_elastic_job_takes_the_room_as_it_comes(example: Example) -> None:
    assert example("elastic").endswith("elastic: 2 workers\nelastic: 4 workers\n")


def test_a_workflow_of_gangs_runs_side_by_side_and_reports(example: Example) -> None:
    said = example("workflow")
    assert "digits Completed" in said
    assert "1797 rows were enough" in said
    assert said.endswith("Succeed\n")


def test_a_typed_flow_gives_what_plain_python_gives(example: Example) -> None:
    assert example("typed_flow").startswith("(3.1")


def test_a_sweep_finds_the_best_of_its_grid(example: Example) -> None:
    assert example("sweep").endswith("best: trial-4\n")


async def test_blocking_verbs_work_where_a_loop_already_runs_as_in_a_notebook(here: LocalCluster) -> None:
    job = Job("cell", tasks=[Task("w", ["sh", "-c", "echo hello; exit 0"], resources=Resources(cpu="100m"))])
    run = job.submit(here)
    assert isinstance(run, Run)
    assert [line.text for line in run.logs(follow=True)] == ["hello"]
    assert run.wait(timeout=30).phase == "Completed"


def test_a_command_that_is_not_there_is_named_in_the_failure(here: LocalCluster) -> None:
    with pytest.raises(JobFailed) as caught:
        Job("nothing", tasks=[Task("w", ["no-such-command"])]).submit(here).wait(timeout=30)
    assert any("no-such-command" in line and "exit code" in line for line in caught.value.lines), caught.value.lines
