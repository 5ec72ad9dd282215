"""Are writes safe to repeat: does each touch only the very object that it means?"""

import asyncio

import pytest

from flowbatch.api.kinds import CONFIG_MAP, QUEUE
from flowbatch.controllers.effects import Effects, ForeignObject, guarded
from flowbatch.controllers.expectations import Expectations
from flowbatch.kube.errors import Conflict
from flowbatch.workload.changes import Delete


class NoCache:
    def look(self, kind, key):
        return None

    def watches(self, kind):
        return False


def effects_of(world):
    clock = asyncio.get_running_loop().time
    return Effects(world.client, Expectations(NoCache(), clock), limit=4)


def config_map(name, owner="", uid=""):
    metadata = {"name": name, "namespace": "default"}
    if owner:
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "controller": True}
        metadata["ownerReferences"] = [reference]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def test_a_delete_spares_a_namesake_made_since(world):
    made = await world.client.create(CONFIG_MAP, config_map("c"))
    await effects_of(world).delete("owner", Delete("ConfigMap", "default", "c", "the uid of its predecessor"))
    assert (await world.client.get(CONFIG_MAP, "c", "default")).metadata.uid == made.metadata.uid


async def test_deleting_what_is_gone_is_done(world):
    await effects_of(world).delete("owner", Delete("ConfigMap", "default", "never-was", "u"))


async def test_a_patch_meant_for_a_predecessor_is_refused(world):
    await world.client.create(CONFIG_MAP, config_map("c"))
    body = guarded({"data": {"a": "b"}}, "the uid of its predecessor")
    with pytest.raises(Conflict):
        await effects_of(world).patch("owner", CONFIG_MAP, "c", "default", body)
    assert (await world.client.get(CONFIG_MAP, "c", "default")).data == {}


async def test_a_patch_of_what_is_gone_gives_nothing(world):
    assert await effects_of(world).patch("owner", QUEUE, "never-was", None, {"spec": {"weight": 2}}) is None


async def owner(world, name):
    """A real owner, or the garbage collector comes."""
    return (await world.client.create(CONFIG_MAP, config_map(name))).metadata.uid


async def test_creating_twice_finds_the_first(world):
    effects, uid = effects_of(world), await owner(world, "mine")
    first = await effects.create("o", uid, CONFIG_MAP, config_map("c", "mine", uid))
    again = await effects.create("o", uid, CONFIG_MAP, config_map("c", "mine", uid))
    assert again.metadata.uid == first.metadata.uid


async def test_an_object_of_somebody_else_is_not_adopted(world):
    mine, theirs = await owner(world, "mine"), await owner(world, "theirs")
    await world.client.create(CONFIG_MAP, config_map("c", "theirs", theirs))
    with pytest.raises(ForeignObject, match="belongs to ConfigMap theirs"):
        await effects_of(world).create("o", mine, CONFIG_MAP, config_map("c", "mine", mine))


async def test_what_a_deleted_namesake_of_the_owner_left_is_waited_out(world):
    mine, theirs = await owner(world, "mine"), await owner(world, "theirs")
    await world.client.create(CONFIG_MAP, config_map("c", "theirs", theirs))
    with pytest.raises(Conflict, match="still being deleted"):
        await effects_of(world).create("o", mine, CONFIG_MAP, config_map("c", "theirs", mine))
