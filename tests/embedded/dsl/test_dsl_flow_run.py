"""Do the handles on a workflow's run say what is so, wait, fail with a story, and order what they are told to?

The controller is played by the test: statuses are written by hand, against a real API server.
"""

import asyncio
from typing import Any

import pytest

from flowbatch.api.kinds import JOB, JOB_FLOW, JOB_TEMPLATE
from flowbatch.errors import FlowbatchError, SpecErrors
from flowbatch.following.flows import flow_finished
from flowbatch_dsl import (
    AsyncFlowRun,
    AsyncRun,
    FlowFailed,
    FlowRun,
    Job,
    JobExists,
    JobGone,
    Node,
    Task,
    Workflow,
    flow,
    step,
)
from tests.embedded.dsl.conftest import Stage


@step
def double(x: float) -> float:
    return 2 * x


@flow
def twice(x: float = 1.0) -> dict[str, float]:
    return {"result": double(double(x)), "x": x}


def plain(name: str = "plain") -> Workflow:
    prep, train = Job("prep", tasks=[Task("main", ["x"])]), Job("train", tasks=[Task("main", ["y"])])
    return Workflow(name, Node(prep, outputs=["parts"]) >> train)


async def settle(stage: Stage, run: AsyncFlowRun[Any], phase: str, *steps: dict[str, Any], **state: Any) -> None:
    status = {"state": {"phase": phase, **state}, "steps": list(steps)}
    await stage.client.patch(JOB_FLOW, run.name, {"status": status}, run.namespace, subresource="status")


async def child(stage: Stage, run: AsyncFlowRun[Any], name: str) -> AsyncRun:
    """A job of the flow, as its controller makes it."""
    owner = {"apiVersion": JOB_FLOW.api_version, "kind": "JobFlow", "name": run.name, "uid": run.uid}
    manifest = Job(f"{run.name}-{name}", tasks=[Task("main", ["x"])]).manifests()[0]
    manifest["metadata"] |= {
        "labels": {"volcano.sh/createdByJobFlow": f"{run.namespace}.{run.name}"},
        "ownerReferences": [{**owner, "controller": True}],
    }
    made = await stage.client.create(JOB, manifest, run.namespace)
    return AsyncRun(stage.cluster, run.namespace, made.metadata.name, made.metadata.uid)


async def test_a_submitted_workflow_owns_its_templates_and_waits(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    templates = await stage.client.list(JOB_TEMPLATE, run.namespace)
    assert {each.metadata.name for each in templates} == {"plain-prep", "plain-train"}
    assert {each.metadata.owner_references[0].uid for each in templates} == {run.uid}
    status = await run.status()
    assert str(status) == "Pending\n  prep Waiting\n  train Waiting"
    assert status._repr_html_().count("<rect") == 2
    assert status.step("train").after == ("prep",)
    assert await run.why() == "pending: 0 of 2 steps done; waiting: prep, train"


async def test_a_second_one_of_the_name_is_refused_and_what_a_former_one_left_is_replaced(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    with pytest.raises(JobExists, match=r'FlowRun.attach\("plain"'):
        await plain().asubmit(stage.cluster)
    await run.cancel()
    await run.cancel()
    again = await plain().asubmit(stage.cluster)
    templates = await stage.client.list(JOB_TEMPLATE, run.namespace)
    assert {each.metadata.owner_references[0].uid for each in templates} == {again.uid}
    with pytest.raises(JobGone):
        await run.status()


async def test_somebody_elses_template_is_left_alone_and_nothing_stays(stage: Stage) -> None:
    theirs = plain().manifests()[1]
    await stage.client.create(JOB_TEMPLATE, theirs, "default")
    with pytest.raises(FlowbatchError, match="is not of a flow plain"):
        await plain().asubmit(stage.cluster)
    assert await stage.client.list(JOB_FLOW, "default") == []


async def test_a_bad_workflow_creates_nothing(stage: Stage) -> None:
    bad = Workflow("bad", Job("a", tasks=[Task("main", ["x"], replicas=-1)]))
    with pytest.raises(SpecErrors):
        await bad.asubmit(stage.cluster)
    assert await stage.client.list(JOB_FLOW, "default") == []


async def test_the_result_has_the_type_that_the_flow_says(stage: Stage) -> None:
    run = await twice.bind(3.0).asubmit(stage.cluster)
    with pytest.raises(FlowbatchError, match="no result while it is Pending"):
        (await run.status()).result()
    await settle(stage, run, "Running", {"name": "double", "state": "Completed", "outputs": {"result": 6}})
    waiting = asyncio.create_task(run.result(timeout=60))
    steps = [
        {"name": name, "state": "Completed", "outputs": {"result": n}} for name, n in (("double", 6), ("double-x2", 12))
    ]
    await settle(stage, run, "Succeed", *steps)
    assert await waiting == twice(3.0) == {"result": 12.0, "x": 3.0}
    later = await AsyncFlowRun.attach("twice", cluster=stage.cluster, returns=dict[str, float])
    assert await later.result() == {"result": 12.0, "x": 3.0}
    assert [change.phase async for change in run.watch()] == ["Succeed"]


async def test_a_workflow_of_jobs_gives_its_outputs(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    await settle(stage, run, "Succeed", {"name": "prep", "state": "Completed", "outputs": {"parts": [1, 2]}})
    assert await run.result() == {"prep.parts": [1, 2]}


async def test_a_failure_names_the_step_and_its_last_lines_and_the_way_on(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    job = await child(stage, run, "prep")
    pod = await stage.pod(job, "main")
    stage.say(pod, "loading", "no such bucket")
    await stage.pod_phase(job, pod, "Failed")
    await stage.phase(job, "Failed")
    await settle(
        stage, run, "Failed", {"name": "prep", "state": "Failed", "reason": "JobFailed", "message": "it broke"}
    )
    with pytest.raises(FlowFailed) as caught:
        await run.wait(timeout=60)
    assert (caught.value.step, caught.value.reason) == ("prep", "it broke")
    assert any("no such bucket" in line for line in caught.value.lines)
    assert "in step prep" in str(caught.value)
    assert "resume()" in str(caught.value)


async def test_why_tells_of_the_step_that_holds_it_up(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    job = await child(stage, run, "prep")
    await stage.group(job, "1/1 tasks in gang unschedulable: short 4 cpu")
    await settle(stage, run, "Running", {"name": "prep", "state": "Running", "attempts": 2})
    said = await run.why()
    assert said.startswith("running: 0 of 2 steps done; running: prep; waiting: train")
    assert "prep Running, attempt 2" in said
    assert "short 4 cpu" in said


async def test_logs_are_of_all_steps_or_of_one_and_follow_jobs_yet_to_come(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    with pytest.raises(ValueError, match='no step "prepp": did you mean "prep"'):
        [line async for line in run.logs("prepp")]

    async def follow() -> list[str]:
        return [line.text async for line in run.logs(follow=True)]

    following = asyncio.create_task(follow())
    for name in ("prep", "train"):
        job = await child(stage, run, name)
        pod = await stage.pod(job, "main")
        stage.say(pod, f"{name} speaks")
        await stage.pod_phase(job, pod, "Succeeded")
        await stage.phase(job, "Completed")
    await settle(stage, run, "Succeed")
    assert sorted(await asyncio.wait_for(following, 60)) == ["prep speaks", "train speaks"]
    assert [line.text async for line in run.logs("train")] == ["train speaks"]
    assert [line.text async for line in run.logs()] == ["prep speaks", "train speaks"]


async def test_suspend_and_resume_are_levels(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    await run.suspend()
    await run.suspend()
    status = await run.status()
    assert status.suspended
    assert (await run.why()).startswith("suspended: 0 of 2")
    await run.resume()
    assert not (await run.status()).suspended


async def test_a_failed_run_that_is_resumed_is_waited_for_at_once(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    await settle(stage, run, "Failed", {"name": "prep", "state": "Failed"})
    await run.resume()
    assert (await run.status()).phase == "Pending"
    waiting = asyncio.create_task(run.wait(timeout=60))
    found = await stage.client.get(JOB_FLOW, run.name, run.namespace)
    assert not flow_finished(found), "who follows it would stop"
    heard = {"anew": found.metadata.annotations["flowbatch.dev/anew"], "state": {"phase": "Succeed"}}
    await stage.client.patch(JOB_FLOW, run.name, {"status": heard}, run.namespace, subresource="status")
    assert (await waiting).phase == "Succeed"


async def test_a_wait_ends_when_the_run_is_deleted_or_time_is_up(stage: Stage) -> None:
    run = await plain().asubmit(stage.cluster)
    with pytest.raises(TimeoutError):
        await run.wait(timeout=0.2)
    waiting = asyncio.create_task(run.wait(timeout=60))
    await asyncio.sleep(0)
    await run.cancel()
    with pytest.raises(JobGone):
        await waiting
    with pytest.raises(JobGone):
        await AsyncFlowRun.attach("plain", cluster=stage.cluster)


def test_an_interrupted_wait_detaches_and_says_how_to_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flowbatch_dsl import Cluster, portal

    def interrupt(_work: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(portal, "call", interrupt)
    run: FlowRun[Any] = FlowRun(AsyncFlowRun(Cluster(), "ns", "nightly", "u"))
    with pytest.raises(KeyboardInterrupt):
        run.wait()
    said = capsys.readouterr().err
    assert 'FlowRun.attach("nightly", "ns").wait()' in said
    assert "goes on" in said
