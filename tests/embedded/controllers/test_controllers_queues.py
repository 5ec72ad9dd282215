"""Do queues open, close and cascade by Command, are their PodGroups counted, and is no Command lost?"""

from flowbatch.api.kinds import COMMAND, EVENT, JOB, POD_GROUP, QUEUE
from flowbatch.api.names import CLOSED_BY_PARENT


async def make_queue(world, name, parent="root"):
    spec = {"weight": 1, "parent": parent}
    await world.client.create(
        QUEUE, {"apiVersion": QUEUE.api_version, "kind": "Queue", "metadata": {"name": name}, "spec": spec}
    )


async def make_group(world, name, queue, phase=""):
    manifest = {
        "apiVersion": POD_GROUP.api_version,
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"minMember": 1, "queue": queue},
    }
    await world.client.create(POD_GROUP, manifest)
    if phase:
        await set_phase(world, name, phase)


async def set_phase(world, name, phase):
    await world.client.patch(POD_GROUP, name, {"status": {"phase": phase}}, "default")


async def until_state(world, name, state):
    async def reached():
        return await world.queue_state(name) == state

    await world.until(reached, f"queue {name} to be {state}")


async def until_no_commands(world):
    async def none():
        return not await world.client.list(COMMAND)

    await world.until(none, "all Commands to be deleted")


async def test_the_needed_queues_are_made_and_opened(world):
    await world.start()
    await until_state(world, "default", "Open")
    await until_state(world, "root", "Open")
    assert (await world.client.get(QUEUE, "default")).spec.parent == "root"


async def test_a_queue_closes_when_its_groups_have_finished_and_opens_again(world):
    world.stage.admitting = False
    await world.start()
    await make_queue(world, "q")
    await until_state(world, "q", "Open")
    await make_group(world, "g", "q", "Running")
    await world.command("CloseQueue", "q", QUEUE)
    await until_state(world, "q", "Closing")
    await set_phase(world, "g", "Completed")
    await until_state(world, "q", "Closed")
    await world.command("OpenQueue", "q", QUEUE)
    await until_state(world, "q", "Open")
    await until_no_commands(world)


async def test_closing_a_parent_closes_its_open_children_and_opening_it_opens_only_those(world):
    await world.start()
    for name, parent in (("top", "root"), ("left", "top"), ("right", "top")):
        await make_queue(world, name, parent)
        await until_state(world, name, "Open")
    await world.command("CloseQueue", "right", QUEUE)
    await until_state(world, "right", "Closed")
    await world.command("CloseQueue", "top", QUEUE)
    await until_state(world, "left", "Closed")
    assert CLOSED_BY_PARENT in (await world.client.get(QUEUE, "left")).metadata.annotations
    await world.command("OpenQueue", "left", QUEUE)
    await until_no_commands(world)
    assert await world.queue_state("left") == "Closed"
    await world.command("OpenQueue", "top", QUEUE)
    await until_state(world, "left", "Open")
    await world.settled()
    assert await world.queue_state("right") == "Closed"
    assert CLOSED_BY_PARENT not in (await world.client.get(QUEUE, "left")).metadata.annotations


async def test_groups_are_counted_by_phase_in_few_writes(world):
    world.stage.admitting = False
    await world.start()
    await make_queue(world, "q")
    await until_state(world, "q", "Open")
    await world.settled()
    before = world.writes()
    for index in range(40):
        await make_group(world, f"g{index}", "q", "Running" if index % 2 else "Inqueue")

    async def counted():
        status = (await world.client.get(QUEUE, "q")).status
        return (status.running, status.inqueue, status.pending) == (20, 20, 0)

    await world.until(counted, "40 groups to be counted")
    assert world.writes() - before <= 15


async def test_commands_given_while_no_controller_ran_are_carried_out_in_order(world):
    await world.start()
    await make_queue(world, "q")
    await until_state(world, "q", "Open")
    await world.kill()
    for action in ("CloseQueue", "OpenQueue", "CloseQueue"):
        await world.command(action, "q", QUEUE)
    await world.start()
    await until_state(world, "q", "Closed")
    await until_no_commands(world)


async def test_a_settled_queue_is_not_written_again(world):
    await world.start()
    await make_queue(world, "q")
    await until_state(world, "q", "Open")
    await world.settled()
    before = world.writes()
    await world.kill()
    await world.start()
    await world.settled()
    assert world.writes() == before, "a restarted controller found something to write"


async def test_a_command_without_a_target_is_deleted_after_a_while_and_somebody_is_told(world):
    await world.start(orphan_command_s=0.2)
    reference = {"apiVersion": JOB.api_version, "kind": "Job", "name": "nobody", "uid": "u"}
    manifest = {"apiVersion": COMMAND.api_version, "kind": "Command", "metadata": {"name": "c", "namespace": "default"}}
    await world.client.create(COMMAND, {**manifest, "action": "AbortJob", "target": reference})
    await until_no_commands(world)

    async def told():
        return [event for event in await world.client.list(EVENT) if event.reason == "UnknownTarget"]

    (event,) = await world.until(told, "an Event")
    assert "Job nobody" in event.message


async def test_a_command_for_a_namesake_does_not_touch_the_queue(world):
    await world.start(orphan_command_s=0.2)
    await make_queue(world, "q")
    await until_state(world, "q", "Open")
    reference = {"apiVersion": QUEUE.api_version, "kind": "Queue", "name": "q", "uid": "an older one"}
    manifest = {"apiVersion": COMMAND.api_version, "kind": "Command", "metadata": {"name": "c", "namespace": "default"}}
    await world.client.create(COMMAND, {**manifest, "action": "CloseQueue", "target": reference})
    await until_no_commands(world)
    assert await world.queue_state("q") == "Open"
