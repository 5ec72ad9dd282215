"""Does a flow of jobs run over real HTTP as Volcano's does, in few requests, through crashes too?"""

import asyncio

import pytest

from flowbatch.api.kinds import JOB, JOB_FLOW, JOB_TEMPLATE, POD
from flowbatch.kube.errors import ApiError
from tests.embedded.controllers.flows import Flows, manifest, step
from tests.embedded.controllers.stage import task


@pytest.fixture
def flows(world):
    return Flows(world)


async def test_steps_run_in_order_and_the_flow_succeeds(flows):
    await flows.world.start()
    await flows.template()
    await flows.submit(step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))
    await flows.until_jobs("f-a")
    await flows.until_phase("Running")
    await flows.end("f-a")
    await flows.until_jobs("f-a", "f-b", "f-c")
    await flows.end("f-b")
    await flows.world.settled()
    assert len(await flows.jobs()) == 3
    await flows.end("f-c")
    await flows.end("f-d")
    await flows.until_phase("Succeed")
    status = (await flows.get()).status
    assert status.completed_jobs == ("f-a", "f-b", "f-c", "f-d")
    assert {each.name: each.state for each in status.steps} == dict.fromkeys("abcd", "Completed")
    assert all(each.start_time and each.end_time and each.attempts == 1 for each in status.steps)
    await flows.world.settled()
    names = (await flows.world.client.get(JOB_TEMPLATE, "t", "default")).status.job_depends_on_list
    assert names == ("f-a", "f-b", "f-c", "f-d")


async def test_volcanos_templates_of_the_steps_own_names_work(flows):
    await flows.world.start()
    await flows.submit({"name": "one"}, {"name": "two", "dependsOn": {"targets": ["one"]}})
    await flows.until_reason("TemplateMissing")

    async def reason():
        return (await flows.get()).status.state.reason == "TemplateMissing"

    await flows.world.until(reason, "the flow to say so")
    await flows.template("one")
    await flows.template("two")
    await flows.end("f-one")
    await flows.end("f-two")
    await flows.until_phase("Succeed")
    assert (await flows.get()).status.state.reason == ""


async def test_a_failing_job_fails_its_flow_and_what_waits_for_it_is_skipped(flows):
    await flows.world.start()
    await flows.template(maxRetry=1, policies=[{"event": "PodFailed", "action": "AbortJob"}])
    await flows.template("bad", policies=[{"event": "PodFailed", "action": "TerminateJob"}])
    await flows.submit(step("a", jobTemplate="bad"), step("b", "a"))
    await flows.end("f-a", exit_code=1)
    await flows.until_phase("Failed")
    assert (await flows.step("b")).state == "Skipped"
    assert await flows.jobs() == ["f-a"]
    await flows.until_reason("StepFailed")


async def test_a_chain_costs_one_create_a_job_and_few_statuses(flows):
    await flows.world.start()
    await flows.template()
    await flows.world.settled()
    await flows.submit(*(step(f"s{at}", *([f"s{at - 1}"] if at else [])) for at in range(5)))
    for at in range(5):
        await flows.end(f"f-s{at}")
    await flows.until_phase("Succeed")
    await flows.world.settled(quiet_s=0.6)
    asked = flows.world.requests()
    assert asked["create jobs"] == 5
    assert asked["patch jobflows/status"] <= 5 * 4, asked
    before = flows.world.writes()
    await flows.world.kill()
    await flows.world.start()
    await flows.world.settled(quiet_s=0.6)
    assert flows.world.writes() == before, "a settled flow is not written again"


@pytest.mark.parametrize(("policy", "left"), [("retain", ["f-a"]), ("delete", [])])
async def test_jobs_stay_or_go_when_the_flow_has_succeeded(flows, policy, left):
    await flows.world.start()
    await flows.template()
    await flows.submit(step("a"), jobRetainPolicy=policy)
    await flows.end("f-a")
    await flows.until_phase("Succeed")
    await flows.until_jobs(*left)
    await flows.world.settled()
    assert (await flows.get()).status.completed_jobs == ("f-a",)


async def test_deleting_a_flow_deletes_its_jobs_and_their_pods(flows):
    await flows.world.start()
    await flows.template()
    await flows.submit(step("a"), step("b"))
    await flows.until_job("f-a", "Running")
    await flows.world.client.delete(JOB_FLOW, "f", "default")
    await flows.until_jobs()

    async def no_pods():
        return not await flows.world.pods("f-a")

    await flows.world.until(no_pods, "the pods to go")


async def test_a_step_is_tried_again_under_its_own_name_and_then_goes_on(flows):
    await flows.world.start()
    await flows.template(maxRetry=1, policies=[])
    await flows.submit(step("a", retry={"limit": 2, "backoffSeconds": 0}), step("b", "a"))
    uids = set()
    for _ in range(2):
        await flows.end("f-a", exit_code=1)
        uids.add((await flows.world.client.get(JOB, "f-a", "default")).metadata.uid)

        async def anew(seen=frozenset(uids)):
            found = [job for job in await flows.world.client.list(JOB, "default") if job.metadata.name == "f-a"]
            return found and found[0].metadata.uid not in seen

        await flows.world.until(anew, "the next attempt")
    await flows.end("f-a")
    await flows.end("f-b")
    await flows.until_phase("Succeed")
    assert (await flows.step("a")).attempts == 3


async def test_values_go_from_step_to_step(flows):
    await flows.world.start()
    await flows.template()
    await flows.submit(
        step("give", outputs=[{"name": "rate"}, {"name": "list"}]),
        step("take", inputs=[{"name": "RATE", "from": "give.rate"}]),
        step("each", forEach={"from": "give.list", "maxParallel": 1}, outputs=[{"name": "square"}]),
        step("sum", inputs=[{"name": "SQUARES", "from": "each.square"}]),
        step("never", when=[{"from": "give.rate", "operator": "Gt", "values": ["1"]}]),
    )
    await flows.end("f-give", leaves={"rate": 0.5, "list": [2, 3]})
    await flows.until_jobs("f-give", "f-take", "f-each-0")
    await flows.end("f-each-0", leaves={"square": 4})
    await flows.end("f-each-1", leaves={"square": 9})
    await flows.end("f-take", "f-sum")
    await flows.until_phase("Succeed")
    assert (await flows.step("give")).outputs == {"rate": 0.5, "list": [2, 3]}
    each = await flows.step("each")
    assert (each.outputs, each.items.total, each.items.completed) == ({"square": [4, 9]}, 2, 2)
    assert (await flows.step("never")).state == "Skipped"

    async def variables(job):
        job = await flows.world.client.get(JOB, job, "default")
        return {one["name"]: one["value"] for one in job.spec.tasks[0].template["spec"]["containers"][0]["env"]}

    assert await variables("f-take") == {"RATE": "0.5"}
    assert await variables("f-sum") == {"SQUARES": "[4,9]"}
    assert await variables("f-each-1") == {"FLOWBATCH_ITEM": "3", "FLOWBATCH_ITEM_INDEX": "1"}


@pytest.mark.parametrize("left", ["no json", '["a", "list"]', '{"other": 1}', ""])
async def test_a_step_that_does_not_give_what_it_should_has_failed(flows, left):
    await flows.world.start()
    await flows.template()
    await flows.submit(step("give", outputs=[{"name": "n"}]))
    await flows.end("f-give", leaves=left)
    await flows.until_phase("Failed")
    failed = await flows.step("give")
    assert (failed.state, failed.reason) == ("Failed", "OutputMissing")
    assert failed.message


async def test_suspending_a_flow_suspends_its_jobs_and_resuming_goes_on_from_what_has_completed(flows):
    await flows.world.start()
    await flows.template()
    await flows.submit(step("a"), step("b", "a"), step("c", "b"))
    await flows.end("f-a")
    await flows.until_job("f-b", "Running")
    await flows.world.client.patch(JOB_FLOW, "f", {"spec": {"suspend": True}}, "default")
    await flows.until_job("f-b", "Aborted")
    await flows.world.settled()
    assert await flows.jobs() == ["f-a", "f-b"]
    await flows.world.client.patch(JOB_FLOW, "f", {"spec": {"suspend": False}}, "default")
    await flows.end("f-b")
    await flows.end("f-c")
    await flows.until_phase("Succeed")
    assert {each.attempts for each in (await flows.get()).status.steps} == {1}


async def test_a_job_that_is_refused_is_said_and_heals_when_the_template_does(flows):
    await flows.world.start()
    await flows.template(queue="nowhere")
    await flows.submit(step("a"), step("b", jobTemplate="good"))
    await flows.template("good")
    await flows.until_step("b", "Running")
    refused = await flows.until_step("a", "Waiting")
    assert (refused.reason, "no such queue" in refused.message) == ("FailedCreate", True)
    await flows.world.client.patch(JOB_TEMPLATE, "t", {"spec": {"queue": "default"}}, "default")
    await flows.end("f-a", "f-b")
    await flows.until_phase("Succeed")


async def test_a_job_of_that_name_that_is_somebody_elses_is_left_alone(flows):
    await flows.world.start()
    await flows.template()
    await flows.world.submit("f-a", task("main"))
    await flows.submit(step("a"))
    refused = await flows.until_step("a", "Waiting")
    assert "exists already" in refused.message
    assert (await flows.world.client.get(JOB, "f-a", "default")).metadata.controller is None


async def test_bad_graphs_are_refused_with_every_problem(flows):
    bad = manifest(JOB_FLOW, "bad", {"flows": [step("a", "b"), step("b", "a"), step("b"), step("c", "ghost")]})
    with pytest.raises(ApiError) as refused:
        await flows.world.client.create(JOB_FLOW, bad)
    told = str(refused.value)
    assert "spec.flows[2].name" in told
    assert "spec.flows[3].dependsOn.targets[0]" in told


async def test_jobs_that_are_deleted_as_soon_as_they_end_are_not_run_again(flows):
    await flows.world.start()
    await flows.template(ttlSecondsAfterFinished=0)
    await flows.submit(step("a"), step("b", "a"), step("c", "b"))
    for name in ("f-a", "f-b", "f-c"):
        await flows.end(name)
    await flows.until_phase("Succeed")
    await flows.until_jobs()
    await flows.world.settled()
    assert {each.attempts for each in (await flows.get()).status.steps} == {1}
    assert flows.world.requests()["create jobs"] == 3


class Listener:
    """A real server on this machine, at whose address the stage's pods are said to be."""

    def __init__(self, status=200):
        self.status = status
        self.heard = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _answer(self, reader, writer):
        line = await reader.readline()
        if line:
            self.heard.append(line.decode().strip())
            writer.write(f"HTTP/1.0 {self.status} X\r\n\r\n".encode())
        writer.close()


async def at_loopback(flows, job):
    """Give the pods of a job the address of this machine."""
    await flows.until_job(job, "Running")
    for pod in await flows.world.pods(job):
        status = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
        await flows.world.client.patch(POD, pod.metadata.name, {"status": status}, "default", subresource="status")


async def test_a_step_begins_when_its_target_answers_while_it_runs(flows):
    await flows.world.start(probe_period_s=0.05)
    await flows.template()
    async with Listener(status=503) as server:
        probe = {"httpGetList": [{"taskName": "main", "path": "/ready", "port": server.port}]}
        await flows.submit(step("serve"), step("use", dependsOn={"targets": ["serve"], "probe": probe}))
        await at_loopback(flows, "f-serve")

        async def said():
            return "HTTP 503" in (await flows.step("use")).message

        await flows.world.until(said, "the probe to be refused")
        assert (await flows.step("use")).state == "Probing"
        server.status = 204
        await flows.end("f-use")
        assert server.heard[0] == "GET /ready HTTP/1.0"
        count = len(server.heard)
    assert (await flows.step("serve")).state == "Running"
    await flows.end("f-serve")
    await flows.until_phase("Succeed")
    assert len(server.heard) == count, "nobody is asked any more"


async def test_a_port_that_nobody_listens_on_keeps_a_step_probing_and_costs_no_writes(flows):
    await flows.world.start(probe_period_s=0.05)
    await flows.template()
    async with Listener() as server:
        port = server.port
    probe = {"tcpSocketList": [{"port": port}]}
    await flows.submit(step("serve"), step("use", dependsOn={"targets": ["serve"], "probe": probe}))
    await at_loopback(flows, "f-serve")

    async def refused():
        return "refused" in (await flows.step("use")).message

    await flows.world.until(refused, "the connection to be refused")
    await flows.world.settled(quiet_s=0.5)


async def test_a_step_begins_when_a_task_of_its_target_runs(flows):
    await flows.world.start()
    await flows.template()
    probe = {"taskStatusList": [{"taskName": "main", "phase": "Running"}]}
    await flows.submit(step("serve"), step("use", dependsOn={"targets": ["serve"], "probe": probe}))
    await flows.until_job("f-use", "Running")
    assert (await flows.step("serve")).state == "Running"
