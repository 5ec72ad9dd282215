"""Claims to devices on small random clusters: no device for two, shared claims once, and nobody asleep for nothing.

What is right is said twice: by a brute-force matcher over all choices, and by a judge who looks at what was given.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    DeviceClaimGone,
    DeviceClaimSeen,
    DeviceClassGone,
    DeviceSliceGone,
    DeviceSliceSeen,
    Event,
    GangSeen,
    LabelTest,
    NodeSeen,
    PodGone,
    PodSeen,
    QueueSeen,
    ShapeSpec,
    Synced,
)
from flowbatch.model.claimasks import Alike, ClaimAsk, ClaimContent, ClaimRequest, Given, PoolDevice, Wish
from flowbatch.model.matching import Matching, Offer
from tests.claimtext import DRIVER, device_class

MARKS = ("x", "y")


# -- one node: exact or not at all

DEVICES = st.lists(
    st.builds(
        lambda marks, value: PoolDevice("", ((f"{DRIVER}/numa", value),) if value else (), ("any", *marks)),
        st.lists(st.sampled_from(MARKS), unique=True),
        st.sampled_from(("", "0", "1")),
    ),
    max_size=5,
)
WISHES = st.builds(
    lambda count, marks: Wish("gpu", count, tuple(marks)),
    st.integers(0, 3),
    st.lists(st.sampled_from(MARKS), max_size=1),
)
REQUESTS = st.lists(WISHES, min_size=1, max_size=2)
CONTENTS = st.builds(
    lambda requests, alike: ClaimContent(
        tuple(
            ClaimRequest(
                f"r{place}",
                tuple(
                    msgspec.structs.replace(wish, name=f"a{n}" if len(wishes) > 1 else "")
                    for n, wish in enumerate(wishes)
                ),
            )
            for place, wishes in enumerate(requests)
        ),
        (Alike(f"{DRIVER}/numa"),) if alike else (),
    ),
    st.lists(REQUESTS, min_size=1, max_size=2),
    st.booleans(),
)


def fits(wish: Wish, device: PoolDevice) -> bool:
    return all(mark in device.passes for mark in wish.selectors)


def choices(
    contents: Sequence[ClaimContent], devices: Sequence[PoolDevice], free: frozenset[int]
) -> Iterator[list[frozenset[int]]]:
    """Every way to give each request of each claim its devices, by trying all sets."""
    requests = [(content, request) for content in contents for request in content.requests]

    def extend(place: int, left: frozenset[int], chosen: list[frozenset[int]]) -> Iterator[list[frozenset[int]]]:
        if place == len(requests):
            if all(
                same(content, [chosen[n] for n, each in enumerate(requests) if each[0] is content], devices)
                for content in contents
            ):
                yield chosen
            return
        for wish in requests[place][1].wishes:
            able = [n for n in range(len(devices)) if fits(wish, devices[n])]
            sets = (
                combinations([n for n in able if n in left], wish.count)
                if wish.count
                else [tuple(able)]
                if able
                else []
            )
            for each in sets:
                if set(each) <= left:
                    yield from extend(place + 1, left - set(each), [*chosen, frozenset(each)])

    yield from extend(0, free, [])


def same(content: ClaimContent, chosen: list[frozenset[int]], devices: Sequence[PoolDevice]) -> bool:
    values = [dict(devices[n].attributes).get(f"{DRIVER}/numa") for each in chosen for n in each]
    return not content.alike or (None not in values and len(set(values)) == 1)


@settings(max_examples=600, deadline=None)
@given(st.lists(CONTENTS, min_size=1, max_size=2), DEVICES, st.sets(st.integers(0, 4)))
def test_devices_are_found_if_and_only_if_there_is_a_way(contents, devices, taken):
    contents = [msgspec.structs.replace(each, problem=str(n)) for n, each in enumerate(contents)]
    every = list(range(len(devices)))
    free = [n for n in every if n not in taken]
    matching = Matching(
        contents,
        Offer(free, every),
        lambda wish, n: fits(wish, devices[n]),
        lambda n, name: dict(devices[n].attributes).get(name),
    )
    found = matching.solve()
    ways = list(choices(contents, devices, frozenset(free)))
    assert (found is not None) == bool(ways)
    if found is not None:
        by_request = [
            frozenset(n for name, n in found[place] if name.partition("/")[0] == request.name)
            for place, content in enumerate(contents)
            for request in content.requests
        ]
        assert by_request in ways


# -- a cluster

NODES = ("n0", "n1", "n2")
SHARED = ("a", "b")
ASKS = {
    "one": ClaimContent((ClaimRequest("r", (Wish("gpu"),)),)),
    "two": ClaimContent((ClaimRequest("r", (Wish("gpu", 2),)),)),
    "x": ClaimContent((ClaimRequest("r", (Wish("gpu", 1, ("x",)),)),)),
    "all": ClaimContent((ClaimRequest("r", (Wish("gpu", 0),)),)),
    "or": ClaimContent((ClaimRequest("r", (Wish("gpu", 1, ("x",), name="p"), Wish("gpu", 2, name="q"))),)),
    "pair": ClaimContent((ClaimRequest("r", (Wish("gpu"),)), ClaimRequest("s", (Wish("gpu", 1, ("x",)),)))),
}
CHANGE = st.one_of(
    st.tuples(
        st.just("gang"),
        st.integers(1, 3),
        st.sampled_from(("", *ASKS)),
        st.lists(st.sampled_from(SHARED), max_size=1),
        st.sampled_from(("q", "default")),
    ),
    st.tuples(st.just("claim"), st.sampled_from(SHARED), st.sampled_from(tuple(ASKS))),
    st.tuples(
        st.just("slice"), st.sampled_from((*NODES, "*", "zone")), st.lists(st.sampled_from(("", "x")), max_size=3)
    ),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("back"), st.integers(0, 9)),
    st.tuples(st.just("fail"), st.integers(0, 9)),
    st.tuples(st.just("class"), st.booleans()),
)


class Devices:
    """What is true of claims and pools; writes what the orders say, and judges that."""

    def __init__(self) -> None:
        self.claims: dict[str, DeviceClaimSeen] = {}
        self.slices: dict[str, DeviceSliceSeen] = {}
        self.pods: dict[str, PodSeen] = {}
        self.gangs: list[GangSeen] = []
        self.classes: list[Event] = [device_class()]
        self.zones = {"n0": "a", "n1": "a", "n2": "b"}
        self.queues = [QueueSeen("root"), QueueSeen("default"), QueueSeen("q", capability=(("deviceclass/gpu", 3),))]
        self.nodes = [NodeSeen(name, (("cpu", 4), ("pods", 9)), (("zone", zone),)) for name, zone in self.zones.items()]
        self.engine = self.fresh()

    def fresh(self) -> Engine:
        engine = Engine(validate=True)
        engine.observe([*self.queues, *self.nodes, *self.classes, *self.slices.values(), *self.claims.values()])
        engine.observe([*self.gangs, *self.pods.values(), Synced()])
        return engine

    def change(self, number: int, change: tuple) -> list[Event]:
        match change:
            case ("gang", count, own, shared, queue):
                return self.gang(number, count, own, shared, queue)
            case ("claim", name, ask) if f"ns/{name}" not in self.claims:
                return [self.claim(f"ns/{name}", number, ASKS[ask])]
            case ("slice", where, marks):
                seen = self.pool(where, number, marks)
                self.slices[seen.name] = seen
                return [seen] if marks else [DeviceSliceGone(self.slices.pop(seen.name).name)]
            case ("end", which) if self.pods:
                return [PodGone(self.pods.pop(list(self.pods)[which % len(self.pods)]).uid)]
            case ("back", which) if self.claims:
                return self.back(list(self.claims)[which % len(self.claims)])
            case ("class", there):
                self.classes = [device_class()] if there else []
                return self.classes or [DeviceClassGone("gpu")]
            case _:
                return []

    def gang(self, number: int, count: int, own: str, shared: list[str], queue: str) -> list[Event]:
        asks = [ClaimAsk(ASKS[own])] if own else []
        asks += [ClaimAsk(claim=f"ns/{name}", shared=True) for name in shared]
        counted = tuple((f"deviceclass/{name}", n) for name, n in (ASKS[own].counted if own else ()))
        spec = ShapeSpec((("cpu", 1), *counted), device_claims=tuple(asks))
        events: list[Event] = [GangSeen(f"ns/g{number}", f"u{number}", queue, min_members=count, phase="Inqueue")]
        self.gangs.append(events[0])
        for index in range(count):
            name = f"p{number}-{index}"
            ids = [f"ns/{name}"] if own else []
            events += [self.claim(each, number, ASKS[own]) for each in ids]
            ids += [f"ns/{each}" for each in shared]
            pod = PodSeen(name, "ns", name, spec, f"ns/g{number}", index=index, device_claims=tuple(ids))
            self.pods[name] = pod
            events.append(pod)
        return events

    def claim(self, key: str, number: int, content: ClaimContent) -> DeviceClaimSeen:
        seen = self.claims[key] = DeviceClaimSeen(key, f"u{number}", content, own=key not in ("ns/a", "ns/b"))
        return seen

    def pool(self, where: str, number: int, marks: list[str]) -> DeviceSliceSeen:
        devices = tuple(PoolDevice(f"d{n}", (), tuple(filter(None, ("any", mark)))) for n, mark in enumerate(marks))
        terms = ((LabelTest("zone", "In", ("a",)),),) if where == "zone" else ()
        node = where if where in NODES else ""
        return DeviceSliceSeen(where, DRIVER, where, number, node=node, terms=terms, devices=devices)

    def back(self, key: str) -> list[Event]:
        """What the controller of claims does: nobody uses it, so it gives its devices back, or goes."""
        if any(key in pod.device_claims and (pod.node or key not in ("ns/a", "ns/b")) for pod in self.pods.values()):
            return []
        claim = self.claims[key]
        if claim.given is None or key not in ("ns/a", "ns/b"):
            return [DeviceClaimGone(self.claims.pop(key).id)]
        self.claims[key] = msgspec.structs.replace(claim, given=None, terms=(), reserved=())
        return [self.claims[key]]

    def follow(self, now: int) -> list[str]:
        """One cycle; steps are done and pods run at once. Who was bound."""
        binds = [each for each in self.engine.cycle(Tick(now, 10_000)).decisions if isinstance(each, Bind)]
        events: list[Event] = []
        for bind in binds:
            events += [self.write(msgspec.json.decode(step.value)) for step in bind.before]
            pod = self.pods[bind.uid] = msgspec.structs.replace(self.pods[bind.uid], node=bind.node, phase="Running")
            events.append(pod)
            for key in pod.device_claims:
                self.judge(key, bind.node)
        self.engine.observe(events)
        return [bind.uid for bind in binds]

    def write(self, said: dict) -> DeviceClaimSeen:
        claim = self.claims[said["claim"]]
        given = tuple(Given(*each) for each in said["given"]) if said.get("given") is not None else claim.given
        assert claim.given in (None, given), "given twice"
        terms = tuple(
            (
                *(LabelTest(key, operator, tuple(values)) for key, operator, values in each.get("labels", ())),
                *(
                    LabelTest(key, operator, tuple(values), field=True)
                    for key, operator, values in each.get("fields", ())
                ),
            )
            for each in said.get("nodes", ())
        )
        terms = terms if claim.given is None else claim.terms
        reserved = (*claim.reserved, said["pod_uid"])
        seen = self.claims[claim.id] = msgspec.structs.replace(claim, given=given, terms=terms, reserved=reserved)
        return seen

    def judge(self, key: str, node: str) -> None:
        """It has what it asks for, which nobody else has, and which the node reaches."""
        claim = self.claims[key]
        assert claim.given is not None
        mine = [(each.pool, each.device) for each in claim.given]
        others = [
            (each.pool, each.device)
            for other in self.claims.values()
            if other is not claim
            for each in other.given or ()
        ]
        assert len(set(mine)) == len(mine)
        assert not set(mine) & set(others), "given to two"
        for pool, _ in mine:
            assert pool in (node, "*") or (pool == "zone" and self.zones[node] == "a"), "out of reach"

    def held(self, engine: Engine) -> list[tuple[str, str, str]]:
        claims = engine.state.device_claims
        return sorted(claims.pools.names[number] for number in claims.used)


@settings(max_examples=120, deadline=None)
@given(st.lists(CHANGE, min_size=3, max_size=16))
def test_no_device_is_given_twice_and_nobody_sleeps_who_could_have_some(changes):
    world = Devices()
    for number, change in enumerate(changes):
        world.engine.observe(world.change(number, change))
        world.follow(2 * number + 1)
        world.engine.adopt(world.engine.policy)
        late = world.follow(2 * number + 2)
        assert not late, f"{late} slept, though there was a place"
        anew = world.fresh()
        assert not anew.cycle(Tick(2 * number + 2, 10_000)).more
        assert world.held(world.engine) == world.held(anew)
        sums = [{q.name: dict(q.allocated) for q in e.state.queues.by_name.values()} for e in (world.engine, anew)]
        names = [
            {queue: e.state.axes.amounts(each) for queue, each in s.items()}
            for s, e in zip(sums, (world.engine, anew), strict=True)
        ]
        assert names[0] == names[1]
