"""What type checkers must see of workflows and flows: read by mypy and pyright, never run (test_typing_checkers.py)."""

from collections.abc import Iterator
from typing import Any, assert_type

import msgspec

from flowbatch_dsl import (
    AsyncFlowRun,
    BoundFlow,
    Each,
    Flow,
    FlowChange,
    FlowRun,
    FlowStatus,
    Graph,
    Job,
    LocalCluster,
    LogLine,
    Node,
    Output,
    Report,
    Resources,
    Step,
    StepView,
    Task,
    When,
    Workflow,
    flow,
    gang,
    jax,
    mpi,
    ray,
    step,
    sweep,
    when,
)

hpl = mpi("hpl", ["./xhpl"], workers=4)
ctr, llama, rl = (Job(name, tasks=[Task("w", ["x"])]) for name in ("ctr", "llama", "rl"))

assert_type(hpl >> ctr, Graph)
assert_type(hpl >> [ctr, llama] >> rl, Graph)
assert_type([ctr, llama] >> rl, Graph)
assert_type([ctr, Node(llama)] >> Node(rl, retries=2), Graph)
assert_type(hpl >> (ctr >> rl), Graph)

tuned = Node(
    ctr,
    name="tune",
    after=["hpl"],
    after_ends=["Completed", "Failed"],
    retries=3,
    backoff_s=10,
    when=[When("hpl.loss", "Lt", [0.5])],
    each=Each(source="hpl.parts", max_parallel=2),
    inputs={"LOSS": "hpl.loss"},
    outputs=["loss", Output("acc", task="w", index=1)],
)
nightly = Workflow("nightly", hpl >> [tuned, llama] >> rl, namespace="ml", retain="delete")
assert_type(nightly, Workflow)
assert_type(Workflow("one", hpl), Workflow)
assert_type(Workflow("list", [hpl >> ctr, rl]), Workflow)
assert_type(nightly.steps, tuple[Node, ...])
assert_type(nightly.but(suspend=True), Workflow)
assert_type(nightly.validate(), Report)
assert_type(Workflow.from_yaml(nightly.to_yaml()), Workflow)


assert_type(jax("gemma", ["python", "train.py"], processes=4), Job)
assert_type(ray("tune", ["python", "tune.py"], workers=(1, 10), head=Resources(cpu=2)), Job)
assert_type(
    sweep("grid", lambda lr, bs: mpi(f"t-{bs}", ["x", str(lr)]), lr=[0.1, 0.2], bs=(1, 2), max_parallel=2), Workflow
)


class Model(msgspec.Struct):
    loss: float


@step
def shard(path: str, n: int) -> list[str]:
    return [path] * n


@step(image="reg/etl:1", resources=Resources(cpu=4), retries=2)
def score(part: str, lr: float = 0.1) -> float:
    return len(part) * lr


@step
def train(parts: list[str]) -> Model:
    return Model(len(parts))


@step
def publish(model: Model) -> str:
    return str(model.loss)


@flow
def pipeline(path: str, n: int = 8) -> float:
    parts = shard(path, n=n)
    assert_type(parts, list[str])
    assert_type(score.map(parts, max_parallel=4, lr=0.2), list[float])
    model = train(parts)
    assert_type((when(score("a")) < 0.5).then(publish, model), str | None)
    assert_type(when("state").among("ready").then(score.map, parts), list[float] | None)
    return max(score("a"), 1.0)


@flow
def mixed() -> float:
    gang(hpl, shard("a", 1), retries=2)
    loss = gang(hpl, inputs={"N": 3}, output="loss", local=lambda: 0.5)
    assert_type(loss, float)
    return loss


@flow(name="other")
def other() -> Model:
    return train(["a"])


assert_type(score("a", lr=0.2), float)
assert_type(score.but(retries=3)("a"), float)
assert_type(score.after(shard("a", 1))("a"), float)
assert_type(pipeline("a"), float)
assert_type(pipeline.bind("a", n=2), BoundFlow[float])
assert_type(other.but(name="third").bind(), BoundFlow[Model])
stepped: Step[[list[str]], Model] = train
flowed: Flow[[], Model] = other


def blocking(here: LocalCluster) -> None:
    run = pipeline.bind("a").submit(here)
    assert_type(run, FlowRun[float])
    assert_type(run.result(timeout=60), float)
    assert_type(run.wait().result(), float)
    assert_type(run.wait().phase, str)
    assert_type(other.submit(), FlowRun[Model])
    assert_type(other.submit().result(), Model)
    assert_type(run.status().steps, tuple[StepView, ...])
    assert_type(run.logs("score", 0, follow=True), Iterator[LogLine])
    assert_type(run.why(), str)
    assert_type(FlowRun.attach("pipeline", returns=float), FlowRun[float])
    assert_type(FlowRun.attach("pipeline", returns=float).result(), float)
    assert_type(nightly.submit(here).wait(timeout=60), FlowStatus[Any])
    for change in run.watch():
        assert_type(change.status, FlowStatus[float])


async def waiting() -> None:
    run = await pipeline.asubmit("a")
    assert_type(run, AsyncFlowRun[float])
    assert_type(await run.result(), float)
    assert_type(await nightly.asubmit(), AsyncFlowRun[Any])
    async for change in run.watch():
        assert_type(change, FlowChange[float])
