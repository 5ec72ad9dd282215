"""Random lives of a tree of queues: does every ancestor's limit hold, is nothing borrowed that nobody lends, and do the
sums never drift (invariants S5 and S6)? The judge knows only facts and has arithmetic of its own."""

import os

import msgspec
import pytest

from flowbatch.engine.decisions import Evict
from flowbatch.engine.events import OwnerLimit, PodGone, QueueGone, QueueSeen
from flowbatch.policy.conf import read_policy
from flowbatch.policy.presets import DEFAULT, FIFO
from tests.factworld import World
from tests.props.test_props_walk import Walk
from tests.pure.policy.test_policy_capacity import FLAT, TREE
from tests.pure.policy.test_policy_hierarchy import DIVIDED, HDRF
from tests.pure.policy.test_policy_pastuse import BY_USER, FAIR
from tests.pure.policy.test_policy_reclaim_tree import policy as reclaim_tree

WALKS = int(os.environ.get("FLOWBATCH_WALKS", "160"))
BLOCK = 20
RECLAIMING = reclaim_tree()
STRICT = read_policy({"preset": "fifo", "strictTurns": True})
POLICIES = (TREE, TREE, FLAT, DIVIDED, HDRF, DEFAULT, FIFO, STRICT, FAIR, BY_USER, RECLAIMING)
NAMES = ("default", "ads", "lab", "one", "two")


class QueueWorld(World):
    """Judges queues from their facts alone. Whoever is told to go takes his time."""

    def __init__(self, policy):
        self.told = []
        super().__init__(policy)

    def cycle(self, budget=1_000):
        plan = super().cycle(budget)
        self.told += [order.uid for order in plan.decisions if isinstance(order, Evict)]
        return plan

    def settle(self):
        """Until nobody has to go either: a fresh engine would not know of it."""
        plan = super().settle()
        while self.told:
            told, self.told = self.told, []
            self.tell(*[PodGone(uid) for uid in told if uid in self.pods])
            plan = super().settle()
        return plan

    def path(self, name):
        """From a queue up to the root; one that hangs on nothing, or on itself, or is gone, hangs under the root."""
        if name not in self.queues:
            return [name, "root"]
        path = [name]
        while path[-1] != "root":
            above = self.queues[path[-1]].parent or "root"
            if above not in self.queues or above in path:
                return [name, "root"]
            path.append(above)
        return path

    def children(self, name):
        return [each for each in self.queues if each != "root" and self.path(each)[1] == name]

    def held(self, name, new, mine=None):
        """What a queue and all below it hold, from pods on nodes and bindings; only of gangs that are `mine`."""
        total = {}
        for pod in self.pods.values():
            gang = self.gangs.get(pod.gang)
            if gang is None or gang.queue not in self.queues or name not in self.path(gang.queue):
                continue
            if (self.place_of(pod) or pod.uid in new) and (mine is None or mine(gang)):
                for key, units in (*pod.shape.requests, ("pods", 1)):
                    total[key] = total.get(key, 0) + units
        return total

    def assured(self, name, key):
        own = dict(self.queues[name].guarantee).get(key, 0)
        return max(own, sum(self.assured(child, key) for child in self.children(name)))

    def most(self, name, key):
        """All that a queue may ever hold."""
        capability = dict(self.queues[name].capability).get(key, 1 << 60)
        if name == "root":
            if not any(queue.guarantee for queue in self.queues.values()):
                return capability  # nodes bound themselves
            nodes = [dict(node.allocatable).get(key, 0) for node in self.nodes.values() if node.ready]
            return min(sum(nodes), capability)
        above = self.most(self.path(name)[1], key)
        others = sum(self.assured(each, key) for each in self.children(self.path(name)[1]) if each != name)
        return min(max(above - others, min(self.assured(name, key), above)), capability)

    # Kueue's recurrences, as published.

    def gross(self, name, key):
        own = dict(self.queues[name].deserved).get(key, 0)
        if name == "root":
            own = max(own, sum(dict(node.allocatable).get(key, 0) for node in self.nodes.values() if node.ready))
        return max(own, sum(self.gross(child, key) for child in self.children(name)))

    def subtree_quota(self, name, key):
        below = self.children(name)
        nominal = self.gross(name, key) - sum(self.gross(child, key) for child in below)
        return nominal + sum(self.subtree_quota(child, key) - self.local_quota(child, key) for child in below)

    def local_quota(self, name, key):
        lending = dict(self.queues[name].lending or ())
        return max(0, self.subtree_quota(name, key) - lending[key]) if key in lending and name != "root" else 0

    def pooled(self, name, key, new):
        """Usage of a queue: its own gangs', and what its children hold beyond what they keep."""
        own = self.held(name, new, lambda gang: gang.queue == name).get(key, 0)
        beyond = (max(0, self.pooled(child, key, new) - self.local_quota(child, key)) for child in self.children(name))
        return own + sum(beyond)

    def available(self, name, key, new):
        quota, local = self.subtree_quota(name, key), self.local_quota(name, key)
        used = self.pooled(name, key, new)
        if name == "root":
            return quota - used
        above = self.available(self.path(name)[1], key, new)
        borrowing = dict(self.queues[name].borrowing or ())
        if key in borrowing:
            above = min(above, quota - local - max(0, used - local) + borrowing[key])
        return max(0, local - used) + above

    def judge_queues(self, binds):
        new = {bind.uid for bind in binds}
        asked = {}
        for bind in binds:
            queue = self.gangs[bind.gang].queue
            asked.setdefault(queue, {}).update(dict(self.pods[bind.uid].shape.requests))
        bounded = {
            key for queue in self.queues.values() for key, _ in (*(queue.borrowing or ()), *(queue.lending or ()))
        }
        for queue, keys in asked.items():
            for each in self.path(queue)[:-1]:
                for key in keys if self.policy.limits else ():
                    held = self.held(each, new).get(key, 0)
                    assert held <= self.most(each, key), f"{each} holds {held} {key}, and may {self.most(each, key)}"
            for key in bounded & set(keys) if self.policy.gang_limits else ():
                assert self.available(queue, key, new) >= 0, f"{queue} holds more {key} than others lend it"
        for bind in binds if self.policy.gang_limits else ():
            self.judge_owners(self.gangs[bind.gang], dict(self.pods[bind.uid].shape.requests), new)

    def judge_owners(self, gang, keys, new):
        for each in self.path(gang.queue):
            for field, name, same in (
                ("namespaces", gang.id.partition("/")[0], lambda other: other.id.partition("/")[0]),
                ("users", gang.user, lambda other: other.user),
            ):
                limit = self.limit_of(each, field, name)
                if limit is None:
                    continue
                held = self.held(each, new, lambda other, same=same, name=name: same(other) == name)
                for key, most in limit.most:
                    assert key not in keys or held.get(key, 0) <= most, f"{name} holds too much {key} in {each}"
                if limit.jobs is not None:
                    jobs = {pod.gang for pod in self.pods.values() if self.place_of(pod) or pod.uid in new}
                    mine = [
                        other.id
                        for other in self.gangs.values()
                        if other.id in jobs and same(other) == name and each in self.path(other.queue)
                    ]
                    before = [other for other in mine if self.holds(other)]
                    assert len(mine) <= max(limit.jobs, len(before)), f"{name} has {len(mine)} jobs in {each}"

    def holds(self, gang_id):
        """It has a pod somewhere, or one has ended there whose room may be held for a later phase."""
        mine = [pod for pod in self.pods.values() if pod.gang == gang_id]
        later = any(task.waits_for for task in self.gangs[gang_id].declared)
        return any(self.place_of(pod) or (later and pod.phase == "Succeeded") for pod in mine)

    def limit_of(self, queue, field, name):
        limits = self.queues[queue].limits
        for wanted in (name, "*"):
            for limit in limits:
                if wanted in getattr(limit, field):
                    return limit
        return None


class QueueWalk(Walk):
    """A life in which mostly queues change."""

    def __init__(self, seed):
        super().__init__(seed)
        nodes = list(self.world.nodes.values())
        self.world = QueueWorld(POLICIES[seed % len(POLICIES)])
        self.world.tell(QueueSeen("root"), *[QueueSeen(name) for name in NAMES], *nodes)
        self.ways = [(weight, way) for weight, way in self.ways if way.__name__ not in ("queue_changes", "restart")]
        self.ways += [(6, self.queue_changes), (1, self.world.restart), (3, self.owner_changes)]

    def queue_changes(self):
        luck = self.luck
        name = luck.choice(NAMES)
        if luck.random() < 0.1 and name != "default":
            self.world.tell(QueueGone(name))
            return

        def cpu(*choices):
            units = luck.choice(choices)
            return () if units is None else (("cpu", units * 1000),)

        def optional(*choices):
            return None if luck.random() < 0.6 else cpu(*choices)

        limits = luck.choice(
            [
                (),
                (),
                (),
                (OwnerLimit(users=("ann",), most=cpu(1, 2)), OwnerLimit(users=("*",), most=cpu(2, 3))),
                (OwnerLimit(namespaces=("*",), jobs=2),),
                (OwnerLimit(users=("*",), jobs=1),),
            ]
        )
        self.world.tell(
            QueueSeen(
                name,
                parent=luck.choice(["", "root", "lab", "ads", "one"]),
                weight=luck.choice([1, 3]),
                priority=luck.choice([0, 0, 5]),
                capability=cpu(None, None, 3, 6),
                deserved=cpu(None, 1, 2, 4),
                guarantee=cpu(None, None, None, 2),
                borrowing=optional(0, 1, 2),
                lending=optional(0, 1, 2),
                dequeue=luck.choice(["traverse", "traverse", "fifo"]),
                limits=limits,
                hierarchy=luck.choice([(), (("root", 1.0), ("x", 2.0), (name, 1.0))]),
                state=luck.choice(["Open"] * 7 + ["Closed"]),
            )
        )

    def owner_changes(self):
        if self.world.gangs:
            name = self.luck.choice(list(self.world.gangs))
            gang = self.world.gangs[name]
            self.world.tell(msgspec.structs.replace(gang, user=self.luck.choice(["ann", "bob", ""])))

    def order_is_forgotten(self):
        """A fresh engine is not told here what owners have used; in a fifo queue nobody passes whom it puts first."""
        fifo = any(queue.dequeue == "fifo" for queue in self.world.queues.values())
        return fifo and self.world.policy in (FAIR, BY_USER)

    def gang_comes(self):
        super().gang_comes()
        name = next(reversed(self.world.gangs))
        gang = self.world.gangs[name]
        self.world.tell(
            msgspec.structs.replace(gang, queue=self.luck.choice(NAMES), user=self.luck.choice(["ann", "bob"]))
        )


@pytest.mark.parametrize("block", range(0, WALKS, BLOCK))
def test_random_lives_of_queues(block):
    for seed in range(block, block + BLOCK):
        try:
            QueueWalk(seed).live()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("seed", [812, 1361, 2804, 2881, 4589, 4791, 5752])
def test_lives_of_queues_that_once_went_wrong(seed):
    QueueWalk(seed).live()
