"""Do the verbs of a handle tell the truth about a job, over real HTTP, whatever becomes of it?"""

import asyncio
import signal
import sys
import threading
from contextlib import aclosing

import anyio
import pytest

from flowbatch.api.kinds import JOB, POD
from flowbatch.errors import FlowbatchError, SpecErrors
from flowbatch_dsl import Job, JobExists, JobFailed, JobGone, LogLine, Run, Task
from flowbatch_dsl.async_run import AsyncRun

JOB_SPEC = Job("j", tasks=[Task("a", ["true"], replicas=2), Task("b", ["true"])])


async def submitted(stage, job: Job = JOB_SPEC) -> AsyncRun:
    return await job.asubmit(stage.cluster)


async def test_a_submitted_job_is_the_manifest_and_the_handle_knows_it(stage) -> None:
    run = await submitted(stage)
    stored = await stage.client.get_json(JOB, "j", "default")
    assert (run.name, run.namespace, run.uid) == ("j", "default", stored["metadata"]["uid"])
    assert stored["spec"]["tasks"] == JOB_SPEC.manifests()[0]["spec"]["tasks"]
    assert (await run.status()).phase == "Pending"


async def test_a_job_with_problems_is_refused_with_all_of_them_and_nothing_is_created(stage) -> None:
    wrong = Job("J!", tasks=[Task("a", ["x"], replicas=-1), Task("a", ["x"])])
    with pytest.raises(SpecErrors) as caught:
        await wrong.asubmit(stage.cluster)
    assert len(caught.value.problems) >= 3
    assert await stage.client.list(JOB) == []


async def test_a_name_that_is_taken_says_how_to_get_at_the_job(stage) -> None:
    await submitted(stage)
    with pytest.raises(JobExists, match=r'Run.attach\("j", "default"\)'):
        await submitted(stage)


async def test_attach_finds_a_job_and_says_when_there_is_none(stage) -> None:
    run = await submitted(stage)
    assert (await AsyncRun.attach("j", cluster=stage.cluster)).uid == run.uid
    with pytest.raises(JobGone, match="no job k"):
        await AsyncRun.attach("k", cluster=stage.cluster)


async def test_wait_returns_when_the_job_completes(stage) -> None:
    run = await submitted(stage)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.phase, run, "Running")
        tasks.start_soon(stage.phase, run, "Completed")
        assert (await run.wait(timeout=10)).phase == "Completed"


async def test_a_failed_job_raises_its_reason_and_last_lines(stage) -> None:
    run = await submitted(stage)
    name = await stage.pod(run, "a", 1)
    stage.say(name, *(f"line {i}" for i in range(30)), "Traceback: boom")
    await stage.pod_phase(run, name, "Failed")
    await stage.phase(run, "Failed", message="task a failed")
    with pytest.raises(JobFailed) as caught:
        await run.wait(timeout=10)
    assert (caught.value.phase, caught.value.reason) == ("Failed", "task a failed")
    assert len(caught.value.lines) == 10
    assert caught.value.lines[-1] == "j-a-1: Traceback: boom"


async def test_wait_times_out_and_the_job_goes_on(stage) -> None:
    run = await submitted(stage)
    with pytest.raises(TimeoutError):
        await run.wait(timeout=0.2)
    assert (await run.status()).phase == "Pending"


async def test_a_deleted_job_ends_every_wait(stage) -> None:
    run = await submitted(stage)
    waiting = asyncio.create_task(run.wait(timeout=10))
    await anyio.sleep(0.2)
    await run.delete()
    await run.delete()
    with pytest.raises(JobGone):
        await waiting
    with pytest.raises(JobGone):
        await run.status()


async def test_a_namesake_made_since_is_not_taken_for_the_job(stage) -> None:
    run = await submitted(stage)
    await run.delete()
    await submitted(stage)
    for verb in (run.status, run.suspend, run.why, run.wait):
        with pytest.raises(JobGone):
            await verb()
    await run.delete()
    assert len(await stage.client.list(JOB)) == 1


async def test_watch_shows_every_phase_and_survives_a_lost_connection(stage) -> None:
    run = await submitted(stage)
    seen: list[str] = []
    async with aclosing(run.watch()) as changes:
        async for change in changes:
            seen.append(change.phase)
            match change.phase:
                case "Pending":
                    await stage.phase(run, "Running")
                case "Running":
                    stage.server.end_watches()
                    await stage.phase(run, "Completed")
    assert seen == ["Pending", "Running", "Completed"]


async def test_suspend_and_resume_write_a_level(stage) -> None:
    run = await submitted(stage)
    for verb, level in ((run.suspend, True), (run.suspend, True), (run.resume, False)):
        await verb()
        job = await stage.client.get(JOB, "j", "default")
        assert job.spec.suspend is level


async def test_why_gives_the_schedulers_words_with_its_numbers(stage) -> None:
    run = await submitted(stage)
    assert await run.why()
    await stage.group(run, "2/5 tasks fit; short 3 cpu in queue default")
    assert (await run.why()).startswith("2/5 tasks fit; short 3 cpu in queue default")


async def test_pods_are_listed_task_by_task(stage) -> None:
    run = await submitted(stage)
    for task, index in (("b", 0), ("a", 1), ("a", 0)):
        await stage.pod(run, task, index)
    assert [(pod.name, pod.node) for pod in await run.pods()] == [
        ("j-a-0", "node-0"),
        ("j-a-1", "node-0"),
        ("j-b-0", "node-0"),
    ]


async def texts(lines) -> list[str]:
    return [line.text async for line in lines]


async def test_followed_logs_wait_for_the_pod_and_end_with_the_job(stage) -> None:
    run = await submitted(stage)
    reading = asyncio.create_task(texts(run.logs("a", follow=True)))
    await anyio.sleep(0.2)
    name = await stage.pod(run, "a", phase="Pending")
    other = await stage.pod(run, "b")
    await stage.pod_phase(run, name, "Running")
    stage.say(name, "one", "two")
    stage.say(other, "not asked for")
    await stage.pod_phase(run, name, "Succeeded")
    await stage.phase(run, "Completed")
    async with asyncio.timeout(10):
        assert await reading == ["one", "two"]


async def test_a_lost_connection_neither_loses_nor_repeats_a_line(stage) -> None:
    run = await submitted(stage)
    name = await stage.pod(run, "a")
    stage.say(name, "one", "two")
    got: list[str] = []
    async with aclosing(run.logs("a", 0, follow=True)) as lines:
        async for line in lines:
            got.append(line.text)
            if line.text == "two":
                stage.kubelet.cut()
                stage.say(name, "three")
                await stage.pod_phase(run, name, "Succeeded")
                await stage.phase(run, "Completed")
    assert got == ["one", "two", "three"]
    assert stage.kubelet.reads >= 2


async def test_a_restarted_pod_is_followed_into_its_next_life(stage) -> None:
    run = await submitted(stage)
    name = await stage.pod(run, "a")
    stage.say(name, "first life")
    got: list[str] = []
    async with aclosing(run.logs("a", 0, follow=True)) as lines:
        async for line in lines:
            got.append(line.text)
            if line.text == "first life":
                stage.kubelet.logs[name].end()
                await stage.client.delete(POD, name, "default", grace_seconds=0)
                await stage.pod(run, "a")
                stage.say(name, "second life")
            else:
                await stage.pod_phase(run, name, "Succeeded")
                await stage.phase(run, "Completed")
    assert got == ["first life", "second life"]


async def test_logs_without_follow_wait_for_a_start_and_give_what_there_is(stage) -> None:
    run = await submitted(stage)
    reading = asyncio.create_task(texts(run.logs()))
    await anyio.sleep(0.2)
    assert not reading.done()
    name = await stage.pod(run, "a", phase="Pending")
    stage.begin(name)
    stage.say(name, "so far")
    await stage.pod_phase(run, name, "Running")
    await stage.phase(run, "Running")
    async with asyncio.timeout(10):
        assert await reading == ["so far"]


async def test_the_log_of_a_finished_job_can_still_be_followed(stage) -> None:
    run = await submitted(stage)
    name = await stage.pod(run, "a", 1)
    stage.say(name, "bye")
    await stage.pod_phase(run, name, "Succeeded")
    await stage.phase(run, "Completed")
    async with asyncio.timeout(10):
        lines = [line async for line in run.logs(follow=True)]
    assert lines == [LogLine("bye", "j-a-1", "a", 1)]


@pytest.mark.parametrize(("task", "index"), [("c", None), ("a", 2), ("a", -1)])
async def test_logs_of_what_the_job_does_not_have_are_an_error(stage, task: str, index: int | None) -> None:
    run = await submitted(stage)
    with pytest.raises(ValueError, match=r'"a"|one of|no pod'):
        await texts(run.logs(task, index))


async def in_thread(work):
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


async def test_blocking_verbs_do_the_same_from_any_thread_even_beside_a_running_loop(stage) -> None:
    run = await in_thread(lambda: JOB_SPEC.submit(stage.cluster))
    assert isinstance(run, Run)
    name = await stage.pod(run, "a")
    stage.say(name, *(f"line {i}" for i in range(2500)))
    await stage.phase(run, "Running")
    assert (await in_thread(run.status)).phase == "Running"
    assert "/j" in repr(run)
    first = await in_thread(lambda: next(iter(run.logs("a", follow=True))))
    assert first.text == "line 0"
    await stage.pod_phase(run, name, "Succeeded")
    await stage.phase(run, "Completed")
    assert len(await in_thread(lambda: list(run.logs("a", follow=True)))) == 2500
    assert [change.phase for change in await in_thread(lambda: list(run.watch()))] == ["Completed"]
    assert (await in_thread(lambda: run.wait(10))).phase == "Completed"
    assert "j-a-0" in await in_thread(run._repr_html_)


async def test_ctrl_c_in_a_wait_detaches_and_says_how_to_come_back(stage) -> None:
    run = await submitted(stage)
    attach = f"run = Run.attach('j', cluster={stage.cluster.kubeconfig!r})"
    code = f"from flowbatch_dsl import *; {attach}; print('attached', flush=True); run.wait()"
    async with await anyio.open_process([sys.executable, "-c", code]) as child:
        assert (await child.stdout.receive()).startswith(b"attached")
        await anyio.sleep(0.3)
        child.send_signal(signal.SIGINT)
        said = b"".join([piece async for piece in child.stderr]).decode()
    assert 'Run.attach("j", "default").wait()' in said
    assert child.returncode != 0
    assert (await run.status()).phase == "Pending"


async def test_without_a_cluster_the_kubeconfig_is_used_and_named(stage, monkeypatch, capsys) -> None:
    monkeypatch.setenv("KUBECONFIG", stage.cluster.kubeconfig)
    run = await JOB_SPEC.asubmit()
    assert "flowbatch: using" in capsys.readouterr().err
    assert (await run.status()).phase == "Pending"


async def test_no_cluster_at_all_is_one_clear_error(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(FlowbatchError, match="no cluster"):
        await JOB_SPEC.asubmit()


def test_two_threads_share_one_portal() -> None:
    from flowbatch_dsl import portal

    names: list[str] = []

    async def name() -> str:
        return threading.current_thread().name

    threads = [threading.Thread(target=lambda: names.append(portal.call(name))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names) == {"flowbatch-portal"}


async def test_a_script_that_ends_while_a_thread_still_follows_ends_in_silence(stage) -> None:
    run = await submitted(stage)
    stage.say(await stage.pod(run, "a"), "one")
    code = f"""
import threading
from flowbatch_dsl import Run

run, seen = Run.attach('j', cluster={stage.cluster.kubeconfig!r}), threading.Event()


def read():
    for line in run.logs('a', follow=True):
        seen.set()


threading.Thread(target=read, daemon=True).start()
seen.wait()
"""
    async with asyncio.timeout(20):
        ended = await anyio.run_process([sys.executable, "-c", code], check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
