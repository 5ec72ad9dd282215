"""What a Numatopology must look like; Volcano has no rules of its own for it."""

import pytest

from flowbatch.workload.rules import check_numatopology


def numatopology(**spec):
    detail = {str(cpu): {"numa": cpu // 2, "socket": cpu // 2, "core": cpu} for cpu in range(4)}
    whole = {
        "policies": {"CPUManagerPolicy": "static", "TopologyManagerPolicy": "single-numa-node"},
        "resReserved": {"cpu": "500m", "memory": "1Gi"},
        "numares": {"cpu": {"allocatable": "0-3", "capacity": 4}},
        "cpuDetail": detail,
        "podAllocations": [{"uid": "u", "containerAllocations": [{"name": "c", "allocations": {"cpu": "0,2-3"}}]}],
        **spec,
    }
    return {
        "apiVersion": "nodeinfo.volcano.sh/v1alpha1",
        "kind": "Numatopology",
        "metadata": {"name": "n1"},
        "spec": whole,
    }


def problems(**spec):
    return [(each.path, each.problem) for each in check_numatopology(numatopology(**spec))]


def test_what_the_exporter_writes_is_fine():
    assert problems() == []
    assert problems(gpuDetail={"0": {"numa": 1}}) == []
    assert problems(numares={"nvidia.com/gpu": {"allocatable": "any text", "capacity": 2}}) == []
    assert problems(policies={"CPUManagerPolicy": "", "TopologyManagerPolicy": "none"}) == []


@pytest.mark.parametrize(
    ("spec", "path", "problem"),
    [
        (
            {"policies": {"TopologyManagerPolicy": "singel-numa-node"}},
            "spec.policies.TopologyManagerPolicy",
            "is no policy of this manager",
        ),
        ({"policies": {"CPUManager": "static"}}, "spec.policies.CPUManager", "is not the policy of a manager"),
        ({"resReserved": {"cpu": "-1"}}, "spec.resReserved.cpu", "must not be negative"),
        ({"cpuDetail": {"one": {}}}, "spec.cpuDetail.one", "must be the id of a cpu, at most 8191"),
        ({"cpuDetail": {"9999": {}}}, "spec.cpuDetail.9999", "must be the id of a cpu, at most 8191"),
        ({"cpuDetail": {"0": {"numa": -1}}}, "spec.cpuDetail.0.numa", "must be at least 0"),
        (
            {"numares": {"cpu": {"allocatable": "3-0"}}},
            "spec.numares.cpu.allocatable",
            'must be a set of cpus such as "0-3,8"',
        ),
        (
            {"podAllocations": [{"containerAllocations": [{"allocations": {"cpu": "0-99999"}}]}]},
            "spec.podAllocations[0].containerAllocations[0].allocations.cpu",
            'must be a set of cpus such as "0-3,8"',
        ),
        ({"cpuDetail": [1]}, "spec.cpuDetail", "must be an object, not a list"),
    ],
)
def test_one_problem_is_named_with_its_path(spec, path, problem):
    assert problems(**spec) == [(path, problem)]


def test_the_nearest_policy_is_named():
    (only,) = check_numatopology(numatopology(policies={"TopologyManagerPolicy": "best-efort"}))
    assert "best-effort" in only.hint


def test_every_problem_is_in_one_answer():
    assert len(problems(policies={"Topology": "x"}, resReserved={"cpu": "many"}, cpuDetail={"x": {"core": -1}})) == 4
