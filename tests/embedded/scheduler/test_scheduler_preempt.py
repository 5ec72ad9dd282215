"""Does a whole cluster make room for a job, and do those that gave way, or moved, come back uncharged?"""

from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from flowbatch.admission.admit import admit
from flowbatch.admission.crds import crds
from flowbatch.api.kinds import JOB, POD, POD_DISRUPTION_BUDGET, POD_GROUP, PRIORITY_CLASS
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers
from flowbatch.embedded.nodes import NodeSpecification, SimulatedNodes
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.runtime.app import run_all
from flowbatch.runtime.settings import SchedulerSettings, Settings
from flowbatch.runtime.shared import SharedInformers


@asynccontextmanager
async def world(nodes=2, policy="preempting"):
    """What `flowbatch up --simulate` runs, with a policy that evicts; yields the user's client."""
    settings = Settings(scheduler=SchedulerSettings(policy=policy, validate=True))
    async with ApiServer(tls=False, admit=[admit]) as server:
        for crd in crds():
            await server.install(crd)
        config = await from_kubeconfig(server.kubeconfig())
        shared = SharedInformers()
        made = [NodeSpecification(name=f"node-{number}", cpu="2", memory="8Gi") for number in range(nodes)]
        async with Client(config, component="flowbatch") as client, anyio.create_task_group() as tasks:
            tasks.start_soon(EmbeddedControllers(server).run)
            tasks.start_soon(partial(run_all, client, settings, shared=shared))
            simulated = SimulatedNodes(client, made, informer=shared)
            tasks.start_soon(simulated.run)
            await simulated.ready.wait()
            async with Client(config, component="user") as user:
                await user.create(PRIORITY_CLASS, {**kind(PRIORITY_CLASS), "metadata": {"name": "high"}, "value": 1000})
                yield user
            tasks.cancel_scope.cancel()


def kind(of):
    return {"apiVersion": of.api_version, "kind": of.kind}


def job(name, replicas, minimum, priority="", cpu="1", **spec):
    """A job of one task whose pods run until they are told to go."""
    container = {"name": "main", "image": "x", "command": ["sleep", "3600"], "resources": {"requests": {"cpu": cpu}}}
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    body = {
        "schedulerName": "volcano",
        "minAvailable": minimum,
        "tasks": [{"name": "main", "replicas": replicas, "template": template}],
        **({"priorityClassName": priority} if priority else {}),
        **spec,
    }
    return {**kind(JOB), "metadata": {"name": name}, "spec": body}


async def until(true, patience_s=30):
    with anyio.fail_after(patience_s):
        while not (found := await true()):  # noqa: ASYNC110  (the condition asks a server)
            await anyio.sleep(0.05)
    return found


async def placed(user, name):
    """Pods of a job that run, by name."""
    pods = await user.list(POD, "default", label_selector=f"app={name}")
    running = [pod for pod in pods if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]
    return {pod.metadata.name: pod for pod in running}


async def runs(user, name, count):
    async def enough():
        found = await placed(user, name)
        return found if len(found) == count else None

    return await until(enough)


@pytest.mark.parametrize("policies", [[], [{"event": "PodEvicted", "action": "RestartJob"}]], ids=["plain", "restart"])
async def test_a_high_priority_job_takes_the_place_of_a_low_one_which_comes_back_without_a_spent_retry(policies):
    async with world() as user:
        await user.create(JOB, job("low", 4, 4, policies=policies, maxRetry=1), "default")
        before = await runs(user, "low", 4)
        await user.create(JOB, job("high", 2, 2, "high"), "default")
        await runs(user, "high", 2)
        assert await placed(user, "low") == {}, "a strict gang goes whole"
        await user.delete(JOB, "high", "default")
        after = await runs(user, "low", 4)
        assert {pod.metadata.uid for pod in before.values()}.isdisjoint(pod.metadata.uid for pod in after.values())

        async def running():
            seen = await user.get(JOB, "low", "default")
            return seen if seen.status.state.phase == "Running" else None

        assert (await until(running)).status.retry_count == 0


async def test_only_surplus_goes_and_the_pods_that_stay_are_the_same():
    async with world() as user:
        await user.create(JOB, job("low", 4, 2), "default")
        before = await runs(user, "low", 4)
        await user.create(JOB, job("high", 2, 2, "high"), "default")
        await runs(user, "high", 2)
        stayed = await placed(user, "low")
        assert len(stayed) == 2
        assert {pod.metadata.uid for pod in stayed.values()} <= {pod.metadata.uid for pod in before.values()}


async def test_a_budget_protects_and_the_reason_says_so():
    async with world() as user:
        selector = {"matchLabels": {"app": "low"}}
        budget = {**kind(POD_DISRUPTION_BUDGET), "metadata": {"name": "keep"}}
        await user.create(
            POD_DISRUPTION_BUDGET, {**budget, "spec": {"maxUnavailable": 0, "selector": selector}}, "default"
        )
        await user.create(JOB, job("low", 4, 1), "default")
        before = await runs(user, "low", 4)
        await user.create(JOB, job("high", 2, 2, "high"), "default")

        async def told():
            groups = await user.list(POD_GROUP, "default")
            said = [each.message for group in groups for each in group.status.conditions]
            return [text for text in said if "protected by budget default/keep" in text]

        assert "nobody may be evicted for it" in (await until(told))[0]
        assert set(await placed(user, "low")) == set(before)


async def test_a_pod_of_an_elastic_job_moves_so_that_a_gang_starts_which_needs_a_whole_node():
    async with world(policy={"preset": "consolidating", "scores": ["leastRequested"]}) as user:
        await user.create(JOB, job("spread", 2, 1, maxRetry=1), "default")
        before = await runs(user, "spread", 2)
        assert len({pod.spec.node_name for pod in before.values()}) == 2
        await user.create(JOB, job("big", 1, 1, cpu="2"), "default")
        (big,) = (await runs(user, "big", 1)).values()
        after = await runs(user, "spread", 2)
        assert {pod.spec.node_name for pod in after.values()}.isdisjoint({big.spec.node_name})
        stayed = {pod.metadata.uid for pod in before.values()} & {pod.metadata.uid for pod in after.values()}
        assert len(stayed) == 1, "one moved, one stayed"

        async def running():
            seen = await user.get(JOB, "spread", "default")
            return seen if seen.status.state.phase == "Running" and seen.status.running == 2 else None

        assert (await until(running)).status.retry_count == 0
