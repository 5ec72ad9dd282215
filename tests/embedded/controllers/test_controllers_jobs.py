"""Does a job live the life it asks for, over real HTTP, in few requests?"""

import asyncio

import pytest

from flowbatch.api.kinds import COMMAND, CONFIG_MAP, EVENT, JOB, POD, POD_GROUP, SECRET, SERVICE
from flowbatch.kube.errors import NotFound
from tests.embedded.controllers.stage import task

RESTART = [{"event": "PodFailed", "action": "RestartJob"}]


async def gone(world, kind, name):
    async def absent():
        try:
            await world.client.get(kind, name, "default")
        except NotFound:
            return True
        return False

    await world.until(absent, f"{kind.kind} {name} to go")


async def test_a_job_runs_to_completion(world):
    await world.start()
    await world.submit("j", task("ps", 1), task("worker", 2))
    await world.until_phase("j", "Running")
    assert await world.pod_phases("j") == {"j-ps-0": "Running", "j-worker-0": "Running", "j-worker-1": "Running"}
    await world.end("j")
    await world.until_phase("j", "Completed")
    assert (await world.client.get(JOB, "j", "default")).status.succeeded == 3


async def test_no_pod_is_made_before_the_gang_is_admitted(world):
    world.stage.admitting = False
    await world.start()
    await world.submit("j", task(replicas=2))

    async def grouped():
        return await world.client.list(POD_GROUP, "default")

    (group,) = await world.until(grouped, "a PodGroup")
    await world.until_phase("j", "Pending")
    await world.settled()
    assert await world.pods("j") == []
    assert group.spec.min_member == 2
    await world.stage.group_phase(group, "Inqueue")
    await world.until_phase("j", "Running")


#: What these plugins make: a Service, a ConfigMap, a NetworkPolicy and a Secret.
PLUGIN_OBJECTS = 4


@pytest.mark.parametrize("plugins", [{}, {"svc": [], "ssh": [], "env": []}], ids=["plain", "plugins"])
@pytest.mark.parametrize("pods", [1, 20])
async def test_a_job_of_n_pods_costs_at_most_n_plus_six_requests_and_one_for_each_plugin_object(world, pods, plugins):
    await world.start()
    await world.settled()
    before = sum(world.requests().values())
    queues = world.requests().get("patch queues/status", 0)
    await world.submit("j", task(replicas=pods), plugins=plugins)
    await world.until_phase("j", "Running")
    await asyncio.sleep(0.5)
    await world.end("j")
    await world.until_phase("j", "Completed")
    await world.settled()
    spent = sum(world.requests().values()) - before
    spent -= world.requests().get("patch queues/status", 0) - queues
    assert spent <= pods + 6 + PLUGIN_OBJECTS * bool(plugins), world.requests()


async def test_a_settled_job_is_not_written_again_even_by_a_new_controller(world):
    await world.start()
    await world.submit("done", task(replicas=2), plugins={"svc": [], "ssh": [], "env": []})
    await world.submit("running", task(replicas=2), plugins={"svc": [], "ssh": [], "env": []})
    await world.until_phase("done", "Running")
    await world.until_phase("running", "Running")
    await world.end("done")
    await world.until_phase("done", "Completed")
    await world.settled()
    before = world.writes()
    await world.kill()
    await world.start()
    await world.settled(quiet_s=1.0)
    assert world.writes() == before, world.requests()


async def test_a_failing_job_is_restarted_until_its_retries_are_spent(world):
    await world.start()
    await world.submit("j", task(replicas=2), policies=RESTART, maxRetry=2)
    seen = set()

    async def failed():
        for pod in await world.pods("j"):
            alive = pod.metadata.deletion_timestamp is None
            if pod.status.phase == "Running" and alive and pod.metadata.labels["volcano.sh/task-index"] == "0":
                seen.add(pod.metadata.uid)
                await world.stage.pod_phase(pod, "Failed", exit_code=1)
        return await world.phase("j") == "Failed"

    await world.until(failed, "the job to fail for good")
    job = await world.client.get(JOB, "j", "default")
    assert job.status.retry_count == 2
    assert len(seen) <= 3, "more attempts than one and maxRetry"


async def test_suspending_frees_the_pods_keeps_what_succeeded_and_costs_no_retry(world):
    await world.start()
    await world.submit("j", task("quick", 1), task("slow", 2))
    await world.until_phase("j", "Running")
    await world.end("j", task="quick")
    await world.until_pods("j", {"j-quick-0": "Succeeded", "j-slow-0": "Running", "j-slow-1": "Running"})
    kept = {pod.metadata.name: pod.metadata.uid for pod in await world.pods("j")}
    await world.command("AbortJob", "j")
    await world.until_phase("j", "Aborted")
    await world.until_pods("j", {"j-quick-0": "Succeeded"})
    await world.settled()
    await world.command("ResumeJob", "j")
    await world.until_pods("j", {"j-quick-0": "Succeeded", "j-slow-0": "Running", "j-slow-1": "Running"})
    await world.until_phase("j", "Running")
    now = {pod.metadata.name: pod.metadata.uid for pod in await world.pods("j")}
    assert now["j-quick-0"] == kept["j-quick-0"]
    assert now["j-slow-0"] != kept["j-slow-0"]
    await world.end("j")
    await world.until_phase("j", "Completed")
    assert (await world.client.get(JOB, "j", "default")).status.retry_count == 0
    assert await world.client.list(COMMAND) == []


async def test_a_job_suspended_while_it_restarts_stays_suspended_and_the_resume_is_free(world):
    await world.start()
    await world.submit("j", task(replicas=2), policies=RESTART)
    await world.until_phase("j", "Running")
    world.stage.ending = False
    pod = (await world.pods("j"))[0]
    await world.stage.pod_phase(pod, "Failed", exit_code=1)
    await world.until_phase("j", "Restarting")
    await world.command("AbortJob", "j")
    await world.until_phase("j", "Aborting")
    await world.stage.end_all()
    await world.until_phase("j", "Aborted")
    await world.settled()
    assert await world.pods("j") == []
    assert await world.phase("j") == "Aborted"
    await world.command("ResumeJob", "j")
    await world.until_pods("j", {"j-worker-0": "Running", "j-worker-1": "Running"})
    assert (await world.client.get(JOB, "j", "default")).status.retry_count == 1, "only the failure costs a retry"


async def test_the_annotation_suspends_as_a_level_and_survives_a_new_controller(world):
    await world.start()
    await world.submit("j", task(replicas=2))
    await world.until_phase("j", "Running")
    await world.kill()
    note = {"metadata": {"annotations": {"flowbatch.dev/suspended": "true"}}}
    await world.client.patch(JOB, "j", note, "default")
    await world.start()
    await world.until_phase("j", "Aborted")
    await world.until_pods("j", {})
    await world.client.patch(JOB, "j", {"metadata": {"annotations": {"flowbatch.dev/suspended": None}}}, "default")
    await world.until_phase("j", "Running")


async def test_a_job_suspended_from_the_start_makes_no_pod_until_resumed(world):
    await world.start()
    await world.submit("j", task(replicas=2), suspend=True)
    await world.until_phase("j", "Aborted")
    await world.settled()
    assert await world.pods("j") == []
    await world.change("j", suspend=False)
    await world.until_phase("j", "Running")


async def test_a_job_grows_and_shrinks(world):
    await world.start()
    await world.submit("j", task(replicas=2, minAvailable=1), minAvailable=1)
    await world.until_pods("j", {"j-worker-0": "Running", "j-worker-1": "Running"})
    await world.change("j", tasks=[task(replicas=3, minAvailable=1)])
    await world.until_pods("j", {f"j-worker-{index}": "Running" for index in range(3)})
    await world.change("j", tasks=[task(replicas=1, minAvailable=1)])
    await world.until_pods("j", {"j-worker-0": "Running"})
    await world.until_phase("j", "Running")


async def test_enough_successes_complete_the_job(world):
    await world.start()
    await world.submit("j", task("a", 1), task("b", 2), minSuccess=1, minAvailable=1)
    await world.until_phase("j", "Running")
    await world.end("j", task="a")
    await world.until_phase("j", "Completed")


async def test_a_finished_job_is_deleted_with_all_it_owns_when_its_time_is_over(world):
    await world.start()
    await world.submit("j", task(), plugins={"svc": []}, ttlSecondsAfterFinished=1)
    await world.until_phase("j", "Running")
    await world.end("j")
    await gone(world, JOB, "j")
    await gone(world, POD, "j-worker-0")
    await gone(world, SERVICE, "j")


async def test_a_task_waits_for_what_it_depends_on_without_a_deadlock(world):
    await world.start()
    world.stage.binding = False
    after = {"name": ["worker"], "iteration": "all"}
    await world.submit("j", task("worker", 2), task("launcher", 1, dependsOn=after))

    async def two():
        return len(await world.pods("j")) == 2

    await world.until(two, "the workers' pods")
    await world.settled()
    workers = await world.pods("j")
    assert {pod.metadata.name for pod in workers} == {"j-worker-0", "j-worker-1"}
    world.stage.binding = True
    for pod in workers:
        await world.stage.start(pod)
    await world.until_pods("j", {"j-worker-0": "Running", "j-worker-1": "Running", "j-launcher-0": "Running"})
    await world.until_phase("j", "Running")


async def test_plugin_objects_are_made_once_and_go_with_the_job(world):
    await world.start()
    await world.submit("j", task(replicas=2), plugins={"svc": [], "ssh": [], "env": []})
    await world.until_phase("j", "Running")
    secret = await world.client.get(SECRET, "j-ssh", "default")
    assert {"id_rsa", "id_rsa.pub", "authorized_keys", "config"} <= set(secret.data)
    hosts = await world.client.get(CONFIG_MAP, "j-svc", "default")
    assert "worker.host" in hosts.data
    await world.client.get(SERVICE, "j", "default")
    await world.settled()
    await world.client.delete(JOB, "j", "default")
    for kind, name in ((SECRET, "j-ssh"), (CONFIG_MAP, "j-svc"), (SERVICE, "j"), (POD, "j-worker-0")):
        await gone(world, kind, name)
    assert await world.client.list(POD_GROUP) == []


async def test_keys_of_an_existing_secret_are_kept_by_a_new_controller(world):
    await world.start()
    await world.submit("j", task(replicas=2), plugins={"ssh": []})
    await world.until_phase("j", "Running")
    before = await world.client.get(SECRET, "j-ssh", "default")
    await world.kill()
    await world.start()
    await world.change("j", tasks=[task(replicas=3)])

    async def three():
        return len(await world.pods("j")) == 3

    await world.until(three, "the third pod")
    await world.settled()
    after = await world.client.get(SECRET, "j-ssh", "default")
    assert (after.metadata.uid, after.data["id_rsa"]) == (before.metadata.uid, before.data["id_rsa"])


async def test_a_name_taken_by_a_stranger_is_told_and_neither_adopted_nor_fought_over(world):
    await world.start()
    container = {"name": "c", "image": "x"}
    mine = {"metadata": {"name": "j-worker-0", "namespace": "default"}, "spec": {"containers": [container]}}
    stranger = await world.client.create(POD, {"apiVersion": "v1", "kind": "Pod", **mine})
    await world.submit("j", task(replicas=2, minAvailable=1), minAvailable=1)

    async def told():
        return "j-worker-0 exists already" in (await world.client.get(JOB, "j", "default")).status.state.message

    await world.until(told, "the status to say so")
    await asyncio.sleep(1)
    assert world.requests()["create pods"] < 20, "a hot loop"
    assert (await world.client.get(POD, "j-worker-0", "default")).metadata.uid == stranger.metadata.uid
    reasons = {event.reason for event in await world.client.list(EVENT)}
    assert "FailedCreate" in reasons
    await world.client.delete(POD, "j-worker-0", "default", grace_seconds=0)
    await world.until_pods("j", {"j-worker-0": "Running", "j-worker-1": "Running"})
    await world.until_phase("j", "Running")

    async def forgiven():
        return (await world.client.get(JOB, "j", "default")).status.state.message == ""

    await world.until(forgiven, "the status to take it back")


async def test_a_job_that_cannot_be_reconciled_does_not_stop_the_others(world, monkeypatch):
    from flowbatch.controllers import job as module

    reconcile = module.reconcile

    def poisoned(job, *more, **named):
        if job.metadata.name == "poison":
            raise KeyError("something nobody thought of")
        return reconcile(job, *more, **named)

    monkeypatch.setattr(module, "reconcile", poisoned)
    controllers = await world.start(lanes=1)
    await world.submit("poison", task())
    await world.submit("fine", task())
    await world.until_phase("fine", "Running")
    assert controllers.running["job"].runner.failures["KeyError"] >= 1

    async def told():
        return [event for event in await world.client.list(EVENT) if event.involved_object.name == "poison"]

    (event,) = await world.until(told, "an Event about the job")
    assert event.reason == "FailedSync"


async def test_a_job_made_again_under_its_name_waits_for_the_old_pods_to_go(world):
    await world.start()
    await world.submit("j", task(replicas=2))
    await world.until_phase("j", "Running")
    old = {pod.metadata.uid for pod in await world.pods("j")}
    await world.client.delete(JOB, "j", "default")
    await world.submit("j", task(replicas=2))
    await world.until_pods("j", {"j-worker-0": "Running", "j-worker-1": "Running"})
    await world.until_phase("j", "Running")
    assert not old & {pod.metadata.uid for pod in await world.pods("j")}
    assert [event for event in await world.client.list(EVENT) if event.type == "Warning"] == []
