"""One process from one settings file in Volcano's words: a job's topologyPolicy ends as cpus of its pods, over HTTP."""

import json

import anyio
import pytest

from flowbatch.admission.crds import crds
from flowbatch.api.kinds import HYPER_NODE, JOB, NODE, NUMATOPOLOGY, POD
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.runtime.app import run_all
from flowbatch.runtime.settings import load_settings

SETTINGS = """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
- plugins:
  - name: predicates
  - name: nodeorder
  - name: numa-aware
    arguments:
      weight: 10
controllers:
  networkTopologyDiscovery:
  - source: label
    enabled: true
    config:
      networkTopologyTypes:
        fabric:
        - nodeLabel: example.com/leaf
        - nodeLabel: kubernetes.io/hostname
"""
PATIENCE_S = 40.0


@pytest.fixture
async def user(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    settings = load_settings(path, environment={})
    async with ApiServer(tls=False) as server:
        for crd in crds():
            await server.install(crd)
        config = await from_kubeconfig(server.kubeconfig())
        async with Client(config) as user, Client(config) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run_all(client, settings))
            yield user
            tasks.cancel_scope.cancel()


async def add_node(user, name, policy):
    labels = {"example.com/leaf": "l0", "kubernetes.io/hostname": name}
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    await user.create(NODE, manifest)
    ready = [{"type": "Ready", "status": "True"}]
    allocatable = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    await user.patch(NODE, name, {"status": {"allocatable": allocatable, "conditions": ready}}, subresource="status")
    detail = {str(cpu): {"numa": cpu // 4, "socket": cpu // 4, "core": cpu // 2} for cpu in range(8)}
    spec = {
        "policies": {"CPUManagerPolicy": "static", "TopologyManagerPolicy": policy},
        "numares": {"cpu": {"allocatable": "0-7", "capacity": 8}},
        "cpuDetail": detail,
    }
    body = {"apiVersion": NUMATOPOLOGY.api_version, "kind": "Numatopology", "metadata": {"name": name}, "spec": spec}
    await user.create(NUMATOPOLOGY, body)


def job(name, replicas, policy):
    asked = {"cpu": "3", "memory": "1Gi"}
    container = {"name": "main", "image": "x", "resources": {"requests": asked, "limits": asked}}
    task = {
        "name": "worker",
        "replicas": replicas,
        "topologyPolicy": policy,
        "template": {"spec": {"containers": [container], "restartPolicy": "Never"}},
    }
    return {
        "apiVersion": JOB.api_version,
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"schedulerName": "volcano", "minAvailable": replicas, "queue": "default", "tasks": [task]},
    }


async def until(what):
    with anyio.fail_after(PATIENCE_S):
        while not (found := await what()):  # noqa: ASYNC110  (it asks a server)
            await anyio.sleep(0.05)
    return found


async def test_a_jobs_policy_becomes_cpus_of_its_pods_and_labels_a_hypernode(user):
    await add_node(user, "n0", "restricted")
    await add_node(user, "n1", "single-numa-node")
    await user.create(JOB, job("aligned", 2, "single-numa-node"))

    async def bound():
        pods = [pod for pod in await user.list(POD) if pod.spec.node_name]
        return pods if len(pods) == 2 else None

    pods = await until(bound)
    assert {pod.spec.node_name for pod in pods} == {"n1"}
    decisions = [json.loads(pod.metadata.annotations["volcano.sh/topology-decision"]) for pod in pods]
    assert sorted(each["cpus"] for each in decisions) == ["0-2", "4-6"]
    assert {pod.metadata.annotations["volcano.sh/numa-topology-policy"] for pod in pods} == {"single-numa-node"}

    async def leaf():
        found = await user.list(HYPER_NODE)
        return [[each.selector.exact_match.name for each in one.spec.members] for one in found] == [["n0", "n1"]]

    await until(leaf)
