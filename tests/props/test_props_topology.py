"""For all trees: does a hard gang start exactly if some domain holds it, and never outside one, whatever happens?

The references here know nothing of rows or indexes: domains are sets of names, and packing is tried out exactly.
"""

import os
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.engine.decisions import Bind, Evict, Plan
from flowbatch.engine.events import (
    GangSeen,
    HyperNodeGone,
    HyperNodeSeen,
    LabelTest,
    Members,
    NodeGone,
    NodeSeen,
    PodGone,
    PodSeen,
    Reach,
    ShapeSpec,
    SubGroups,
)
from flowbatch.model.state import ClusterState
from flowbatch.model.topology import Topology
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, PREEMPTING
from tests.factworld import World
from tests.props.test_props_engine import SHAPES, node, pod
from tests.props.test_props_walk import Walk
from tests.textcluster import bound, cycle, engine_with

WALKS = int(os.environ.get("FLOWBATCH_WALKS", "200"))
BLOCK = 20


# -- a reference of who is inside what


def named(members: Members, name: str, labels: dict[str, str]) -> bool:
    if members.name:
        return members.name == name
    if members.pattern:
        return re.search(members.pattern, name) is not None
    return bool(members.labels) and all(labels.get(test.key) in test.values for test in members.labels)


def inside(trees: dict[str, HyperNodeSeen], nodes: dict[str, NodeSeen]) -> dict[str, frozenset[str]]:
    """HyperNode -> names of all nodes in it; one without exactly one parent of a higher tier stands alone."""
    parents: dict[str, list[str]] = {name: [] for name in trees}
    for name, tree in trees.items():
        for child in trees:
            if any(each.kind == "HyperNode" and named(each, child, {}) for each in tree.members):
                parents[child].append(name)
    above = {name: [each for each in mine if trees[each].tier > trees[name].tier] for name, mine in parents.items()}
    found: dict[str, frozenset[str]] = {}
    for name, tree in sorted(trees.items(), key=lambda item: item[1].tier):
        own = {
            node
            for node, fact in nodes.items()
            if any(each.kind == "Node" and named(each, node, dict(fact.labels)) for each in tree.members)
        }
        children = [found[child] for child in trees if above[child] == [name]]
        found[name] = frozenset(own.union(*children))
    return found


def near(trees: dict[str, HyperNodeSeen], nodes: dict[str, NodeSeen], reach: Reach, places: set[str]) -> bool:
    """Whether one domain that is close enough holds all these nodes."""
    sets = inside(trees, nodes)
    if reach.name:
        tops = [sets[name] for name, tree in trees.items() if tree.tier_name == reach.name]
        allowed = [name for name in trees if any(sets[name] <= top for top in tops)]
    else:
        allowed = [name for name, tree in trees.items() if reach.highest is None or tree.tier <= reach.highest]
    return any(places <= sets[name] for name in allowed)


# -- one gang, exactly


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[str], dict[str, int], dict[str, list[str]]]:
    """Lines of a text cluster, free cores by node, and the nodes of every domain of tier 1 and 2."""
    racks = draw(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=4))
    lines, free, domains = [], {}, {}
    for rack, cores in enumerate(racks):
        names = []
        for core in cores:
            name = f"n{len(free)}"
            names.append(name)
            free[name] = core
            lines.append(f"node {name}: cpu=8")
            lines.append(f"pod on-{name}: cpu={8 - core} on {name}")
        domains[f"r{rack}"] = names
        lines.append(f"hypernode r{rack}: tier 1, {' '.join(names)}")
    split = draw(st.integers(0, len(racks)))
    for block, members in enumerate((list(range(split)), list(range(split, len(racks))))):
        if members:
            domains[f"b{block}"] = [name for rack in members for name in domains[f"r{rack}"]]
            lines.append(f"hypernode b{block}: tier 2, hypernodes {' '.join(f'r{rack}' for rack in members)}")
    return lines, free, domains


def packs(sizes: tuple[int, ...], room: tuple[int, ...]) -> bool:
    """Whether pods of these sizes fit into nodes with that much room: every way is tried."""
    if not sizes:
        return True
    first, *rest = sizes
    return any(
        packs(tuple(rest), (*room[:at], left - first, *room[at + 1 :])) for at, left in enumerate(room) if left >= first
    )


@given(clusters(), st.integers(1, 6), st.integers(1, 3), st.integers(1, 2))
def test_a_gang_of_equal_pods_starts_exactly_if_some_domain_holds_it(cluster, count, size, tier):
    lines, free, domains = cluster
    engine = engine_with(*lines, f"gang job: {count}x cpu={size}, hard {tier}")
    places = {*bound(cycle(engine)).values()}
    allowed = [names for name, names in domains.items() if tier == 2 or name.startswith("r")]
    fits = any(packs((size,) * count, tuple(free[name] for name in names)) for names in allowed)
    assert bool(places) == fits
    if places:
        assert any(places <= {*names} for names in allowed)
        if any(packs((size,) * count, tuple(free[n] for n in names)) for x, names in domains.items() if x[0] == "r"):
            assert any(places <= {*names} for x, names in domains.items() if x[0] == "r"), "a tighter one would do"


@given(clusters(), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 2))
def test_a_gang_of_several_shapes_starts_only_where_it_fits(cluster, sizes, tier):
    lines, free, domains = cluster
    parts = ", ".join(f"1x t{at} cpu={size}" for at, size in enumerate(sizes))
    engine = engine_with(*lines, f"gang job: {parts}, hard {tier}")
    places = {*bound(cycle(engine)).values()}
    allowed = [names for name, names in domains.items() if tier == 2 or name.startswith("r")]
    if places:
        assert any(places <= {*names} for names in allowed)
    elif len(sizes) <= 2:
        fits = any(packs(tuple(sizes), tuple(free[name] for name in names)) for names in allowed)
        assert not fits, "two pods are placed wherever they fit"


@given(clusters(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 3))
def test_sub_gangs_start_exactly_if_enough_racks_hold_one(cluster, teams, size, cpu, least):
    lines, free, domains = cluster
    least = min(least, teams)
    gang = (
        f"gang job: {teams * size}x t cpu={cpu}, min {max(1, least) * size}, hard 2, split t {size} min {least} hard 1"
    )
    engine = engine_with(*lines, gang)
    plan = bound(cycle(engine))

    def holds(names: list[str]) -> int:
        racks = [mine for name, mine in domains.items() if name[0] == "r" and {*mine} <= {*names}]
        return sum(sum(free[node] // cpu for node in mine) // size for mine in racks)

    most = max((holds(names) for names in domains.values()), default=0)
    assert bool(plan) == (most >= max(1, least))
    where: dict[int, list[str]] = {}
    for name, place in plan.items():
        where.setdefault(int(name.rpartition("-")[2]) // size, []).append(place)
    for places in where.values():
        assert len(places) == size
        assert any({*places} <= {*names} for name, names in domains.items() if name[0] == "r")
    everybody = {*plan.values()}
    assert any(everybody <= {*names} for names in domains.values())


# -- the tree, kept up


PATTERNS = ("^n[0-2]", "3$", "n", "(n+)+", "^h[12]$")


@st.composite
def hyper_nodes(draw: st.DrawFn) -> HyperNodeSeen:
    kind = draw(st.sampled_from(["Node", "HyperNode"]))
    some = st.one_of(
        st.sampled_from([f"n{i}" for i in range(5)] if kind == "Node" else [f"h{i}" for i in range(5)]).map(
            lambda name: Members(kind, name)
        ),
        st.sampled_from(PATTERNS).map(lambda pattern: Members(kind, pattern=pattern)),
        st.sampled_from("ab").map(lambda value: Members("Node", labels=(LabelTest("rack", "In", (value,)),))),
    )
    members = tuple(draw(st.lists(some, max_size=3)))
    return HyperNodeSeen(f"h{draw(st.integers(0, 4))}", draw(st.integers(0, 3)), draw(st.sampled_from("xy")), members)


changes = st.one_of(
    hyper_nodes(),
    st.integers(0, 4).map(lambda i: HyperNodeGone(f"h{i}")),
    st.integers(0, 4).map(lambda i: NodeGone(f"n{i}")),
    st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", ""])).map(
        lambda pair: NodeSeen(f"n{pair[0]}", (("pods", 1),), (("rack", pair[1]),) if pair[1] else ())
    ),
)


@given(st.lists(st.tuples(changes, st.booleans()), max_size=30))
def test_a_tree_that_is_kept_up_equals_one_made_from_scratch(history):
    state = ClusterState()
    nodes: dict[str, NodeSeen] = {}
    for event, look in history:
        match event:
            case NodeSeen():
                nodes[event.name] = event
                state.observe_node(event)
            case NodeGone():
                nodes.pop(event.name, None)
                state.forget_node(event.name)
            case _:
                state.observe_hyper_node(event)
        if look:
            state.topology.refresh()
    state.topology.refresh()
    fresh = Topology(state.nodes)
    for domain in state.topology.by_name.values():
        fresh.observe(domain.fact)
    fresh.refresh()
    assert shown(state, state.topology) == shown(state, fresh)
    sound = {name: domain.fact for name, domain in state.topology.by_name.items()}
    if not any("(n+)+" in str(fact) for fact in sound.values()):
        assert shown(state, fresh)[0] == inside(sound, nodes)


def shown(state: ClusterState, topology: Topology) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    rows = {
        name: frozenset(state.node_at[row].name for row in domain.rows.tolist())
        for name, domain in topology.by_name.items()
    }
    return rows, topology.problems()


# -- long lives


class NearWorld(World):
    """Judges closeness too, and counts how often there was something to judge."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        super().__init__(policy)
        self.judged = {"hard": 0, "teams": 0}

    def judge(self, plan: Plan, before: dict[str, dict[str, int]]) -> None:
        super().judge(plan, before)
        binds = [each for each in plan.decisions if isinstance(each, Bind)]
        for name in dict.fromkeys(bind.gang for bind in binds):
            new = {bind.uid: bind.node for bind in binds if bind.gang == name}
            self.judge_near(self.gangs[name], new)

    def judge_near(self, gang: GangSeen, new: dict[str, str]) -> None:
        """Whoever gets a place is in one domain with all that have theirs; a sub-gang begins whole."""
        mine = [each for each in self.pods.values() if each.gang == gang.id]
        there = {
            each.uid: place
            for each in mine
            if (place := new.get(each.uid) or self.place_of(each)) and place in self.nodes and not each.deleting
        }
        if gang.reach and not gang.reach.soft:
            self.judged["hard"] += 1
            assert near(self.hyper_nodes, self.nodes, gang.reach, {*there.values()}), f"{gang.id} is spread"
        for rule in gang.sub_groups:
            teams: dict[str, list[PodSeen]] = {}
            for each in mine:
                if each.labels:
                    teams.setdefault(each.labels[0][1], []).append(each)
            for team in teams.values():
                if any(each.uid in new for each in team):
                    self.judge_team(gang, rule, team, new, there)

    def judge_team(
        self, gang: GangSeen, rule: SubGroups, team: list[PodSeen], new: dict[str, str], there: dict[str, str]
    ) -> None:
        self.judged["teams"] += 1
        places = {there[each.uid] for each in team if each.uid in there}
        if rule.reach and not rule.reach.soft:
            assert near(self.hyper_nodes, self.nodes, rule.reach, places), f"a sub-gang of {gang.id} is spread"
        before = [each for each in team if each.phase == "Succeeded" or (self.place_of(each) and not each.deleting)]
        began = [each for each in team if each.uid in new]
        if not before:
            assert len(began) >= rule.size, f"a sub-gang of {gang.id} begins in part"


class NearWalk(Walk):
    """A life in a network that changes."""

    make_world = NearWorld

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.ways += [(2, self.hyper_node_changes), (1, self.hyper_node_goes)]
        for _ in range(3):
            self.world.tell(node(self.name("n"), self.luck.randint(3, 6), zone=self.luck.choice("ab")))
        for name in ("h1", "h2", "h3", "h4"):
            self.hyper_node_changes(name)

    def hyper_node_changes(self, name: str = "") -> None:
        """h1 to h3 are racks, h4 and h5 hold some of them; rarely it is otherwise."""
        luck = self.luck
        name = name or f"h{luck.randint(1, 5)}"
        rack = name < "h4"
        tier = luck.randint(1, 3) if luck.random() < 0.05 else 1 if rack else 2
        members = []
        for _ in range(luck.randint(1, 3)):
            if rack:
                some = Members("Node", luck.choice(list(self.world.nodes)))
                members.append(luck.choice([some, some, Members(labels=(LabelTest("zone", "In", ("a",)),))]))
            else:
                members.append(
                    Members("HyperNode", f"h{luck.choice([1, 2, 3, 3, 3]) if name == 'h5' else luck.randint(1, 3)}")
                )
        self.world.tell(HyperNodeSeen(name, tier, "rack" if rack else "block", tuple(members)))

    def hyper_node_goes(self) -> None:
        if self.world.hyper_nodes:
            self.world.tell(HyperNodeGone(self.luck.choice(list(self.world.hyper_nodes))))

    def gang_comes(self) -> None:
        luck = self.luck
        if luck.random() < 0.3:
            super().gang_comes()
            return
        if len(self.world.gangs) >= 9:
            self.gang_goes()
        name, size, teams = self.name("g"), luck.choice([1, 2, 2]), luck.randint(1, 3)
        reaches = [None, Reach(soft=True), Reach(highest=1), Reach(highest=2), Reach(name="rack"), Reach()]
        rule = SubGroups("t", size, luck.randint(0, teams), (), ("part",), luck.choice(reaches))
        groups = (rule,) if luck.random() < 0.6 else ()
        least = luck.choice([size * teams, size * teams, size, 1])
        gang = GangSeen(
            name,
            f"u-{name}",
            "default",
            self.count,
            0,
            least,
            phase="Pending",
            reach=luck.choice(reaches),
            sub_groups=groups,
        )
        shape: ShapeSpec = luck.choice([*SHAPES[:1], *SHAPES[:3]])
        pods = [pod(f"{name}-{i}", shape, name, "task", i) for i in range(size * teams)]
        if groups:
            pods = [msgspec.structs.replace(each, labels=(("part", str(i // size)),)) for i, each in enumerate(pods)]
        self.world.tell(gang, *pods)


@pytest.mark.parametrize("seed", [27, 910])
def test_lives_that_once_went_wrong(seed: int) -> None:
    NearWalk(seed).live()


@pytest.mark.parametrize("block", range(0, WALKS // 4, BLOCK))
def test_random_lives_in_a_network(block: int) -> None:
    for seed in range(block, block + BLOCK):
        try:
            NearWalk(seed).live()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_lives_use_what_they_are_about() -> None:
    """A walk that never meets a hard gang, or never a sub-gang, would prove nothing."""
    judged = {"hard": 0, "teams": 0}
    for seed in range(6):
        walk = NearWalk(seed)
        walk.live()
        judged = {name: count + walk.world.judged[name] for name, count in judged.items()}
    assert min(judged.values()) > 10, judged


class EvictingWorld(NearWorld):
    """Victims begin to leave at once, and leave when they are let."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        super().__init__(PREEMPTING)
        self.leaving: dict[str, None] = {}

    def cycle(self, budget: int = 1_000) -> Plan:
        plan = super().cycle(budget)
        for each in plan.decisions:
            if isinstance(each, Evict) and each.uid in self.pods:
                self.leaving[each.uid] = None
                self.change_pod(each.uid, deleting=True)
        return plan


class EvictingWalk(NearWalk):
    """A life in which gangs have priorities, and make room for each other."""

    make_world = EvictingWorld

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.ways = [each for each in self.ways if each[1] not in (self.nobody_is_left_parked, self.world.restart)]
        self.ways.append((6, self.victims_leave))

    def victims_leave(self) -> None:
        assert isinstance(self.world, EvictingWorld)
        gone = [PodGone(uid) for uid in self.world.leaving if uid in self.world.pods]
        self.world.leaving.clear()
        self.world.tell(*gone)

    def nobody_is_left_parked(self) -> None:
        """Who was evicted, and for whom, is not to be read from facts."""

    def gang_comes(self) -> None:
        before = dict(self.world.gangs)
        super().gang_comes()
        for name, gang in list(self.world.gangs.items()):
            if name not in before:
                self.world.tell(msgspec.structs.replace(gang, priority=self.luck.choice([0, 0, 5, 9])))


@pytest.mark.parametrize("seed", [*range(20), 182])
def test_closeness_is_kept_where_gangs_make_room_for_each_other(seed: int) -> None:
    EvictingWalk(seed).live()
