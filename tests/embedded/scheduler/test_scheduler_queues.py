"""Over real HTTP: does a tree of queues hold, is fifo kept, and is what is wrong with a queue said on it?"""

from functools import partial

from flowbatch.api.kinds import EVENT, POD_GROUP, QUEUE
from flowbatch.engine.engine import Engine
from flowbatch.policy.conf import read_policy
from flowbatch.policy.volcano import read_volcano

TREE = read_volcano(
    {
        "actions": "enqueue, allocate, backfill",
        "tiers": [
            {
                "plugins": [
                    {"name": "priority"},
                    {"name": "gang"},
                    {"name": "predicates"},
                    {"name": "capacity", "enableHierarchy": True},
                ]
            }
        ],
    }
)
CAPACITY = partial(Engine, TREE, validate=True)


async def make_queue(cluster, name, annotations=None, **spec):
    meta = {"name": name, "annotations": annotations or {}}
    await cluster.user.create(QUEUE, {"apiVersion": QUEUE.api_version, "kind": "Queue", "metadata": meta, "spec": spec})


async def make_gang(cluster, name, count, queue, annotations=None):
    meta = {"name": name, "annotations": annotations or {}}
    spec = {"minMember": count, "queue": queue, "minResources": {"cpu": str(count)}}
    body = {"apiVersion": POD_GROUP.api_version, "kind": "PodGroup", "metadata": meta, "spec": spec}
    await cluster.user.create(POD_GROUP, body, "default")
    for index in range(count):
        await cluster.pod(f"{name}-{index}", name)


def sound(cluster, name, status):
    async def told():
        queue = await cluster.user.get(QUEUE, name)
        return next((each for each in queue.status.conditions if (each.type, each.status) == ("Sound", status)), None)

    return told


def why(cluster, name, part):
    async def told():
        conditions = (await cluster.see_group(name)).status.conditions
        return next((each for each in conditions if part in each.message), None)

    return told


async def test_a_tree_of_queues_holds_at_every_level(cluster):
    await cluster.node("n0", cpu="8")
    await make_queue(cluster, "dept", capability={"cpu": "5"}, deserved={"cpu": "5"})
    await make_queue(cluster, "red", parent="dept", deserved={"cpu": "3"}, dequeueStrategy="fifo")
    await make_queue(cluster, "blue", parent="dept", deserved={"cpu": "2"}, borrowingLimit={"cpu": "0"})
    async with cluster.scheduler(make=CAPACITY):
        await make_gang(cluster, "misplaced", 1, "dept")
        await cluster.until(why(cluster, "misplaced", 'queue "dept" has queues below it'))
        await make_gang(cluster, "b", 2, "blue")
        await cluster.until_bound("b-", 2)
        await make_gang(cluster, "borrower", 3, "blue")
        await cluster.until(why(cluster, "borrower", 'in queue "blue" (borrowing'))
        await make_gang(cluster, "r", 4, "red")
        await cluster.until(why(cluster, "r", 'in queue "dept" (capability'))
        await make_gang(cluster, "then", 1, "red")  # of the same second, and so by name
        await cluster.until(why(cluster, "then", 'queue "red" is fifo'))
        assert await cluster.bound("then") == {}
        await cluster.finish("b-0")
        bound = await cluster.until_bound("r-", 4)
        assert len(bound) == 4
        await cluster.finish("b-1")
        assert await cluster.until_bound("then", 1)


async def test_limits_of_users_come_from_fields_or_annotations(cluster):
    await cluster.node("n0", cpu="8")
    await make_queue(cluster, "by-field", limits=[{"users": ["*"], "jobs": 1}])
    await make_queue(cluster, "by-note", {"flowbatch.dev/limits": '[{"users": ["*"], "resources": {"cpu": "1"}}]'})
    async with cluster.scheduler():
        for queue in ("by-field", "by-note"):
            for user in ("ann", "bob"):
                for turn in (1, 2):
                    await make_gang(cluster, f"{queue}-{user}-{turn}", 1, queue, {"flowbatch.dev/user": user})
            await cluster.until_bound(f"{queue}-", 2)
            for user in ("ann", "bob"):
                await cluster.until(why(cluster, f"{queue}-{user}-2", f"limit of user {user}"))


async def test_what_is_wrong_with_a_queue_is_said_on_it_and_the_others_go_on(cluster):
    await cluster.node("n0", cpu="8")
    await make_queue(cluster, "lost", parent="nowhere")
    await make_queue(cluster, "typo", capability={"nvida.com/gpu": "4"})
    await make_queue(cluster, "unreadable", {"flowbatch.dev/borrowing-limit": '{"cpu": "many"}'})
    async with cluster.scheduler():
        await make_gang(cluster, "a", 1, "lost")
        await make_gang(cluster, "b", 1, "unreadable")
        await cluster.until_bound("a-", 1)
        lost = await cluster.until(sound(cluster, "lost", "False"))
        assert 'spec.parent "nowhere" does not exist' in lost.message
        assert "no node has nvida.com/gpu" in (await cluster.until(sound(cluster, "typo", "False"))).message
        shut = await cluster.until(sound(cluster, "unreadable", "False"))
        assert "annotation flowbatch.dev/borrowing-limit" in shut.message
        assert await cluster.until(why(cluster, "b", 'queue "unreadable" is Unknown and admits nothing new'))

        async def events():
            found = await cluster.user.list(EVENT, "default")
            return [each for each in found if each.reason == "BadSpec"] if len(found) >= 3 else None

        assert sorted(each.involved_object.name for each in await cluster.until(events)) == [
            "lost",
            "typo",
            "unreadable",
        ]
        await make_queue(cluster, "nowhere")
        mended = await cluster.until(sound(cluster, "lost", "True"))
        assert mended.reason == "Mended"


async def test_what_a_queue_has_used_outlives_the_scheduler(cluster):
    await cluster.node("n0", cpu="4")
    await make_queue(cluster, "a")
    policy = read_policy({"queueOrder": [{"name": "pastUse", "half_life_s": 3600}], "shares": None})
    remembering = partial(Engine, policy, validate=True)

    async def noted():
        return (await cluster.user.get(QUEUE, "a")).metadata.annotations.get("flowbatch.dev/past-use")

    async with cluster.scheduler(make=remembering):
        await make_gang(cluster, "g", 2, "a")
        await cluster.until_bound("g-", 2)
        assert '"cpu":2000' in await cluster.until(noted)
    async with cluster.scheduler(make=remembering) as scheduler:

        async def remembered():
            engine = scheduler.cycles.engine
            assert isinstance(engine, Engine)
            queue = engine.state.queues.by_name.get("a")
            return queue.memory if queue and queue.memory and queue.memory.held.get(1) == 2000 else None

        memory = await cluster.until(remembered)
        assert memory.at > 0
    writes = cluster.requests("patch", "queues")
    assert writes <= 3, "once for what was held at first, and not for every cycle"
