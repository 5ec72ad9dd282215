"""How many requests and how much work does a pod cost? Counts only: they are the same on every machine.

Peers spend 3.4 requests a pod on large gangs for scheduler and controllers alone; see docs/performance.md.
"""

from contextlib import asynccontextmanager
from functools import partial

import anyio

from benchmarks.cluster import job
from flowbatch.admission.admit import admit
from flowbatch.admission.crds import crds
from flowbatch.api.kinds import JOB, POD
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers
from flowbatch.embedded.nodes import NodeSpecification, SimulatedNodes
from flowbatch.embedded.nodes.script import RUN_SECONDS
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.metrics import CYCLE_SECONDS
from flowbatch.runtime.app import run_all
from flowbatch.runtime.settings import Settings
from flowbatch.runtime.shared import SharedInformers

JOBS, SIZE, NODES = 5, 20, 10
PODS = JOBS * SIZE
ONE_POD_JOBS = 30
#: Long enough for late writes and timers; nothing is measured in it.
QUIET_S = 1.5


@asynccontextmanager
async def cluster():
    """What `flowbatch up --simulate` runs, in one process, so that the server's own counts can be read."""
    async with ApiServer(tls=False, admit=[admit]) as server:
        for crd in crds():
            await server.install(crd)
        config = await from_kubeconfig(server.kubeconfig())
        shared = SharedInformers()
        nodes = [NodeSpecification(name=f"node-{number}", cpu="32", memory="256Gi") for number in range(NODES)]
        async with Client(config, component="flowbatch") as client, anyio.create_task_group() as tasks:
            tasks.start_soon(EmbeddedControllers(server).run)
            tasks.start_soon(partial(run_all, client, Settings(), shared=shared))
            simulated = SimulatedNodes(client, nodes, informer=shared)
            tasks.start_soon(simulated.run)
            await simulated.ready.wait()
            await anyio.sleep(0.3)
            server.audit.clear()
            yield server, config
            tasks.cancel_scope.cancel()


async def run_jobs(server, config):
    async with Client(config, component="user") as user:
        for number in range(JOBS):
            await user.create(JOB, job(f"load-{number}", SIZE), "default")
    entries = server.store.collection("/pods").entries
    with anyio.fail_after(30):
        while sum(entry.obj["status"]["phase"] == "Running" for entry in entries.values()) < PODS:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    await anyio.sleep(QUIET_S)


async def test_a_pod_costs_one_create_one_binding_one_status_and_little_else():
    async with cluster() as (server, config):
        await run_jobs(server, config)
        total = partial(server.audit.total, user_agent="flowbatch/")
        assert total("create", "pods") == total("create", "pods/binding") == PODS
        assert total("patch", "pods") == total("create", "events") == 0
        # On a machine so slow that gangs wait visibly, they and their pods say so once: hence the room.
        assert total("patch", "pods/status") <= 1.2 * PODS, server.audit.counts
        assert total("create", "podgroups") + total("patch", "podgroups") <= 6 * JOBS, server.audit.counts
        assert total("patch", "jobs/status") <= 6 * JOBS, server.audit.counts
        assert total() <= 3.6 * PODS, server.audit.counts


async def test_a_job_of_one_pod_costs_eight_requests_and_what_its_node_says():
    """Every phase that lasts is seen: the PodGroup is Inqueue and Running, the job Running and Completed."""
    async with cluster() as (server, config):
        async with Client(config, component="user") as user:
            for number in range(ONE_POD_JOBS):
                await user.create(JOB, one_pod_job(number), "default")
        entries = server.store.collection("batch.volcano.sh/jobs").entries
        assert len(entries) == ONE_POD_JOBS
        with anyio.fail_after(60):
            while any(phase(entry.obj) != "Completed" for entry in entries.values()):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        await anyio.sleep(QUIET_S)
        total = partial(server.audit.total, user_agent="flowbatch/")
        of_nodes = total("patch", "pods/status") + total("patch", "nodes/status")
        # Paced by time and not by jobs: at most two a second, however many jobs come and go.
        of_queues = total("patch", "queues/status")
        # On a slow machine a job may be Pending for so long that this is seen too.
        slow = max(0, total("patch", "jobs/status") - 2 * ONE_POD_JOBS)
        assert slow <= ONE_POD_JOBS, server.audit.counts
        users = ONE_POD_JOBS
        assert total() - of_nodes - of_queues - users - slow <= 8 * ONE_POD_JOBS, server.audit.counts


def one_pod_job(number):
    manifest = job(f"one-{number}", 1)
    manifest["spec"]["tasks"][0]["template"]["metadata"] = {"annotations": {RUN_SECONDS: "2"}}
    return manifest


def phase(manifest):
    return manifest.get("status", {}).get("state", {}).get("phase")


async def test_a_cluster_at_rest_makes_no_request_and_no_cycle():
    async with cluster() as (server, config):
        await run_jobs(server, config)
        # A slow machine settles later, but it settles: one that polled would never be quiet for so long.
        for _ in range(10):
            before = server.audit.total(), _cycles()
            await anyio.sleep(QUIET_S)
            if (server.audit.total(), _cycles()) == before:
                return
        raise AssertionError(server.audit.counts)


async def test_scheduler_controllers_and_nodes_share_one_watch_of_pods():
    async with cluster() as (server, config):
        await run_jobs(server, config)
        assert len(server.rest.watches["/pods"]) == 1
        async with Client(config) as client:
            assert len(await client.list(POD, "default")) == PODS


def _cycles() -> float:
    return next(sample.value for sample in CYCLE_SECONDS.collect()[0].samples if sample.name.endswith("_count"))
