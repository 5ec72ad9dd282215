"""Do the rules stand huge, deep, cyclic and mangled input: no crash, no hang, every refusal with a path?"""

import copy
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbatch.workload.defaults import default_job, default_pod_group, default_queue
from flowbatch.workload.rules import check_command, check_job, check_job_update, check_pod_group, check_queue
from flowbatch.workload.rules.graph import check_graph, find_cycle
from flowbatch.workload.rules.table import MOST_PROBLEMS

POD = {"spec": {"containers": [{"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "1"}}}]}}


def job(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    return {"metadata": {"name": "j"}, "spec": {"tasks": tasks}}


def chain(length: int, *, closed: bool) -> list[dict[str, Any]]:
    tasks = [{"name": f"t{index}", "replicas": 1, "template": POD} for index in range(length)]
    for index in range(1, length):
        tasks[index]["dependsOn"] = {"name": [f"t{index - 1}"]}
    if closed:
        tasks[0]["dependsOn"] = {"name": [f"t{length - 1}"]}
    return tasks


def test_a_chain_of_100000_tasks_is_read_without_recursion():
    begin = time.perf_counter()
    assert list(check_graph(job(chain(100_000, closed=False)))) == []
    assert check_job(job(chain(10_000, closed=False))) == []
    assert time.perf_counter() - begin < 20


@pytest.mark.parametrize("length", [2, 3, 10_000])
def test_a_cycle_is_named_by_its_tasks(length):
    problems = [each for each in check_job(job(chain(length, closed=True))) if "cycle" in each.problem]
    assert len(problems) == 1
    assert f"a cycle of {length} tasks" in problems[0].problem
    assert len(problems[0].problem) < 300


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4), max_size=13))
def test_a_cycle_is_found_exactly_where_there_is_one(waits):
    cycle = find_cycle(waits)
    assert all(cycle[(place + 1) % len(cycle)] in waits[task] for place, task in enumerate(cycle))
    ordered: set[int] = set()
    while ready := {
        task for task in waits if task not in ordered and all(t in ordered or t not in waits for t in waits[task])
    }:
        ordered |= ready
    assert bool(cycle) == (ordered != set(waits))


def test_hundreds_of_thousands_of_bad_labels_are_neither_counted_nor_all_shown():
    manifest = job([{"name": "t", "template": POD}])
    manifest["metadata"]["labels"] = {f"a b{index}": "x" for index in range(200_000)}
    begin = time.perf_counter()
    problems = check_job(manifest)
    assert time.perf_counter() - begin < 20
    assert len(problems) == MOST_PROBLEMS + 1
    assert "more than 2000 problems" in problems[-1].problem


def test_many_unknown_fields_are_not_all_compared_with_each_other():
    manifest = job([{"name": "t", "template": POD}])
    manifest["spec"] |= {f"taskz{index}": 1 for index in range(100_000)}
    begin = time.perf_counter()
    assert len(check_job(manifest)) == MOST_PROBLEMS + 1
    assert time.perf_counter() - begin < 20


def test_depth_is_not_followed():
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    manifest = job([{"name": "t", "template": POD}])
    manifest["spec"]["tasks"][0]["template"] = {"spec": {**POD["spec"], "affinity": deep}}
    assert check_job(manifest) == []
    manifest["spec"]["policies"] = deep
    assert [each.path for each in check_job(manifest)] == ["spec.policies"]
    while deep:  # taken apart by hand: freeing it would recurse
        deep = deep.pop("x")


WHOLE = {
    "apiVersion": "batch.volcano.sh/v1alpha1",
    "kind": "Job",
    "metadata": {"name": "j", "labels": {"a": "b"}, "annotations": {"x/y": "z"}},
    "spec": {
        "minAvailable": 1,
        "queue": "q",
        "plugins": {"svc": [], "ssh": ["--ssh-port=22"], "mpi": ["--master=a", "--worker=b"]},
        "policies": [{"event": "PodFailed", "action": "RestartJob", "timeout": "5s"}],
        "volumes": [{"mountPath": "/a", "volumeClaimName": "x"}],
        "networkTopology": {"mode": "hard", "highestTierAllowed": 1},
        "tasks": [
            {"name": "a", "replicas": 1, "template": POD, "dependsOn": {"name": ["b"], "iteration": "all"}},
            {
                "name": "b",
                "replicas": 4,
                "partitionPolicy": {"totalPartitions": 2, "partitionSize": 2},
                "policies": [{"events": ["PodEvicted"], "action": "RestartPod"}, {"exitCode": 1, "action": "AbortJob"}],
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {
                        "restartPolicy": "Never",
                        "volumes": [{"name": "v", "emptyDir": {}}],
                        "containers": [
                            {
                                "name": "c",
                                "image": "i",
                                "env": [{"name": "A", "value": "b"}],
                                "ports": [{"containerPort": 80}],
                                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                                "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
                            }
                        ],
                    },
                },
            },
        ],
    },
}
JUNK: list[Any] = [
    None, True, 0, -1, 2**31, 2**70, 10**5000, 1.5, float("nan"), "", "x", "\ud800", "a\x00", "\u202e", "A" * 5000,
    [], [None], ["x"], [[]], [{}], {}, {"": ""}, {"x": None}, {"name": 1}, {1: 2}, {None: []}, "PodFailed", "1Gi", "*",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))]


def mangled(dice: random.Random, whole: dict[str, Any]) -> Any:
    """`whole` with one to four of its values replaced, removed, or joined by an unknown one."""
    manifest = copy.deepcopy(whole)
    for _ in range(dice.randint(1, 4)):
        path = dice.choice(places(manifest)[1:] or [()])
        if not path:
            continue
        holder = manifest
        for part in path[:-1]:
            holder = holder[part]
        verb = dice.random()
        if verb < 0.7:
            holder[path[-1]] = copy.deepcopy(dice.choice(JUNK))
        elif verb < 0.85:
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[dice.choice(["x", "tasks ", "naem", 7])] = dice.choice(JUNK)
    return manifest


CHECKS = {
    "Job": (check_job, default_job, WHOLE),
    "Queue": (
        check_queue,
        default_queue,
        {
            "metadata": {
                "name": "q",
                "annotations": {"volcano.sh/hierarchy": "a/b", "volcano.sh/hierarchy-weights": "1/2"},
            },
            "spec": {
                "weight": 1,
                "capability": {"cpu": "4"},
                "deserved": {"cpu": 2},
                "guarantee": {"resource": {"cpu": 1}},
            },
            "status": {"state": "Open"},
        },
    ),
    "PodGroup": (
        check_pod_group,
        default_pod_group,
        {
            "metadata": {"name": "g"},
            "spec": {
                "minMember": 1,
                "minTaskMember": {"a": 1},
                "minResources": {"cpu": "1"},
                "declaredTasks": [
                    {"name": "a", "count": 1, "waitsFor": []},
                    {"name": "b", "count": 2, "waitsFor": ["a"]},
                ],
            },
        },
    ),
    "Command": (
        check_command,
        lambda manifest: manifest,
        {"metadata": {"name": "c"}, "action": "AbortJob", "target": {"kind": "Job", "name": "j"}},
    ),
}


@pytest.mark.parametrize("kind", CHECKS)
def test_what_the_fuzzers_start_from_is_right(kind):
    check, default, whole = CHECKS[kind]
    assert [str(each) for each in check(whole)] == []
    assert [str(each) for each in check(default(whole))] == []


@pytest.mark.parametrize("kind", CHECKS)
def test_mangled_manifests_neither_crash_nor_hang(kind):
    check, default, whole = CHECKS[kind]
    dice = random.Random(kind)  # a fixed seed: the same manifests every time
    begin = time.perf_counter()
    for _ in range(2_500):
        manifest = mangled(dice, whole)
        for problem in check(manifest):
            assert problem.path or problem.problem.startswith("and ")
            assert str(problem)
            assert len(str(problem)) < 2_000
        if isinstance(manifest, dict):
            defaulted = default(manifest)
            assert default(defaulted) == defaulted or defaulted != defaulted  # NaN equals nothing
            check(defaulted)
    assert time.perf_counter() - begin < 60


def test_mangled_updates_neither_crash_nor_hang():
    dice = random.Random(7)
    for _ in range(1_000):
        check_job_update(mangled(dice, WHOLE), mangled(dice, WHOLE))


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_judged(value):
    for check, _, _ in CHECKS.values():
        check(value)
        check({"metadata": value, "spec": value, "action": value, "target": value})
        check({"metadata": {"name": "x"}, "spec": {"tasks": [value], "policies": value, "plugins": value}})
