"""Shared devices on the wire: registered cards, what containers ask for, and annotations there and back."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.api.core import Container, Node, NodeStatus, Pod, PodSpec, PodStatus, ResourceRequirements
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.scheduling import DeclaredTask
from flowbatch.model.asks import Device, DeviceAsk, DeviceShare, MigGroup
from flowbatch.model.steps import Step
from flowbatch.policy import deviceids
from flowbatch.scheduler import devices, geometries
from flowbatch.scheduler.requests import NoSuchStep, lock_request
from flowbatch.scheduler.shapes import Shapes
from flowbatch.scheduler.translate import node_fact, pod_fact

REGISTER = "GPU-a,10,16384,NVIDIA-Tesla T4,true,hami-core:GPU-b,10,16384,NVIDIA-Tesla T4,false,hami-core:"


def node(allocatable, **annotations):
    notes = {key.replace("__", "/").replace("_", "-"): value for key, value in annotations.items()}
    meta = ObjectMeta(name="n1", annotations={f"volcano.sh/{key}": value for key, value in notes.items()})
    return node_fact(Node(metadata=meta, status=NodeStatus(allocatable=allocatable)))


def spec(*limits, init=()):
    def container(named):
        return Container(resources=ResourceRequirements(limits={f"volcano.sh/{k}": str(v) for k, v in named.items()}))

    return PodSpec(containers=tuple(map(container, limits)), init_containers=tuple(map(container, init)))


def test_gpu_memory_is_spread_over_the_cards_of_the_node():
    fact = node({"volcano.sh/gpu-memory": "32000", "volcano.sh/gpu-number": "2"}, gpu_unhealthy_ids="1")
    assert fact.devices == (Device("0", memory=16000), Device("1", memory=16000, healthy=False))


def test_a_register_names_every_card_and_its_sums_count():
    fact = node({"cpu": "4"}, node_vgpu_register=REGISTER)
    good, bad = fact.devices
    assert (good.id, good.kind, good.memory, good.slots, good.mode) == ("GPU-a", "vgpu", 16384, 10, "hami-core")
    assert not bad.healthy
    assert dict(fact.allocatable)["volcano.sh/vgpu-memory"] == 16384


@pytest.mark.parametrize("text", ["", "::", "GPU-a,ten,1,T4,true", "a,1", ",,,,", "GPU-a,1,1,T4"])
def test_nonsense_in_a_register_is_no_card(text):
    assert node({"cpu": "4"}, node_vgpu_register=text).devices == ()


def test_cards_of_a_plugin_that_left_are_gone():
    assert node({}, node_vgpu_register=REGISTER, node_vgpu_handshake="Deleted_2026.01.01 00:00:00").devices == ()


def test_memory_of_a_pod_is_the_larger_of_running_and_starting():
    assert devices.asks(spec({"gpu-memory": 10}, {"gpu-memory": 5}, init=[{"gpu-memory": 12}])) == (
        DeviceAsk("gpu", memory=15),
    )
    assert devices.asks(spec({"gpu-number": 2})) == (DeviceAsk("gpu", count=2, whole=True),)
    assert devices.asks(spec({})) == ()


def test_each_container_asks_for_its_own_cards():
    assert devices.asks(spec({"vgpu-number": 2, "vgpu-memory": 4096, "vgpu-cores": 50}, {"vgpu-memory": 1024})) == (
        DeviceAsk("vgpu", count=2, milli=500, memory=4096),
        DeviceAsk("vgpu", memory=1024),
    )


def test_without_memory_a_card_is_asked_for_whole_and_hundred_cores_want_it_alone():
    assert devices.asks(spec({"vgpu-number": 1})) == (DeviceAsk("vgpu", percent=100),)
    assert devices.asks(spec({"vgpu-number": 1, "vgpu-memory-percentage": 50})) == (DeviceAsk("vgpu", percent=50),)
    (alone,) = devices.asks(spec({"vgpu-number": 1, "vgpu-memory": 8, "vgpu-cores": 100}))
    assert alone.whole


def test_parts_of_a_card_are_no_amount_of_the_node():
    shape = Shapes().of_pod(spec({"vgpu-number": 2, "vgpu-memory-percentage": 50, "vgpu-cores": 30}))
    named = dict(shape.requests)
    assert named["volcano.sh/vgpu-number"] == 2
    assert named["volcano.sh/vgpu-cores"] == 60
    assert "volcano.sh/vgpu-memory-percentage" not in named
    assert "volcano.sh/vgpu-memory" not in named


def test_members_to_come_ask_for_devices_too():
    task = DeclaredTask(name="worker", count=2, requests={"volcano.sh/gpu-memory": "100"})
    assert Shapes().of_declared(task).devices == (DeviceAsk("gpu", memory=100),)


def pod(annotations, node_name="n1"):
    meta = ObjectMeta(name="p", namespace="ns", uid="u", annotations=annotations)
    limits = {"volcano.sh/vgpu-number": "1", "volcano.sh/vgpu-memory": "2048"}
    container = Container(resources=ResourceRequirements(limits=limits))
    whole = PodSpec(node_name=node_name, containers=(container,))
    bound = Pod(metadata=meta, spec=whole, status=PodStatus(phase="Running"))
    fact = pod_fact(bound, ("volcano",), Shapes().of_pod)
    assert fact is not None
    return fact


def test_a_bound_pod_says_what_it_has_and_which_cards_would_do():
    fact = pod(
        {
            "volcano.sh/vgpu-ids-new": "GPU-a,NVIDIA,2048,50:",
            "nvidia.com/use-gputype": "A100, V100",
            "volcano.sh/vgpu-mode": "mig",
        }
    )
    assert fact.devices == (DeviceShare("GPU-a", 500, 2048),)
    (ask,) = fact.shape.devices
    assert (ask.models, ask.mode) == (("A100", "V100"), "mig")
    assert ask.accepts("vgpu", "NVIDIA-a100 80GB", "mig")
    assert not ask.accepts("vgpu", "NVIDIA-T4", "mig")
    assert pod({"volcano.sh/vgpu-ids-new": "GPU-a,NVIDIA,many,50:"}).devices == ()


asks_of = st.one_of(
    st.lists(
        st.builds(
            DeviceAsk,
            st.just("vgpu"),
            count=st.integers(1, 3),
            milli=st.sampled_from([0, 10, 500, 990]),
            memory=st.integers(0, 9999),
        ),
        min_size=1,
        max_size=3,
    ),
    st.builds(lambda memory: [DeviceAsk("gpu", memory=memory)], st.integers(1, 99)),
    st.builds(lambda count: [DeviceAsk("gpu", count=count, whole=True)], st.integers(1, 8)),
)


@given(asks_of)
def test_what_is_written_is_read_back(asks):
    ids = iter(range(99))
    shares = tuple(
        DeviceShare(str(next(ids)), 1000 if ask.whole else ask.milli, ask.memory)
        for ask in asks
        for _ in range(ask.count)
    )
    assert deviceids.read(asks, deviceids.written(asks, shares, "n1", 1_000)) == shares


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LOCK = Step("lock", "hamivgpu", "n1")


def shown(**annotations):
    return json.dumps({"metadata": {"name": "n1", "resourceVersion": "7", "annotations": annotations}}).encode()


def test_a_lock_is_set_on_what_was_read_and_on_nothing_else():
    request = lock_request(LOCK, shown(), NOW)
    assert request is not None
    body = json.loads(request.body)
    assert body["metadata"] == {"resourceVersion": "7", "annotations": {"hamivgpu": "2026-01-01T12:00:00Z"}}


def test_a_fresh_lock_is_somebody_elses_and_an_old_one_nobodys():
    assert lock_request(LOCK, shown(hamivgpu="2026-01-01T11:58:00Z"), NOW) is None
    assert lock_request(LOCK, shown(hamivgpu="2026-01-01T11:54:00Z"), NOW) is not None
    assert lock_request(LOCK, shown(hamivgpu="who knows"), NOW) is None
    with pytest.raises(NoSuchStep):
        lock_request(LOCK, b"[]", NOW)


CONFIG = """
nvidia:
  resourceCountName: volcano.sh/vgpu-number
  knownMigGeometries:
  - models: ["A30"]
    allowedGeometries:
    - group: group1
      geometries: [{name: 1g.6gb, memory: 6144, count: 4}]
    - group: group2
      geometries: [{name: 2g.12gb, memory: 12288, count: 1}, {name: 1g.6gb, memory: 6144, count: 2}]
  - models: ["A100-SXM4-40GB", "A100-PCIE-40GB"]
    allowedGeometries:
    - - {name: 7g.40gb, memory: 40960, count: 1}
"""


def test_known_geometries_are_read_with_and_without_group_names():
    known = geometries.parse(CONFIG)
    assert geometries.groups_for("NVIDIA A30", known) == (
        MigGroup("group1", (6144,) * 4),
        MigGroup("group2", (12288, 6144, 6144)),
    )
    assert geometries.groups_for("NVIDIA-A100-PCIE-40GB", known) == (MigGroup("group1", (40960,)),)
    assert geometries.groups_for("T4", known) == ()


@pytest.mark.parametrize("text", ["", "[]", "nvidia: 3", "nvidia: {knownMigGeometries: {a: 1}}", "{", "a: [b"])
def test_a_device_configuration_without_sense_knows_nothing(text):
    assert geometries.groups_for("A30", geometries.parse(text)) == ()


def test_a_card_to_be_cut_of_which_nobody_knows_how_is_shared_by_amounts():
    register = {"volcano.sh/node-vgpu-register": "GPU-a,7,24576,NVIDIA A30,true,mig:"}
    wire = Node(metadata=ObjectMeta(name="n1", annotations=register))
    (unknown,) = node_fact(wire).devices
    assert (unknown.mode, unknown.groups) == ("hami-core", ())
    known = geometries.parse(CONFIG)
    (card,) = node_fact(wire, groups_of=lambda model: geometries.groups_for(model, known)).devices
    assert (card.mode, len(card.groups)) == ("mig", 2)
    assert geometries.needed([wire])
