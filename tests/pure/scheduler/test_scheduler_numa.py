"""Numatopologies and Guaranteed pods as the engine hears of them."""

import msgspec
import pytest

from flowbatch.api.core import Pod
from flowbatch.api.nodeinfo import Numatopology
from flowbatch.engine.events import NumaGone, NumaSeen
from flowbatch.model.asks import NumaAsk
from flowbatch.model.cpus import layout_of
from flowbatch.policy.cpuids import decided, decision
from flowbatch.scheduler.feed import Feed
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.numa import numa_fact
from flowbatch.scheduler.shapes import Shapes
from flowbatch.scheduler.translate import pod_fact
from tests.textcluster import numa


def told(**spec):
    detail = {str(cpu): {"numa": cpu // 4, "socket": cpu // 4, "core": cpu % 4 // 2} for cpu in range(8)}
    whole = {
        "policies": {"CPUManagerPolicy": "static", "TopologyManagerPolicy": "restricted"},
        "numares": {"cpu": {"allocatable": "0-5", "capacity": 8}},
        "cpuDetail": detail,
        **spec,
    }
    return msgspec.convert({"metadata": {"name": "n1"}, "spec": whole}, Numatopology)


def test_what_the_exporter_writes():
    assert numa_fact(told(resReserved={"cpu": "1500m"})) == NumaSeen(
        "n1",
        static=True,
        policy="restricted",
        numa=((0, "0-3"), (1, "4-7")),
        sockets=("0-3", "4-7"),
        # Ids of cores begin anew in each socket.
        cores=("0-1", "2-3", "4-5", "6-7"),
        reserved=2,
        free="0-5",
    )


def test_what_the_kubelet_gave_to_whom():
    pods = [
        {"uid": "u1", "containerAllocations": [{"name": "a", "allocations": {"cpu": "0-1"}}]},
        {
            "namespace": "ns",
            "name": "p2",
            "containerAllocations": [
                {"name": "a", "allocations": {"cpu": "4"}},
                {"name": "b", "allocations": {"cpu": "6", "memory": "1Gi"}},
            ],
        },
        {"uid": "u3", "containerAllocations": [{"name": "a", "allocations": {"cpu": "some"}}]},
    ]
    assert numa_fact(told(podAllocations=pods)).told == (("ns/p2", "4,6"), ("u1", "0-1"))


@pytest.mark.parametrize(
    "spec",
    [
        {"cpuDetail": {}},
        {"cpuDetail": {"zero": {}}},
        {"policies": {}},
        {"policies": {"CPUManagerPolicy": "none", "TopologyManagerPolicy": "restricted"}},
    ],
)
def test_what_says_too_little_aligns_nobody(spec):
    assert layout_of(numa_fact(told(**spec))) is None


def test_sets_and_amounts_that_cannot_be_read_are_left_out():
    fact = numa_fact(told(numares={"cpu": {"allocatable": "0-"}}, resReserved={"cpu": "many"}))
    assert (fact.free, fact.reserved) == ("", 0)
    assert numa_fact(told(numares={})).free == ""


def test_only_what_changes_is_told_and_that_it_is_gone():
    mailbox = Mailbox()
    feed = Feed(mailbox, ["volcano"], lambda *_: None)
    feed.cpus(None, told())
    feed.cpus(told(), told())
    assert [type(each) for each in mailbox.drain(10)] == [NumaSeen]
    feed.cpus(told(), told(numares={"cpu": {"allocatable": "0-3"}}))
    assert [each.free for each in mailbox.drain(10)] == ["0-3"]
    feed.cpus(told(), None)
    assert mailbox.drain(10) == [NumaGone("n1")]


# -- pods


def container(cpu="2", memory="1Gi", limits=None):
    asked = {"cpu": cpu, "memory": memory}
    return {"name": "c", "resources": {"requests": asked, "limits": {**asked, **(limits or {})}}}


def fact(*containers, annotations=None, node="", **spec):
    meta = {"name": "p", "namespace": "ns", "uid": "u", "annotations": annotations or {}}
    meta["annotations"] = {"scheduling.k8s.io/group-name": "g", **meta["annotations"]}
    whole = {"schedulerName": "volcano", "containers": list(containers), "nodeName": node, **spec}
    pod = msgspec.convert({"metadata": meta, "spec": whole, "status": {"phase": "Pending"}}, Pod)
    return pod_fact(pod, ["volcano"], Shapes().of_pod)


def ask(*containers, **changes):
    return fact(*containers, **changes).shape.numa


def test_whole_cpus_of_a_guaranteed_pod_are_its_own():
    assert ask(container("2"), container("3000m")) == NumaAsk(cpus=(2, 3))


def test_parts_of_cpus_are_shared():
    assert ask(container("2500m"), container("1")) == NumaAsk(cpus=(1,))


def test_a_limit_without_a_request_is_a_request():
    only_limits = {"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}
    assert ask(only_limits) == NumaAsk(cpus=(2,))


@pytest.mark.parametrize(
    "containers",
    [
        [container("2", limits={"cpu": "3"})],
        [container("2"), {"name": "d"}],
        [{"name": "c", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}}],
        [{"name": "c", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}],
        [container("0")],
    ],
)
def test_pods_that_are_not_guaranteed_ask_for_nothing(containers):
    assert ask(*containers, annotations={"volcano.sh/numa-topology-policy": "restricted"}) is None


def test_init_containers_count_for_quality_and_sidecars_for_cpus_too():
    assert ask(container("2"), initContainers=[{"name": "i"}]) is None
    assert ask(container("2"), initContainers=[container("4")]) == NumaAsk(cpus=(2,))
    sidecar = {**container("1"), "restartPolicy": "Always"}
    assert ask(container("2"), initContainers=[sidecar]) == NumaAsk(cpus=(1, 2))


def test_a_pod_that_asks_as_a_whole_has_no_cpus_of_its_own():
    assert ask(container("2"), resources={"limits": {"cpu": "2"}}) is None


@pytest.mark.parametrize(("policy", "named"), [("restricted", "restricted"), ("none", ""), ("", ""), ("odd", "odd")])
def test_the_annotation_names_the_policy(policy, named):
    assert ask(container("2"), annotations={"volcano.sh/numa-topology-policy": policy}) == NumaAsk(named, (2,))


def test_pods_of_equal_specs_and_policies_share_a_shape():
    shapes = [fact(container(), annotations={"volcano.sh/numa-topology-policy": "restricted"}).shape for _ in "ab"]
    assert shapes[0] == shapes[1]
    assert shapes[0] != fact(container()).shape


# -- the decision


def test_a_decision_is_read_back_from_a_bound_pod():
    layout = layout_of(numa("n1", "restricted 2x 4"))
    said = decision(layout, 0b110110)
    assert said == {"volcano.sh/topology-decision": '{"numa":{"0":{"cpu":"2"},"1":{"cpu":"2"}},"cpus":"1-2,4-5"}'}
    assert fact(container("4"), annotations=said, node="n1").cpus == "1-2,4-5"
    assert fact(container("4"), annotations=said).cpus == ""


@pytest.mark.parametrize("text", ["", "x", "{}", '{"numa":{"0":{"cpu":"2"}}}', '{"cpus":7}', '{"cpus":"7-2"}', "[]"])
def test_a_decision_that_names_no_cpus_is_none(text):
    assert decided(text) == ""
