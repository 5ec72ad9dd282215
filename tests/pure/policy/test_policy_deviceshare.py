"""Volcano's deviceshare plugin: its arguments, and what binpack and spread make of nodes and devices."""

from dataclasses import replace

import pytest
import yaml

from flowbatch.errors import SpecErrors
from flowbatch.policy.devicescores import DevicePack, DeviceSpread, NodeLock
from flowbatch.policy.fragmentation import Fragmentation
from flowbatch.policy.presets import FIFO
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import binds, bound, cycle, engine_with


def read(arguments):
    plugin = f"{{name: deviceshare, arguments: {{{arguments}}}}}"
    return read_volcano(yaml.safe_load(f"tiers: [{{plugins: [{plugin}]}}]"))


def problems(arguments):
    with pytest.raises(SpecErrors) as caught:
        read(arguments)
    return [each.path.rpartition("deviceshare.")[2] for each in caught.value.problems]


def test_policy_and_weight_make_a_score_and_an_order():
    policy = read("deviceshare.VGPUEnable: true, deviceshare.SchedulePolicy: binpack, deviceshare.ScheduleWeight: '3'")
    assert policy.scores == (DevicePack(3.0),)
    assert policy.devices == DevicePack(3.0)
    assert read("deviceshare.SchedulePolicy: spread").scores == ()
    assert isinstance(read("deviceshare.SchedulePolicy: fragmentation").devices, Fragmentation)
    assert read("deviceshare.NodeLockEnable: true").steps == (NodeLock(),)
    assert read("deviceshare.KnownGeometriesCMName: x, deviceshare.KnownGeometriesCMNamespace: y").devices is None


def test_contradictions_and_unknown_worlds_are_mistakes():
    assert problems("deviceshare.GPUSharingEnable: true, deviceshare.GPUNumberEnable: true") == ["GPUNumberEnable"]
    assert problems("deviceshare.GPUSharingEnable: true, deviceshare.VGPUEnable: true") == ["VGPUEnable"]
    assert problems("deviceshare.AscendVNPUEnable: true") == ["AscendVNPUEnable"]
    assert problems("deviceshare.SchedulePolicy: tight") == ["SchedulePolicy"]


def with_order(order):
    return replace(FIFO, enqueue=(), scores=(order,), devices=order)


def test_binpack_takes_the_device_that_is_fullest_then():
    engine = engine_with(
        "node n1: cpu=9 [2 gpu]",
        "node n2: cpu=9 [2 gpu]",
        "pod a: cpu=1 [0.3 gpu] on n2 has 1:300",
        "gang g: 1x cpu=1 [0.2 gpu]",
        policy=with_order(DevicePack()),
    )
    assert bound(cycle(engine)) == {"g-0": "n2"}
    assert engine.state.tasks["g-0"].devices[0].id == "1"


def test_spread_takes_a_device_of_its_own():
    engine = engine_with(
        "node n1: cpu=9 [1 gpu]",
        "node n2: cpu=9 [2 gpu]",
        "pod a: cpu=1 [0.3 gpu] on n1 has 0:300",
        "pod b: cpu=1 [0.3 gpu] on n2 has 0:300",
        "gang g: 1x cpu=1 [0.2 gpu]",
        policy=with_order(DeviceSpread()),
    )
    assert bound(cycle(engine)) == {"g-0": "n2"}
    assert engine.state.tasks["g-0"].devices[0].id == "1"


def test_the_lock_comes_before_the_pods_own_patch():
    policy = replace(FIFO, enqueue=(), steps=(NodeLock(),))
    engine = engine_with("node n1: cpu=9 [1 gpu]", "gang g: 1x cpu=1 [0.2 gpu]", "gang h: 1x cpu=1", policy=policy)
    orders = {order.name: order.before for order in binds(cycle(engine))}
    assert [(step.kind, step.name, step.value) for step in orders["g-0"][:1]] == [("lock", "gpu", "n1")]
    assert [step.kind for step in orders["g-0"]] == ["lock", "patch"]
    assert orders["h-0"] == ()
