"""Does validate() find every problem at once, in the author's words, and point at the author's line?"""

import inspect
from typing import Any

import pytest

from flowbatch.errors import SpecErrors
from flowbatch_dsl import Job, On, Report, Resources, Task

HERE = __file__


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def one(report: Report, name: str) -> Any:
    found = [problem for problem in report.problems if problem.name == name]
    assert found, str(report)
    return found[0]


def test_a_sound_job_has_none() -> None:
    report = Job("a", tasks=[Task("w", ["x"])]).validate()
    assert report.ok
    assert str(report) == "a: ok"
    report.raise_problems()


def test_a_problem_names_the_wire_path_the_dsl_field_and_the_line() -> None:
    at = line() + 1
    task = Task("worker", ["x"], resources=Resources(cpu="4 cores"))
    problem = one(Job("a", tasks=[Task("ps", ["x"]), task]).validate(), 'Task("worker").resources.cpu')
    assert problem.path == "spec.tasks[1].template.spec.containers[0].resources.requests.cpu"
    assert (problem.file, problem.line) == (HERE, at)
    assert 'did you mean "4"' in str(problem)
    assert f"{HERE}:{at}" in str(problem)


def test_all_problems_come_at_once() -> None:
    job = Job(
        "Bad_Name",
        queue="Q!",
        retries=-1,
        tasks=[
            Task("w", ["x"], replicas=-1, after=["nobody"]),
            Task("w", ["x"], on=[On("PodFaild", do="RestartJb")]),  # type: ignore[arg-type]
        ],
    )
    paths = {problem.path for problem in job.validate().problems}
    for start in ("metadata.name", "spec.maxRetry", "spec.tasks[0].replicas", "spec.tasks[0].dependsOn"):
        assert any(path.startswith(start) for path in paths), (start, paths)
    assert any("spec.tasks[1].policies[0]" in path for path in paths), paths
    assert any(path.startswith("spec.tasks[1].name") for path in paths), paths


@pytest.mark.parametrize(
    ("cpu", "meant"), [(0.1 + 0.2, '"300m"'), (1 / 3, '"333m"'), (float("nan"), "finite"), (float("inf"), "finite")]
)
def test_a_float_without_an_exact_quantity_is_refused_with_what_was_meant(cpu: float, meant: str) -> None:
    report = Job("a", tasks=[Task("w", ["x"], resources=Resources(cpu=cpu))]).validate()
    assert meant in one(report, 'Task("w").resources.cpu').hint
    assert len(report.problems) == 1


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (lambda: Task("w", ["x"], env={"A": 1}), 'Task("w").env[A]'),  # type: ignore[dict-item]
        (lambda: Task("w", ["x", 3]), 'Task("w").command[1]'),  # type: ignore[list-item]
        (lambda: Task("w", ["x"], replicas=2.5), 'Task("w").replicas'),  # type: ignore[arg-type]
        (lambda: Task("w", ["x"], replicas=True), 'Task("w").replicas'),
        (lambda: Task("w", ["x"], resources=Resources(gpu=True)), 'Task("w").resources.gpu'),
        (lambda: Task("w", ["x"], resources=Resources(shm=0.3)), 'Task("w").pod.spec.volumes[0].emptyDir.sizeLimit'),
        (lambda: Task("w", ["x"], resources={"cpu": 1}), 'Task("w").resources'),  # type: ignore[arg-type]
        (lambda: Task("w", ["x"], on=["PodFailed"]), 'Task("w").on[0]'),  # type: ignore[list-item]
        (lambda: Task("w", ["x"], pod={"spec": {"tolerations": {1, 2}}}), 'Task("w").pod.spec.tolerations'),
    ],
)
def test_python_values_that_are_no_json_are_refused(task: Any, name: str) -> None:
    one(Job("a", tasks=[task()]).validate(), name)


def test_what_is_no_task_is_refused_by_type() -> None:
    report = Job("a", tasks=["worker"]).validate()  # type: ignore[list-item]
    assert "must be a Task, not str" in str(report)


def test_a_job_from_yaml_points_into_the_yaml() -> None:
    text = Job("a", tasks=[Task("w", ["x"], replicas=2)]).to_yaml().replace("replicas: 2", "replicas: -2")
    problem = one(Job.from_yaml(text, file="a.yaml").validate(), 'Task("w").replicas')
    assert problem.file == "a.yaml"
    assert "replicas: -2" in text.splitlines()[problem.line - 1]


def test_an_unknown_field_of_a_manifest_is_refused_with_the_nearest_name() -> None:
    text = Job("a", tasks=[Task("w", ["x"])]).to_yaml() + "  minAvailabel: 1\n"
    assert "minAvailable" in str(one(Job.from_yaml(text).validate(), 'Job("a").extra.spec.minAvailabel'))


def test_raising_lists_every_problem_with_its_place() -> None:
    with pytest.raises(SpecErrors, match=r"(?s)a: 2 problems.*maxRetry.*replicas") as caught:
        Job("a", retries=-1, tasks=[Task("w", ["x"], replicas=-1)]).validate().raise_problems()
    assert str(caught.value).count(HERE) == 2


def test_doubtful_things_are_warnings_and_secrets_are_not_shown() -> None:
    job = Job("a", tasks=[Task("w", ["x"], env={"DB_PASSWORD": "hunter2"}, resources=Resources(memory="100m"))])
    report = job.validate()
    assert [warning.name for warning in report.warnings] == ['Task("w").env[DB_PASSWORD]', 'Task("w").resources.memory']
    assert "hunter2" not in str(report)


def test_html_is_escaped_and_rich_markup_is_harmless() -> None:
    job = Job("<script>", tasks=[Task("[red]w", ["<b>"], replicas=-1)])
    report = job.validate()
    for html in (job._repr_html_(), report._repr_html_()):
        assert "<script>" not in html
        assert "<b>x" not in html
    assert "\\[red]w" in job.__rich__()
    assert "\\[red]w" in report.__rich__()
