"""Over real HTTP: do waiting times and ResourceQuotas reach the engine, and do gangs go on when they should?"""

from dataclasses import replace
from functools import partial

import anyio
import yaml

from flowbatch.api.kinds import POD_GROUP, RESOURCE_QUOTA
from flowbatch.engine.engine import Engine
from flowbatch.policy.presets import BACKFILL
from flowbatch.policy.sla import WaitingTime
from flowbatch.policy.volcano import read_volcano

CONFIGURATION = """
tiers:
- plugins: [{name: sla}, {name: gang}]
- plugins: [{name: overcommit}, {name: resourcequota}, {name: predicates}, {name: binpack}]
"""


def make():
    return Engine(read_volcano(yaml.safe_load(CONFIGURATION)), validate=True)


async def group(cluster, name, cpu, annotations=None):
    body = {
        "apiVersion": POD_GROUP.api_version,
        "kind": "PodGroup",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"minMember": 1, "minResources": {"cpu": cpu}},
    }
    await cluster.user.create(POD_GROUP, body, "default")


async def test_a_waiting_time_in_an_annotation_lets_a_gang_in_by_the_clock_alone(cluster):
    await cluster.node("n0", cpu="1")
    async with cluster.scheduler(make=make):
        await group(cluster, "patient", "4", {"volcano.sh/sla-waiting-time": "1h"})
        await group(cluster, "hurried", "4", {"sla-waiting-time": "1500ms"})
        await cluster.until_condition("hurried", "Unschedulable")
        await cluster.until_phase("hurried", "Inqueue")
        assert (await cluster.see_group("patient")).status.phase == "Pending"


async def test_a_resource_quota_holds_a_gang_at_the_gate_until_it_has_room(cluster):
    await cluster.node("n0")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": {"cpu": "2"}}}
    await cluster.user.create(RESOURCE_QUOTA, quota, "default")
    used = partial(cluster.user.patch, RESOURCE_QUOTA, "team", namespace="default", subresource="status")
    await used({"status": {"hard": {"requests.cpu": "2"}, "used": {"requests.cpu": "1500m"}}})
    async with cluster.scheduler(make=make):
        await group(cluster, "g", "1")
        told = await cluster.until_condition("g", "Unschedulable")
        assert 'short 0.5 requests.cpu in ResourceQuota "team" of namespace "default"' in told.message
        await anyio.sleep(0.1)
        assert (await cluster.see_group("g")).status.phase == "Pending"
        await used({"status": {"used": {"requests.cpu": "1"}}})
        await cluster.until_phase("g", "Inqueue")


def reserving():
    patience = WaitingTime(700)
    return Engine(replace(BACKFILL, permits=(patience,), reserving=(patience,)), validate=True)


async def test_room_is_kept_for_a_gang_that_has_waited_and_estimates_and_deadlines_fill_the_gap(cluster):
    await cluster.node("n0", cpu="2")
    await cluster.node("n1", cpu="2")
    async with cluster.scheduler(make=reserving):
        await group(cluster, "long", "2", {"flowbatch.dev/running-estimate": "1h"})
        await cluster.pod("long-0", "long", cpu="2")
        await cluster.until_bound("long", 1)
        await cluster.gang("big", 2, cpu="2")

        async def promised():
            told = (await cluster.see_group("big")).status.conditions
            return [each for each in told if "It has 2 nodes reserved from 20" in each.message]

        await cluster.until(promised)
        await cluster.gang("silent", 1)
        await cluster.group("short", 1)
        await cluster.pod("short-0", "short", activeDeadlineSeconds=60)
        await cluster.until_bound("short", 1)
        told = await cluster.until_condition("silent", "Unschedulable")
        assert "for gang default/big" in told.message
        assert await cluster.bound("silent") == {}
        await cluster.finish("long-0")
        await cluster.finish("short-0")
        await cluster.until_bound("big", 2)
