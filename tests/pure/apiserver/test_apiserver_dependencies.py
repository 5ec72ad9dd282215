"""Does the judge of dependencies see a pod that comes too early, and none that comes in time?"""

from typing import Any

import pytest

from flowbatch.embedded.dependencies import Dependencies


def job(status: str = "", iteration: str = "", names: tuple[str, ...] = ("a",), least: int = 2) -> dict[str, Any]:
    needs = {"name": list(names), "status": status, "iteration": iteration}
    tasks = [{"name": "a", "replicas": 2, "minAvailable": least}, {"name": "z", "replicas": 1}]
    return {"spec": {"tasks": [*tasks, {"name": "b", "replicas": 1, "dependsOn": needs}]}}


def pod(phase: str, ready: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"status": {"phase": phase, "conditions": conditions}}


B = ("uid", "b", "0")


def seen(of: dict[str, Any], *pods: dict[str, Any] | None) -> Dependencies:
    judge = Dependencies()
    for index, each in enumerate(pods):
        judge.saw(of, ("uid", "a", str(index)), each)
    return judge


@pytest.mark.parametrize(
    ("status", "first", "second", "fine"),
    [
        ("", pod("Running"), pod("Running"), True),
        ("", pod("Running"), pod("Running", ready=False), False),
        ("", pod("Running"), pod("Succeeded"), True),
        ("Running", pod("Running", ready=False), pod("Running", ready=False), True),
        ("Running", pod("Running"), pod("Pending"), False),
        ("Succeeded", pod("Succeeded"), pod("Running"), False),
        ("Succeeded", pod("Succeeded"), pod("Succeeded"), True),
        ("Ready", pod("Failed"), pod("Running"), False),
    ],
)
def test_a_task_comes_when_what_it_needs_has_come(status, first, second, fine):
    of = job(status)
    assert (seen(of, first, second).born(of, B) == "") == fine


def test_what_held_once_has_held_and_success_stays_when_its_pod_goes():
    of = job("Ready")
    judge = seen(of, pod("Running"), pod("Running"))
    judge.saw(of, ("uid", "a", "0"), None)
    assert judge.born(of, B) == ""
    of = job("Succeeded")
    judge = seen(of, pod("Succeeded"))
    judge.saw(of, ("uid", "a", "0"), None)
    judge.saw(of, ("uid", "a", "1"), pod("Succeeded"))
    assert judge.born(of, B) == ""


def test_one_of_several_is_enough_only_where_asked_and_other_jobs_do_not_count():
    for iteration, fine in (("any", True), ("all", False)):
        of = job(iteration=iteration, names=("a", "z"))
        judge = seen(of)
        judge.saw(of, ("uid", "z", "0"), pod("Running"))
        assert (judge.born(of, B) == "") == fine
    of = job()
    judge = seen(of, pod("Running"), pod("Running"))
    assert "before a came to be Ready" in judge.born(of, ("another", "b", "0"))
