"""Do the real frameworks meet through what the plugins tell them? `make test-frameworks` installs them (gigabytes)."""

import os
import subprocess
from pathlib import Path

import pytest

from flowbatch_dsl import Job, LocalCluster, On, Task, ddp

pytestmark = pytest.mark.timeout(400)
PROGRAMS = Path(__file__).parent / "programs"
PYTHON = os.environ.get("FLOWBATCH_FRAMEWORKS", "")
#: The frameworks' own programs (torchrun, ray) are found beside their Python.
ENV = {"PATH": f"{Path(PYTHON).parent}:/usr/bin:/bin", "JAX_PLATFORMS": "cpu"}


def program(name: str) -> list[str]:
    return [PYTHON, str(PROGRAMS / name)]


@pytest.fixture(scope="module")
def here():
    with LocalCluster(nodes=4, cpus=4) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def framework(request):
    """Skips a test whose framework is not there."""
    (name,) = request.node.get_closest_marker("framework").args
    if not PYTHON or subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{name} is not installed: make test-frameworks")


def printed(cluster, job: Job) -> set[str]:
    run = job.submit(cluster)
    run.wait(timeout=300)
    return {line.text for line in run.logs()}


@pytest.mark.framework("torch")
@pytest.mark.parametrize("nodes", [3, (2, 3)], ids=["fixed", "elastic"])
def test_torchrun_meets_over_gloo(here, nodes):
    name = "fixed" if nodes == 3 else "elastic"
    said = printed(here, ddp(name, [str(PROGRAMS / "torch_sum.py")], nodes=nodes, env=ENV))
    found = {int(line.split()[3].rstrip(":")) for line in said if line.startswith("rank ")}
    assert found == {3} if nodes == 3 else found <= {2, 3} and found


@pytest.mark.framework("jax")
def test_jax_gathers_over_all_processes(here):
    said = printed(
        here, Job("jax", plugins=["jax"], tasks=[Task("worker", program("jax_gather.py"), replicas=3, env=ENV)])
    )
    assert {f"process {index} of 3: [0, 1, 2]" for index in range(3)} <= said


@pytest.mark.framework("xgboost")
def test_xgboost_trains_one_model(here):
    task = Task("worker", program("xgboost_train.py"), replicas=3, env=ENV)
    said = [line for line in printed(here, Job("boost", plugins=["xgboost"], tasks=[task])) if line.startswith("rank")]
    assert {line.split(":")[0] for line in said} == {f"rank {index} of 3" for index in range(3)}
    assert len({line.split(":")[1] for line in said}) == 1, "all workers have the same model"


@pytest.mark.framework("ray")
def test_ray_workers_join_the_head_and_run_tasks(here):
    head = Task("head", ["true"], env=ENV)
    client = {**ENV, "RAY_CLUSTER": "ray://cluster-head-0.cluster:10001"}
    tasks = [
        head,
        head.but(name="worker", replicas=2),
        Task("driver", program("ray_hosts.py"), env=client, after=["head"], on=[On("TaskCompleted", do="CompleteJob")]),
    ]
    said = printed(
        here, Job("cluster", plugins=["ray"], retries=20, on=[On("PodFailed", do="RestartPod")], tasks=tasks)
    )
    assert "ran on cluster-head-0 cluster-worker-0 cluster-worker-1" in said
