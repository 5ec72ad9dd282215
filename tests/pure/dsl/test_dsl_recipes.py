"""Do the recipes make the jobs they promise, free of problems, in the shape Volcano's plugins expect?"""

import pytest

from flowbatch_dsl import Job, Resources, ddp, mpi, ps


def command(job: Job, task: str) -> list[str]:
    return list(next(each.command for each in job.tasks if each.name == task))


@pytest.mark.parametrize(
    "job",
    [
        mpi("pi", ["python", "pi.py"], workers=4, slots=2),
        mpi("pi", ["./a.out"], flavor="openmpi"),
        ps("ctr", ["python", "train.py"], servers=2, workers=(3, 8)),
        ddp("llama", ["train.py"], nodes=(2, 8), resources=Resources(gpu=8, shm="64Gi")),
        ddp("two", ["train.py"], nodes=2),
        ddp("one", ["train.py"]),
    ],
    ids=lambda job: f"{job.name}-{len(job.tasks)}",
)
def test_a_recipe_makes_a_sound_job(job: Job) -> None:
    report = job.validate()
    assert report.ok, str(report)


def test_mpi_runs_ranks_over_ssh_in_workers_that_are_up_before_the_launcher() -> None:
    job = mpi("pi", ["./a.out"], workers=4, slots=2, resources=Resources(cpu=1), retries=0)
    launcher, worker = job.tasks
    assert (launcher.name, launcher.after, worker.name, worker.replicas) == ("launcher", ("worker",), "worker", 4)
    assert " ".join(launcher.command).endswith("-hosts $(MPI_HOST) -ppn 2 -n 8 ./a.out")
    assert dict(job.plugins)["mpi"] == ("--master=launcher", "--worker=worker", "--port=22")  # type: ignore[call-overload,arg-type]
    assert [(on.event, on.do) for on in launcher.on] == [("TaskCompleted", "CompleteJob")]
    assert job.retries == 1


def test_ps_completes_with_its_workers_and_may_be_elastic() -> None:
    job = ps("ctr", ["t"], servers=2, workers=(3, 8), server_command=["s"], server_resources=Resources(cpu=4))
    server, worker = job.tasks
    assert (server.replicas, worker.replicas, worker.min, job.min_available) == (2, 8, 3, 5)
    assert (server.command, server.resources.cpu, worker.resources.cpu) == (("s",), "4", None)
    assert not server.on
    assert [(on.event, on.do) for on in worker.on] == [("TaskCompleted", "CompleteJob")]


def test_ddp_is_static_or_elastic_as_asked() -> None:
    fixed, elastic = ddp("a", ["t.py"], nodes=3), ddp("b", ["t.py"], nodes=(2, 8), resources=Resources(gpu=4))
    assert command(fixed, "worker")[:4] == ["torchrun", "--nnodes=3", "--nproc-per-node=1", "--node-rank=$(RANK)"]
    assert (fixed.min_available, fixed.tasks[1].replicas, fixed.tasks[1].min) == (None, 2, None)
    assert "--nnodes=2:8" in command(elastic, "master")
    assert "--nproc-per-node=4" in command(elastic, "worker")
    assert (elastic.min_available, elastic.tasks[1].replicas, elastic.tasks[1].min) == (2, 7, 1)
    assert [on.do for on in elastic.tasks[1].on] == ["RestartPod"]


def test_a_sweep_is_a_loop_and_its_jobs_differ() -> None:
    grid = [ddp(f"lr-{i}", ["train.py", "--lr", str(lr)], nodes=2) for i, lr in enumerate([1e-4, 3e-4])]
    assert len(set(grid)) == 2
