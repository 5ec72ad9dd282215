"""Do the recipes make the jobs they promise, free of problems, in the shape Volcano's plugins expect?"""

import pytest

from flowbatch.errors import SpecErrors
from flowbatch_dsl import Job, Resources, Task, ddp, jax, mpi, ps, ray, sweep


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
        jax("gemma", ["python", "train.py"], processes=4, resources=Resources(gpu=8)),
        ray("tune", ["python", "tune.py"], workers=(1, 10), resources=Resources(gpu=1)),
        ray("fixed", ["python", "tune.py"], workers=2),
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


def test_jax_is_equal_processes_that_start_again_together() -> None:
    job = jax("gemma", ["python", "train.py"], processes=4, port=7000, retries=1)
    assert [(task.name, task.replicas) for task in job.tasks] == [("worker", 4)]
    assert dict(job.plugins) == {"svc": (), "jax": ("--worker=worker", "--port=7000")}  # type: ignore[call-overload]
    assert [on.do for on in job.on] == ["RestartJob"]
    assert job.retries == 2


def test_ray_ends_with_its_driver_and_may_be_elastic() -> None:
    job = ray("tune", ["python", "tune.py"], workers=(1, 10), resources=Resources(gpu=1), head=Resources(cpu=2))
    head, worker, driver = job.tasks
    assert (head.name, head.resources.cpu, head.command) == ("head", "2", ())
    assert (worker.replicas, worker.min, worker.after, worker.resources.gpu) == (10, 1, ("head",), "1")
    assert [on.do for on in worker.on] == ["RestartPod"]
    assert job.min_available == 3
    assert driver.command[-3:] == ("$(VC_HEAD_HOSTS)", "python", "tune.py")
    assert [(on.event, on.do) for on in driver.on] == [("TaskCompleted", "CompleteJob")]
    fixed = ray("tune", ["x"], workers=2)
    assert (fixed.min_available, fixed.tasks[1].min, fixed.tasks[1].on) == (None, None, ())


def trial(lr: float, bs: int = 1) -> Job:
    return Job("trial", tasks=[Task("main", ["train", str(lr), str(bs)])])


def test_a_sweep_is_the_grid_of_its_axes_with_so_many_at_once() -> None:
    grid = sweep("grid", trial, lr=[1e-4, 3e-4], bs=[32, 64, 128], max_parallel=2, retries=1, outputs=["loss"])
    assert [node.name for node in grid.steps] == [f"trial-{i}" for i in range(6)]
    assert [node.job.tasks[0].command[1:] for node in grid.steps[:4]] == [
        ("0.0001", "32"),
        ("0.0001", "64"),
        ("0.0001", "128"),
        ("0.0003", "32"),
    ]
    assert [node.after for node in grid.steps] == [(), (), *((f"trial-{i}",) for i in range(4))]
    assert grid.steps[2].after_ends == ("Completed", "Failed", "Skipped")
    assert {node.retries for node in grid.steps} == {1}
    assert grid.steps[5].job.annotations == {"flowbatch.dev/parameters": '{"lr":0.0003,"bs":128}'}
    assert grid.validate().ok, str(grid.validate())


def test_a_sweep_keeps_names_that_differ_and_runs_all_at_once_if_not_told_otherwise() -> None:
    grid = sweep("grid", lambda lr: trial(lr).but(name=f"lr-{round(lr * 1e4)}"), lr=[1e-4, 3e-4])
    assert [(node.name, node.after) for node in grid.steps] == [("lr-1", ()), ("lr-3", ())]


def test_axes_that_cannot_be_are_refused_with_the_line() -> None:
    for axes, problem in (
        ({"lrr": [1]}, 'did you mean "lr"'),
        ({"bs": [1]}, "missing a required argument: 'lr'"),
        ({"lr": "1e-4"}, "must be a list of values"),
        ({"lr": []}, "has no values"),
        ({}, "are missing"),
        ({"lr": [1], "max_parallel": 0}, "must be at least 1"),
    ):
        with pytest.raises(SpecErrors, match=problem) as caught:
            sweep("grid", trial, **axes)  # type: ignore[arg-type]
        assert f"{__file__}:" in str(caught.value)
    with pytest.raises(TypeError, match="made of jobs"):
        sweep("grid", lambda lr: lr, lr=[1])


def test_a_sweep_is_a_loop_and_its_jobs_differ() -> None:
    grid = [ddp(f"lr-{i}", ["train.py", "--lr", str(lr)], nodes=2) for i, lr in enumerate([1e-4, 3e-4])]
    assert len(set(grid)) == 2
