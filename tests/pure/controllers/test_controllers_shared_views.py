"""Does a view on a shared watch hold, and tell of, exactly what an informer with selectors would?"""

from flowbatch.api.core import Pod, PodSpec, PodStatus
from flowbatch.api.kinds import POD
from flowbatch.api.meta import ObjectMeta
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig
from flowbatch.runtime.shared import SharedInformers

LABEL = "volcano.sh/job-name"


def pod(version, phase="Pending", *, labels=None, uid="u", node=""):
    meta = ObjectMeta(name="p", namespace="ns", uid=uid, resource_version=str(version), labels=labels or {LABEL: "j"})
    return Pod(metadata=meta, spec=PodSpec(node_name=node), status=PodStatus(phase=phase))


class World:
    def __init__(self):
        shared, client = SharedInformers(), Client(ClusterConfig("http://127.0.0.1:1"))
        self.base = shared.base(client, POD)
        self.view = shared(client, POD, label_selector=LABEL, indexes={"phase": lambda pod: [pod.status.phase]})
        self.told = []
        self.view.on_change(lambda old, new: self.told.append((phase(old), phase(new))))

    @property
    def held(self):
        return self.view.store.get("ns/p")


def phase(pod):
    return pod.status.phase if pod else None


def test_a_change_of_status_alone_reaches_the_view():
    world = World()
    world.base.store.put(pod(1))
    world.base.store.put(pod(2, "Running"))
    assert phase(world.held) == "Running"
    assert world.told == [(None, "Pending"), ("Pending", "Running")]
    assert [each.metadata.name for each in world.view.store.index("phase", "Running")] == ["p"]
    assert world.view.store.index("phase", "Pending") == []


def test_a_change_that_nobody_reads_still_moves_the_version():
    world = World()
    world.base.store.put(pod(1))
    world.base.store.put(pod(2))
    assert world.held.metadata.resource_version == "2"
    assert len(world.told) == 1


def test_an_object_that_stops_matching_leaves_the_view_and_one_that_starts_enters():
    world = World()
    world.base.store.put(pod(1))
    world.base.store.put(pod(2, labels={"other": "x"}))
    assert world.held is None
    world.base.store.put(pod(3, "Running"))
    assert phase(world.held) == "Running"
    assert world.told == [(None, "Pending"), ("Pending", None), (None, "Running")]


def test_a_namesake_is_another_object():
    world = World()
    world.base.store.put(pod(1))
    world.base.store.put(pod(2, "Running", uid="v"))
    world.base.store.remove("ns/p")
    assert world.told == [(None, "Pending"), ("Pending", None), (None, "Running"), ("Running", None)]
