"""Does a flow run as plain Python, make the workflow it says, and refuse what a promise cannot do, with the line?"""

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from flowbatch.errors import SpecErrors
from flowbatch.workload.flow.values import unexpanded
from flowbatch_dsl import BoundFlow, Job, PromiseError, Step, Task, Workflow, flow, gang, step, when
from flowbatch_dsl.workflows.flow import RESULT_NOTE

FILE = Path(__file__).with_name("flowsteps.py")


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("flowsteps", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["flowsteps"] = module
    spec.loader.exec_module(module)
    return module


author = _load()


def entries(workflow: Workflow) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in workflow.manifests()[-1]["spec"]["flows"]}


def env_of(workflow: Workflow, name: str) -> dict[str, str]:
    return dict(next(node.job.tasks[0].env for node in workflow.steps if node.name == name))


def line_here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_called_a_flow_is_plain_python() -> None:
    assert author.pipeline("ab", 2) == max(len(f"ab/{i}") * 0.2 for i in range(2))
    model, said = author.nested()
    assert model.path == "p$$(HOME)"
    assert said["published"] == 1.0
    assert author.shard("a", 1) == ["a/0"]


def test_bound_it_is_a_workflow() -> None:
    bound = author.pipeline.bind("s3://b")
    assert isinstance(bound, BoundFlow)
    assert (bound.name, bound.returns) == ("pipeline", float)
    assert entries(bound) == {
        "shard": {"name": "shard", "jobTemplate": "pipeline-shard", "outputs": [{"name": "result"}]},
        "score": {
            "name": "score",
            "jobTemplate": "pipeline-score",
            "dependsOn": {"targets": ["shard"]},
            "forEach": {"from": "shard.result", "maxParallel": 4},
            "outputs": [{"name": "result"}],
            "retry": {"limit": 2, "backoffSeconds": 5},
        },
        "best": {
            "name": "best",
            "jobTemplate": "pipeline-best",
            "dependsOn": {"targets": ["score"]},
            "inputs": [{"name": "FLOWBATCH_INPUT_xs", "from": "score.result"}],
            "outputs": [{"name": "result"}],
        },
    }
    task = bound.steps[0].job.tasks[0]
    assert task.command == ("python", "-m", "flowbatch_dsl.runner", "flowsteps:shard")
    assert (task.image, task.resources.cpu) == ("reg/etl:1", "4")
    assert env_of(bound, "shard")["FLOWBATCH_ARGUMENTS"] == '{"path":"s3://b","n":8}'
    assert bound.annotations[RESULT_NOTE] == '{"$from":"best.result"}'
    assert bound.validate().ok, str(bound.validate())
    assert Workflow.from_yaml(bound.to_yaml()).steps == bound.steps


def test_a_pod_is_told_where_the_module_lies_if_it_may_start_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env_of(author.pipeline.bind("a"), "best")["FLOWBATCH_PATH"] == str(FILE.parent)
    monkeypatch.chdir(FILE.parent)
    bound = author.pipeline.bind("a")
    assert "FLOWBATCH_PATH" not in env_of(bound, "best")
    sent = [each for each in bound.submission() if each["kind"] == "JobTemplate"]
    assert all(
        {"name": "FLOWBATCH_PATH", "value": str(FILE.parent)}
        in each["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["env"]
        for each in sent
    )


def test_promises_may_stand_within_lists_and_by_star() -> None:
    bound = author.nested.bind()
    train, report = entries(bound)["train"], entries(bound)["report"]
    assert train["inputs"] == [
        {"name": "FLOWBATCH_INPUT_rates.0", "from": "score.result"},
        {"name": "FLOWBATCH_INPUT_rates.1", "from": "score-x2.result"},
    ]
    assert '"rates":[{"$from":"FLOWBATCH_INPUT_rates.0"}' in env_of(bound, "train")["FLOWBATCH_ARGUMENTS"]
    assert {each["from"] for each in report["inputs"]} == {"publish.result", "score-x4.result", "score-x5.result"}
    assert bound.annotations[RESULT_NOTE] == '[{"$from":"train.result"},{"$from":"report.result"}]'


def test_a_condition_becomes_when_and_who_takes_the_result_runs_without_it_too() -> None:
    bound = author.nested.bind()
    publish = entries(bound)["publish"]
    assert publish["when"] == [{"from": "score-x3.result", "operator": "Gt", "values": ["0.2"]}]
    assert "states" not in publish["dependsOn"]
    assert entries(bound)["report"]["dependsOn"]["states"] == ["Completed", "Skipped"]
    assert env_of(bound, "report")["FLOWBATCH_INPUT_published"] == "null"
    assert "FLOWBATCH_INPUT_model" not in env_of(bound, "publish")


def test_a_flow_in_a_flow_is_a_part_of_it() -> None:
    bound = author.composed.bind()
    assert (bound.name, dict(bound.labels)) == ("of-two", {"team": "a"})
    assert [node.name for node in bound.steps] == ["shard", "score", "best", "shard-x2", "score-x2", "best-x2"]
    assert author.composed() == [author.pipeline("a", 2), author.pipeline("bc", 3)]


def test_map_takes_a_list_as_it_is() -> None:
    @flow
    def each() -> list[float]:
        return author.score.map(["a", "bb"], lr=1.0)

    assert each() == [1.0, 2.0]
    assert entries(each.bind())["score"]["forEach"] == {"items": ["a", "bb"]}


def test_conditions_mean_the_same_in_plain_python() -> None:
    one, text = 1, "ready"
    assert (when(one) > 0.5).then(lambda: "ran") == "ran"
    assert (when(one) < 0.5).then(lambda: "ran") is None
    assert (when(text).among("ready", "late") & (when(one) > 0)).then(lambda: "ran") == "ran"
    assert when(text).not_among("ready").then(lambda: "ran") is None
    assert when(None).among("null").then(lambda: "ran") is None
    assert when(None).not_among("ready").then(lambda: "ran") == "ran"
    assert (when(None) < 1).then(lambda: "ran") is None
    assert (when("0.5") < 1).then(lambda: "ran") == "ran"
    assert when(True).among("true").then(lambda: "ran") == "ran"
    assert (when(text) > 1).then(lambda: "ran") is None


def test_conditions_hold_for_all_that_is_called_under_them() -> None:
    @flow
    def conditional() -> float | None:
        loss = author.score("a")
        return ((when(loss) < 0.5) & (when(loss) > 0)).then(author.pipeline, "x")

    steps = entries(conditional.bind())
    assert len(steps["best"]["when"]) == len(steps["shard"]["when"]) == 2
    assert steps["best"]["dependsOn"] == {"targets": ["score", "score-x2"], "states": ["Completed", "Skipped"]}


def test_what_stands_on_a_condition_must_come_of_it() -> None:
    def outside() -> Any:
        loss = author.score("a")
        return (when(loss) < 1).then(lambda: loss)

    def several() -> Any:
        return (when(author.score("a")) < 1).then(lambda: [author.nothing()])

    for function in (outside, several):
        with pytest.raises(SpecErrors, match="does not give the result of a step that is run on this condition"):
            flow(function).bind()


def test_a_condition_on_a_value_that_is_there_is_decided_when_built() -> None:
    @flow
    def of_size(n: int) -> float | None:
        author.nothing()
        return ((when(n) > 5) & (when(author.score("a")) > 0)).then(author.best, [1.0])

    assert "best" not in entries(of_size.bind(5))
    assert [each["from"] for each in entries(of_size.bind(6))["best"]["when"]] == ["score.result"]


def test_a_job_is_a_step_too() -> None:
    hpl = Job("hpl", tasks=[Task("main", ["./xhpl"])])

    @flow
    def mixed() -> tuple[float, None, float]:
        path = author.shard("a", 1)
        loss = gang(hpl, inputs={"PARTS": path, "SEED": "$$"}, output="loss", local=lambda: 0.5, retries=1)
        done = gang(hpl, loss)
        return loss, done, author.best.after(done)([loss, 1.0])

    assert mixed() == (0.5, None, 1.0)
    bound = mixed.bind()
    steps = entries(bound)
    assert steps["hpl"]["inputs"] == [{"name": "PARTS", "from": "shard.result"}]
    assert (steps["hpl"]["outputs"], steps["hpl"]["retry"]) == ([{"name": "loss"}], {"limit": 1})
    assert env_of(bound, "hpl") == {"SEED": r'"\u0024$"'}
    assert steps["hpl-x2"]["dependsOn"] == {"targets": ["hpl"]}
    assert steps["best"]["dependsOn"] == {"targets": ["hpl-x2", "hpl"]}
    assert bound.annotations[RESULT_NOTE] == '[{"$from":"hpl.loss"},null,{"$from":"best.result"}]'
    assert bound.validate().ok, str(bound.validate())


def test_what_a_skipped_step_owes_a_job_is_null() -> None:
    @flow
    def owed() -> None:
        part = (when(author.score("a")) > 1).then(author.shout, "x")
        gang(Job("hpl", tasks=[Task("main", ["./xhpl"])]), inputs={"PART": part})

    bound = owed.bind()
    assert env_of(bound, "hpl") == {"PART": "null"}
    assert entries(bound)["hpl"]["dependsOn"]["states"] == ["Completed", "Skipped"]


def test_a_job_that_gives_no_value_can_only_be_waited_for() -> None:
    hpl = Job("hpl", tasks=[Task("main", ["./xhpl"])])

    def waiting() -> Any:
        return author.report(gang(hpl))

    bound = flow(waiting).bind()
    assert entries(bound)["report"]["dependsOn"] == {"targets": ["hpl"]}
    assert env_of(bound, "report")["FLOWBATCH_ARGUMENTS"] == '{"published":null}'
    assert "gives no list" in refused(lambda: author.score.map(gang(hpl)))
    assert "gives no value to decide by" in refused(lambda: (when(gang(hpl)) > 1).then(author.nothing))


def test_a_step_may_come_after_one_whose_value_it_does_not_take() -> None:
    @flow
    def ordered() -> float:
        first = author.nothing()
        second = author.nothing()
        return author.best.after(first).after(second)([1.0])

    assert entries(ordered.bind())["best"]["dependsOn"] == {"targets": ["nothing", "nothing-x2"]}
    assert ordered() == 1.0


MISUSES = {
    "if": lambda x: 1 if x else 2,
    "len": lambda x: len(x),
    "for": lambda x: [each for each in x],  # noqa: C416
    "==": lambda x: x == 1,
    "!=": lambda x: x != 1,
    "<": lambda x: x < 1,
    "str": lambda x: str(x),
    "f-string": lambda x: f"{x}",
    "+": lambda x: x + 1,
    "1 -": lambda x: 1 - x,
    "[0]": lambda x: x[0],
    ".name": lambda x: x.name,
    "in": lambda x: 1 in x,
    "set": lambda x: {x},
    "int": lambda x: int(x),
    "range": lambda x: range(x),
    "unpack": lambda x: (lambda a, b: a)(*x),
    "call": lambda x: x(),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_what_a_promise_cannot_do_says_where_and_what_to_do_instead(misuse: Any) -> None:
    @flow
    def misused() -> Any:
        return misuse(author.shard("a", 1))

    with pytest.raises(PromiseError) as caught:
        misused.bind()
    said = str(caught.value)
    assert f"{__file__}:{inspect.getsourcelines(misuse)[1]}:" in said
    assert "result of step shard" in said
    assert "STEP.map(result)" in said
    assert "when(result)" in said


def test_an_if_on_a_condition_is_refused_in_plain_python_too() -> None:
    with pytest.raises(PromiseError, match="then"):
        bool(when(1) > 0)


def refused(function: Any) -> str:
    with pytest.raises(SpecErrors) as caught:
        flow(function).bind()
    assert f"{__file__}:{function.__code__.co_firstlineno}" in str(caught.value)
    return str(caught.value)


def test_wrong_arguments_are_refused_when_built_with_the_line() -> None:
    assert "missing a required argument: 'n'" in refused(lambda: author.shard("a"))
    assert "got an unexpected keyword argument 'm'" in refused(lambda: author.shard("a", 1, m=1))
    assert "the argument n is not int" in refused(lambda: author.shard("a", "1"))
    assert "at most 4,096 can pass: write it to a volume" in refused(lambda: author.publish("x" * 5000))
    assert "has no JSON form" in refused(lambda: author.shard(object(), 1))
    assert "stands for a promise" in refused(lambda: author.best({"$from": 1}))
    assert "stands for a promise" in refused(lambda: author.best({1: {"$from": 1}}))
    assert "such as nan or inf" in refused(lambda: author.best([float("nan")]))
    assert "such as nan or inf" in refused(lambda: author.score("a", float("inf")))
    assert "max_parallel must be at least 1" in refused(lambda: author.score.map(["a"], max_parallel=0))
    assert "an item is 5,002 bytes" in refused(lambda: author.score.map(["a" * 5000]))
    assert "cannot hold promises" in refused(lambda: author.score.map([author.nothing()]))
    assert "the argument part is not str" in refused(lambda: author.score.map([1]))


def test_a_flow_without_steps_is_refused_where_it_is_bound() -> None:
    with pytest.raises(SpecErrors, match="has no steps"):
        flow(lambda: 1).bind()


def test_a_promise_of_another_flow_is_refused() -> None:
    kept: list[Any] = []
    flow(lambda: kept.append(author.nothing())).bind()
    assert "belongs to another flow" in refused(lambda: author.best(kept[0]))


def test_a_function_that_no_pod_can_import_is_refused() -> None:
    @step
    def local() -> int:
        return 1

    assert local() == 1
    assert "inside another function" in refused(lambda: local())
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def cell() -> int: return 1", scope)
    cell = step(scope["cell"])
    assert "put it into a module" in refused(lambda: cell())


def test_async_functions_and_other_callables_are_no_steps() -> None:
    async def later() -> int:
        return 1

    with pytest.raises(TypeError, match="is async"):
        step(later)
    with pytest.raises(TypeError, match="is for functions"):
        step(len)


def test_a_flow_with_parameters_says_how_to_bind_them() -> None:
    assert not author.pipeline.runnable
    assert author.nested.runnable
    assert author.nested.manifests() == author.nested.bind().manifests()
    with pytest.raises(SpecErrors, match=r"pipeline.bind\(\.\.\.\)"):
        author.pipeline.manifests()


def test_what_kubernetes_would_expand_is_escaped() -> None:
    assert unexpanded('"$(A) $$ $x"') == r'"\u0024(A) \u0024$ $x"'
    assert r"\u0024\u0024(HOME)" in env_of(author.nested.bind(), "train")["FLOWBATCH_ARGUMENTS"]


def test_steps_are_copied_with_but() -> None:
    other = author.score.but(image="reg/other:2", retries=0)
    assert isinstance(other, Step)

    @flow
    def both() -> list[float]:
        return [author.score("a"), other("a")]

    images = [node.job.tasks[0].image for node in both.bind().steps]
    assert images == ["python:3", "reg/other:2"]
    assert isinstance(both.bind().steps[0].job, Job)


def cell(body: str, **options: Any) -> Any:
    """A step as a notebook cell defines it: its function is in no file."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(body, scope)
    return step(**options)(scope["f"])


def test_a_function_of_a_notebook_goes_along_if_asked_to() -> None:
    pytest.importorskip("cloudpickle")
    doubled = cell("FACTOR = 2\ndef f(x: int) -> int: return FACTOR * x", pickle=True, pod={"spec": {"nodeName": "n"}})
    bound = flow(namespace="ml")(lambda: doubled(3)).bind()
    config, template, _ = bound.manifests()
    assert (config["kind"], config["metadata"]["namespace"]) == ("ConfigMap", "ml")
    assert config["data"] == {"python-version": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    pod = template["spec"]["tasks"][0]["template"]["spec"]
    assert pod["containers"][0]["command"][-1] == "--pickled"
    assert pod["volumes"] == [{"name": "flowbatch-step", "configMap": {"name": config["metadata"]["name"]}}]
    assert pod["nodeName"] == "n"
    assert bound.validate().ok, str(bound.validate())
    assert Workflow.from_yaml(bound.to_yaml()).manifests() == bound.manifests()


def test_a_function_that_is_too_large_or_cannot_be_pickled_is_refused() -> None:
    pytest.importorskip("cloudpickle")
    large = cell("import os\nDATA = os.urandom(2**20)\ndef f() -> int: return len(DATA)", pickle=True)
    assert "load that inside the function" in refused(lambda: large())
    locked = cell("import threading\nLOCK = threading.Lock()\ndef f() -> bool: return LOCK.locked()", pickle=True)
    assert "cannot be pickled" in refused(lambda: locked())
