"""What type checkers must see: read by mypy and pyright, never run (tests/typing/test_typing_checkers.py)."""

from collections.abc import AsyncGenerator, Iterator
from typing import assert_type

from flowbatch_dsl import (
    AsyncRun,
    Change,
    Job,
    LocalCluster,
    LogLine,
    On,
    PodView,
    Report,
    Resources,
    Run,
    Status,
    Task,
    ddp,
    mpi,
    ps,
)

worker = Task(
    "worker", ["python", "train.py"], replicas=8, min=3, after=["ps"], on=[On("PodEvicted", do="RestartTask")]
)
lab = Job("lab", queue="ads", min_available=5, plugins=["svc", "env"], tasks=[Task("ps", ("x", "y")), worker])
flags = Job("lab", plugins={"svc": ["--publish-not-ready-addresses"], "env": ()}, tasks=(worker,))
several = On(["PodFailed", "PodEvicted"], do="RestartJob", after=90)
by_code = On(exit_code=3, do="TerminateJob")

assert_type(lab.but(queue="night", on=[several, by_code]), Job)
assert_type(worker.but(replicas=3, resources=Resources(cpu=0.5, memory="4Gi", extra={"rdma/hca": 1})), Task)
assert_type(mpi("pi", ["python", "pi.py"], workers=4, slots=2, flavor="openmpi"), Job)
assert_type(ps("ctr", ("python", "train.py"), servers=2, workers=(3, 8)), Job)
assert_type(ddp("llama", ["train.py"], nodes=(2, 8)), Job)
assert_type(lab.validate(), Report)
assert_type(Job.from_yaml(lab.to_yaml()), Job)
assert_type({lab: 1, flags: 2}[lab], int)


def blocking() -> None:
    with LocalCluster(nodes=4, cpus=2) as here:
        assert_type(here, LocalCluster)
        run = lab.submit(here)
        assert_type(run, Run)
        assert_type(run.wait(timeout=600), Status)
        assert_type(run.wait(timeout=600).phase, str)
        assert_type(run.logs("worker", 0, follow=True), Iterator[LogLine])
        assert_type(run.watch(), Iterator[Change])
        assert_type(run.why(), str)
        assert_type(run.pods(), list[PodView])
    assert_type(Run.attach("lab", cluster="kubeconfig"), Run)


async def waiting() -> None:
    run = await lab.asubmit()
    assert_type(run, AsyncRun)
    assert_type(run.logs("worker"), AsyncGenerator[LogLine, None])
    async for change in run.watch():
        assert_type(change.phase, str)
    assert_type(await run.status(), Status)
    assert_type(await AsyncRun.attach("lab"), AsyncRun)
    async with LocalCluster() as here:
        assert_type(here, LocalCluster)
