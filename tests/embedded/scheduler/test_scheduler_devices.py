"""Over real HTTP: a pod hears which devices it has before it is bound, and a new scheduler reads it there."""

from dataclasses import replace
from functools import partial

import anyio

from flowbatch.api.kinds import CONFIG_MAP, NODE, POD
from flowbatch.engine.engine import Engine
from flowbatch.informer import Informer
from flowbatch.policy.devicescores import NodeLock
from flowbatch.policy.presets import DEFAULT

REGISTER = "GPU-a,10,16000,NVIDIA-T4,true,hami-core:GPU-b,10,16000,NVIDIA-T4,true,hami-core:"
IDS = "volcano.sh/vgpu-ids-new"


async def gpu_node(cluster, name="n0"):
    await cluster.node(name)
    await cluster.user.patch(NODE, name, {"metadata": {"annotations": {"volcano.sh/node-vgpu-register": REGISTER}}})


async def gpu_pod(cluster, name, group, memory):
    limits = {"volcano.sh/vgpu-number": "1", "volcano.sh/vgpu-memory": str(memory)}
    container = {"name": "main", "image": "x", "resources": {"limits": limits, "requests": {"cpu": "1", **limits}}}
    await cluster.pod(name, group, containers=[container])


def card_of(pod):
    return pod.metadata.annotations[IDS].partition(",")[0]


async def test_the_pod_knows_its_devices_before_it_is_bound(cluster):
    await gpu_node(cluster)
    await cluster.group("g", 2)
    seen = []
    informer = Informer(cluster.user, POD)
    informer.on_change(lambda _old, new: seen.append(new) if new is not None else None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(informer.run)
        await informer.wait_synced()
        async with cluster.scheduler():
            for name in ("g-0", "g-1"):
                await gpu_pod(cluster, name, "g", 9000)
            await cluster.until(lambda: len_is(cluster, "g-", 2))
        with anyio.fail_after(5):
            while sum(bool(pod.spec.node_name) for pod in seen) < 2:  # noqa: ASYNC110  (the watch is behind)
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    for name in ("g-0", "g-1"):
        states = [
            (IDS in pod.metadata.annotations, bool(pod.spec.node_name)) for pod in seen if pod.metadata.name == name
        ]
        assert states.index((True, False)) < states.index((True, True))
        assert (False, True) not in states
    pods = await cluster.pods()
    assert {card_of(pods["g-0"]), card_of(pods["g-1"])} == {"GPU-a", "GPU-b"}
    assert pods["g-0"].metadata.annotations["volcano.sh/bind-phase"] == "allocating"


async def len_is(cluster, prefix, count):
    bound = await cluster.bound(prefix)
    return bound if len(bound) == count else None


async def test_a_new_scheduler_knows_who_has_what(cluster):
    await gpu_node(cluster)
    await cluster.group("a", 1)
    async with cluster.scheduler():
        await gpu_pod(cluster, "a-0", "a", 9000)
        await cluster.until(lambda: len_is(cluster, "a-", 1))
    await cluster.group("b", 1)
    await cluster.group("c", 1)
    async with cluster.scheduler():
        await gpu_pod(cluster, "b-0", "b", 9000)
        await cluster.until(lambda: len_is(cluster, "b-", 1))
        await gpu_pod(cluster, "c-0", "c", 9000)
        await cluster.until(lambda: waits(cluster, "c"))
    pods = await cluster.pods()
    assert card_of(pods["a-0"]) != card_of(pods["b-0"])
    assert not pods["c-0"].spec.node_name


async def waits(cluster, name):
    group = await cluster.see_group(name)
    return any("devices with enough left for 8.8Gi of a vgpu" in each.message for each in group.status.conditions)


async def test_a_locked_node_is_waited_for(cluster):
    await gpu_node(cluster)
    policy = replace(DEFAULT, steps=(NodeLock(),))
    await cluster.group("a", 1)
    await cluster.group("b", 1)
    async with cluster.scheduler(make=partial(Engine, policy, validate=True)):
        await gpu_pod(cluster, "a-0", "a", 100)
        await cluster.until(lambda: len_is(cluster, "a-", 1))
        node = await cluster.user.get(NODE, "n0")
        assert "hamivgpu" in node.metadata.annotations
        await gpu_pod(cluster, "b-0", "b", 100)
        await anyio.sleep(0.5)
        assert not await cluster.bound("b-")
        await cluster.user.patch(NODE, "n0", {"metadata": {"annotations": {"hamivgpu": None}}})
        await cluster.until(lambda: len_is(cluster, "b-", 1), timeout_s=20)


CONFIG = """
nvidia:
  knownMigGeometries:
  - models: ["A100"]
    allowedGeometries:
    - group: seven
      geometries: [{name: 1g.5gb, memory: 5120, count: 7}]
    - group: two
      geometries: [{name: 3g.20gb, memory: 20480, count: 2}]
"""


async def test_known_geometries_are_read_where_some_node_cuts_its_cards(cluster):
    config = {"metadata": {"name": "volcano-vgpu-device-config"}, "data": {"device-config.yaml": CONFIG}}
    await cluster.user.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **config}, "kube-system")
    await gpu_node(cluster)
    register = "GPU-a,7,40960,NVIDIA-A100,true,mig:"
    annotations = {"volcano.sh/node-vgpu-register": register}
    await cluster.user.patch(NODE, "n0", {"metadata": {"annotations": annotations}})
    await cluster.group("a", 2)
    async with cluster.scheduler():
        for name in ("a-0", "a-1"):
            await gpu_pod(cluster, name, "a", 8000)
        await cluster.until(lambda: len_is(cluster, "a-", 2))
    pods = await cluster.pods()
    assert {card_of(pods["a-0"]), card_of(pods["a-1"])} == {"GPU-a[two-0]", "GPU-a[two-1]"}
