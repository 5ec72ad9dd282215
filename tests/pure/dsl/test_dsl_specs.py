"""Are specs values: built from anything reasonable, equal, hashable, never changed, and exact to the last digit?"""

import copy
import pickle
from datetime import timedelta
from typing import get_args

import pytest

from flowbatch.workload import vocabulary
from flowbatch_dsl import Action, Event, Job, On, Resources, Task


def test_lists_and_tuples_dicts_and_names_build_equal_jobs() -> None:
    one = Job("a", tasks=[Task("w", ["x"], after=["p"], env={"A": "1"})], plugins=["svc"])
    two = Job("a", tasks=(Task("w", ("x",), after=("p",), env={"A": "1"}),), plugins={"svc": []})
    assert one == two
    assert len({one, two}) == 1


def test_where_a_spec_was_written_does_not_make_it_another() -> None:
    first = Task("a", ["x"])
    second = Task("a", ["x"])
    assert first == second


def test_specs_cannot_be_changed() -> None:
    job = Job("a", tasks=[Task("w", env={"A": "1"})], labels={"x": "y"})
    for change in (
        lambda: setattr(job, "name", "b"),
        lambda: job.labels.update(z="1"),  # type: ignore[attr-defined]
        lambda: job.tasks[0].env.__setitem__("A", "2"),  # type: ignore[attr-defined]
        lambda: job.plugins.pop("svc", None),  # type: ignore[union-attr]
    ):
        with pytest.raises((AttributeError, TypeError)):
            change()


def test_but_makes_a_changed_copy_and_leaves_the_original() -> None:
    job = Job("a", queue="x", tasks=[Task("w", ["x"])])
    night = job.but(queue="night", plugins=["svc"], tasks=[job.tasks[0].but(replicas=3)])
    assert (job.queue, night.queue, night.name) == ("x", "night", "a")
    assert (job.tasks[0].replicas, night.tasks[0].replicas) == (1, 3)
    assert night.but(queue="x", plugins=[], tasks=job.tasks) == job


def test_the_caller_keeps_its_lists_and_dicts() -> None:
    env, pod = {"A": "1"}, {"spec": {"nodeSelector": {"a": "b"}}}
    task = Task("w", env=env, pod=pod)
    env["A"], pod["spec"]["nodeSelector"]["a"] = "2", "c"
    assert task.env == {"A": "1"}
    assert task.pod == {"spec": {"nodeSelector": {"a": "b"}}}


def test_specs_survive_copy_and_pickle() -> None:
    job = Job("a", tasks=[Task("w", ["x"], env={"A": "1"}, pod={"spec": {"hostNetwork": True}})], plugins=["svc"])
    assert copy.copy(job) == copy.deepcopy(job) == pickle.loads(pickle.dumps(job)) == job


@pytest.mark.parametrize("field", ["command", "after", "on"])
def test_a_bare_string_for_a_list_is_refused_where_it_is_written(field: str) -> None:
    with pytest.raises(TypeError, match=rf"Task\.{field} must be a list"):
        Task("w", **{field: "x y"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kept"),
    [(1, "1"), ("500m", "500m"), (0.5, "500m"), (2.0, "2"), (0.1, "100m"), (1.001, "1001m"), (0.25, "250m")],
)
def test_numbers_become_their_exact_quantity(given: float | str, kept: str) -> None:
    assert Resources(cpu=given).cpu == kept


@pytest.mark.parametrize("given", [0.1 + 0.2, 1 / 3, float("nan"), float("inf"), 0.0001])
def test_a_float_with_no_exact_quantity_is_kept_for_validate_to_refuse(given: float) -> None:
    assert isinstance(Resources(cpu=given).cpu, float)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(90, "90s"), ("1h30m", "1h30m"), (timedelta(minutes=90), "90m"), (timedelta(milliseconds=1500), "1500ms")],
)
def test_delays_become_durations(given: int | str | timedelta, kept: str) -> None:
    assert On("PodPending", do="RestartJob", after=given).after == kept


def test_the_words_of_policies_are_those_of_the_rules() -> None:
    assert get_args(Event) == vocabulary.EVENTS
    assert get_args(Action) == vocabulary.ACTIONS


def test_pod_is_merged_last_by_the_rules_of_strategic_merge() -> None:
    task = Task(
        "w",
        ["x"],
        image="i",
        env={"A": "1"},
        resources=Resources(shm="1Gi"),
        pod={
            "metadata": {"labels": {"team": "ads"}},
            "spec": {
                "restartPolicy": None,
                "containers": [{"name": "main", "env": [{"name": "A", "value": "2"}]}, {"name": "side", "image": "s"}],
                "volumes": [{"name": "shm", "$patch": "delete"}, {"name": "data", "emptyDir": {}}],
            },
        },
    )
    assert (task.env, task.restart, task.resources.shm) == ({"A": "2"}, "", None)
    template = Job("j", tasks=[task]).manifests()[0]["spec"]["tasks"][0]["template"]
    assert template["metadata"] == {"labels": {"team": "ads"}}
    assert [container["name"] for container in template["spec"]["containers"]] == ["main", "side"]
    assert template["spec"]["volumes"] == [{"name": "data", "emptyDir": {}}]
    assert "restartPolicy" not in template["spec"]


def test_extended_resources_get_equal_limits_and_others_none() -> None:
    resources = Resources(cpu=2, memory="4Gi", gpu=1, extra={"rdma/hca": 1, "ephemeral-storage": "1Gi"})
    job = Job("j", tasks=[Task("w", resources=resources)])
    section = job.manifests()[0]["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["resources"]
    assert section["limits"] == {"nvidia.com/gpu": "1", "rdma/hca": "1"}
    assert section["requests"] == {
        "cpu": "2",
        "memory": "4Gi",
        "nvidia.com/gpu": "1",
        "rdma/hca": "1",
        "ephemeral-storage": "1Gi",
    }
