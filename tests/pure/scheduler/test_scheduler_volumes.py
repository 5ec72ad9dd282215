"""Claims and volumes: wire objects in, facts out, and the writes before a binding, taken back where one fails."""

import msgspec
import pytest

from flowbatch.api.core import CSINode, PersistentVolume, PersistentVolumeClaim, Pod, StorageClass
from flowbatch.engine.decisions import Step
from flowbatch.engine.events import AttachSeen, ClaimSeen, ClassSeen, LabelTest, VolumeSeen
from flowbatch.kube.request import Request
from flowbatch.scheduler.requests import NoSuchStep
from flowbatch.scheduler.shapes import Shapes
from flowbatch.scheduler.volumes import attach_fact, claim_fact, class_fact, volume_fact
from flowbatch.scheduler.volumewrites import VolumeWrites

CLAIM = {
    "metadata": {"name": "data", "namespace": "ns", "uid": "u"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local",
        "resources": {"requests": {"storage": "1Gi"}},
    },
    "status": {"phase": "Pending"},
}


def test_a_claim_is_bound_once_its_phase_says_so():
    seen = claim_fact(msgspec.convert(CLAIM, PersistentVolumeClaim))
    assert seen == ClaimSeen("ns/data", "u", "", "local", 1 << 30, ("ReadWriteOnce",))
    half = {**CLAIM, "spec": {**CLAIM["spec"], "volumeName": "v"}}
    assert claim_fact(msgspec.convert(half, PersistentVolumeClaim)).volume == ""
    whole = {**half, "status": {"phase": "Bound"}}
    assert claim_fact(msgspec.convert(whole, PersistentVolumeClaim)).volume == "v"


def test_a_volume_says_which_nodes_reach_it_and_whose_it_is():
    term = {"matchExpressions": [{"key": "host", "operator": "In", "values": ["n1"]}]}
    spec = {
        "capacity": {"storage": "2Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local",
        "claimRef": {"namespace": "ns", "name": "data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        "csi": {"driver": "d"},
    }
    seen = volume_fact(msgspec.convert({"metadata": {"name": "v"}, "spec": spec}, PersistentVolume))
    terms = ((LabelTest("host", "In", ("n1",)),),)
    assert seen == VolumeSeen(
        "v", "", terms, (), "local", 2 << 30, ("ReadWriteOnce",), claim="ns/data", driver="d", phase="Available"
    )


def test_a_class_without_a_provisioner_makes_nothing():
    body = {
        "metadata": {"name": "local"},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}],
    }
    assert class_fact(msgspec.convert(body, StorageClass)) == ClassSeen(
        "local", "", late=True, topologies=((LabelTest("zone", "In", ("a",)),),)
    )


def test_drivers_without_a_count_have_no_limit():
    drivers = [{"name": "a", "allocatable": {"count": 5}}, {"name": "b"}]
    body = {"metadata": {"name": "n"}, "spec": {"drivers": drivers}}
    assert attach_fact(msgspec.convert(body, CSINode)) == AttachSeen("n", (("a", 5),))


def test_pods_with_claims_of_their_own_have_shapes_of_their_own():
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "b", "ephemeral": {}}]

    def shape(name, shapes, some=volumes):
        pod = msgspec.convert({"metadata": {"name": name, "namespace": "ns"}, "spec": {"volumes": some}}, Pod)
        return shapes.of_pod(pod.spec, pod.metadata)

    shapes = Shapes()
    assert shape("p", shapes).claims == ("ns/data", "ns/p-b")
    assert shape("q", shapes).claims == ("ns/data", "ns/q-b")
    plain = [{"name": "a", "emptyDir": {}}]
    assert shape("p", shapes, plain) is shape("q", shapes, plain)


class Server:
    """Answers reads with claims in one phase, and keeps what was written."""

    def __init__(self, phase: str = "Pending", bound_after: int | None = None) -> None:
        self.phase, self.bound_after = phase, bound_after
        self.looks = 0
        self.written: list[tuple[str, dict]] = []

    async def send(self, request: Request) -> bytes:
        if request.method == "GET":
            self.looks += 1
            bound = self.bound_after is not None and self.looks > self.bound_after
            return msgspec.json.encode({**CLAIM, "status": {"phase": "Bound" if bound else self.phase}})
        self.written.append((request.path.rpartition("/")[2], msgspec.json.decode(request.body)))
        return b"{}"


def step(name: str, **said: object) -> Step:
    return Step("volume", name, msgspec.json.encode(said).decode())


GIVE = step("ns/data", claim="ns/data", uid="u", volume="v")
TELL = step("ns/other", claim="ns/other", uid="u2", node="n1")


async def test_waiting_ends_when_claims_are_bound_lost_or_late():
    wait = step("bound", bound=["ns/data"], seconds=5)
    server = Server(bound_after=2)
    writes = VolumeWrites(server)
    assert [await writes.is_bound(wait, 1) for _ in range(3)] == [False, False, True]
    with pytest.raises(NoSuchStep, match="lost its volume"):
        await VolumeWrites(Server("Lost")).is_bound(wait, 1)
    with pytest.raises(NoSuchStep, match="was not bound within 5 s"):
        await VolumeWrites(Server()).is_bound(wait, 5)


async def test_what_was_written_is_taken_back_last_first():
    server = Server()
    writes = VolumeWrites(server)
    for each in (GIVE, TELL):
        await writes.do(each)
    await writes.take_back([GIVE, Step("patch", "mine", "{}"), TELL])
    assert [name for name, _ in server.written] == ["v", "other", "other", "v"]
    (_, given), (_, told), (_, untold), (_, taken) = server.written
    assert given["spec"]["claimRef"]["name"] == "data"
    assert told["metadata"]["annotations"] == {"volume.kubernetes.io/selected-node": "n1"}
    assert untold["metadata"]["annotations"] == {"volume.kubernetes.io/selected-node": None}
    assert taken["spec"] == {"claimRef": None}


async def test_what_is_bound_by_now_stays():
    server = Server(bound_after=0)
    await VolumeWrites(server).take_back([GIVE])
    assert server.written == []


async def test_a_step_that_makes_no_sense_is_a_step_that_failed():
    for value in ("", "[]", "{}", '{"claim": "ns/x"}'):
        with pytest.raises(NoSuchStep):
            await VolumeWrites(Server()).do(Step("volume", "x", value))
