"""Claims on small random clusters: every pod where its volumes can be, no volume for two, nobody asleep for nothing."""

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    AttachSeen,
    ClaimGone,
    ClaimSeen,
    ClassSeen,
    Event,
    GangSeen,
    LabelTest,
    NodeSeen,
    PodGone,
    PodSeen,
    QueueSeen,
    ShapeSpec,
    Synced,
    VolumeSeen,
)

NODES = ("n0", "n1", "n2")
CLAIMS = ("a", "b", "c")
CHANGE = st.one_of(
    st.tuples(st.just("gang"), st.integers(1, 3), st.lists(st.sampled_from(CLAIMS), max_size=2, unique=True)),
    st.tuples(st.just("claim"), st.sampled_from(CLAIMS), st.sampled_from(("local", "made")), st.integers(1, 3)),
    st.tuples(st.just("volume"), st.integers(0, 3), st.sampled_from(NODES), st.integers(1, 3)),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("drop"), st.sampled_from(CLAIMS)),
    st.tuples(st.just("limit"), st.sampled_from(NODES), st.integers(0, 2)),
)


class Storage:
    """What is true of claims and volumes; binds claims as the orders say."""

    def __init__(self) -> None:
        self.claims: dict[str, ClaimSeen] = {}
        self.volumes: dict[str, VolumeSeen] = {}
        self.pods: dict[str, PodSeen] = {}
        self.engine = Engine(validate=True)
        nodes = [NodeSeen(name, (("cpu", 4), ("pods", 9)), (("kubernetes.io/hostname", name),)) for name in NODES]
        classes = [ClassSeen("local", late=True), ClassSeen("made", "driver", late=True)]
        self.engine.observe([QueueSeen("root"), QueueSeen("default"), *nodes, *classes, Synced()])

    def change(self, number: int, change: tuple) -> list[Event]:
        match change:
            case ("gang", count, claims):
                spec = ShapeSpec((("cpu", 1),), claims=tuple(sorted(f"ns/{name}" for name in claims)))
                name = f"ns/g{number}"
                fresh = [PodSeen(f"p{number}-{i}", "ns", f"p{number}-{i}", spec, name, index=i) for i in range(count)]
                self.pods.update({pod.uid: pod for pod in fresh})
                return [GangSeen(name, f"u{number}", "default", min_members=count, phase="Inqueue"), *fresh]
            case ("claim", name, storage_class, size) if f"ns/{name}" not in self.claims:
                seen = self.claims[f"ns/{name}"] = ClaimSeen(f"ns/{name}", f"u{number}", "", storage_class, size)
                return [seen]
            case ("volume", index, node, size) if f"v{index}" not in self.volumes:
                terms = ((LabelTest("kubernetes.io/hostname", "In", (node,)),),)
                seen = VolumeSeen(f"v{index}", terms=terms, storage_class="local", capacity=size, driver="driver")
                self.volumes[seen.name] = seen
                return [seen]
            case ("end", which) if self.pods:
                return [PodGone(self.pods.pop(list(self.pods)[which % len(self.pods)]).uid)]
            case ("drop", name) if f"ns/{name}" in self.claims and not self.users(f"ns/{name}"):
                return [ClaimGone(self.claims.pop(f"ns/{name}").id)]
            case ("limit", node, count):
                return [AttachSeen(node, (("driver", count),))]
            case _:
                return []

    def users(self, claim: str) -> list[PodSeen]:
        return [pod for pod in self.pods.values() if pod.node and claim in pod.shape.claims]

    def follow(self, now: int) -> list[str]:
        """One cycle; steps are done and pods run at once. Who was bound."""
        binds = [each for each in self.engine.cycle(Tick(now, 10_000)).decisions if isinstance(each, Bind)]
        events: list[Event] = []
        for bind in binds:
            for step in bind.before:
                said = msgspec.json.decode(step.value)
                if "bound" not in said and not self.claims[said["claim"]].volume:
                    events += self.bind_claim(said["claim"], said.get("volume", ""), bind.node)
            pod = self.pods[bind.uid] = msgspec.structs.replace(self.pods[bind.uid], node=bind.node, phase="Running")
            events.append(pod)
            for claim in pod.shape.claims:
                volume = self.volumes[self.claims[claim].volume]
                assert volume.claim == claim
                assert not volume.terms or bind.node in volume.terms[0][0].values, "the volume is elsewhere"
        self.engine.observe(events)
        return [bind.uid for bind in binds]

    def bind_claim(self, claim: str, volume: str, node: str) -> list[Event]:
        if volume:
            assert not self.volumes[volume].claim, "promised to two"
        else:
            volume = f"made-for-{claim[3:]}-{self.claims[claim].uid}"
            terms = ((LabelTest("kubernetes.io/hostname", "In", (node,)),),)
            self.volumes[volume] = VolumeSeen(volume, terms=terms, driver="driver")
        self.volumes[volume] = msgspec.structs.replace(self.volumes[volume], claim=claim, phase="Bound")
        self.claims[claim] = msgspec.structs.replace(self.claims[claim], volume=volume)
        return [self.volumes[volume], self.claims[claim]]


@settings(max_examples=300, deadline=None)
@example([("gang", 3, []), ("claim", "b", "made", 1), ("gang", 2, ["b"]), ("gang", 1, [])])
@given(st.lists(CHANGE, min_size=3, max_size=16))
def test_pods_are_where_their_volumes_are_and_nobody_sleeps_who_could_be_placed(changes):
    world = Storage()
    for number, change in enumerate(changes):
        world.engine.observe(world.change(number, change))
        world.follow(2 * number + 1)
        world.engine.adopt(world.engine.policy)
        late = world.follow(2 * number + 2)
        assert not late, f"{late} slept, though there was a place"
