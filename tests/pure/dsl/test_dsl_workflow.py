"""Is a graph of jobs one value: made by >>, equal however written, the same through YAML, refused where it is wrong?"""

import inspect

import pytest

from flowbatch.errors import SpecErrors
from flowbatch_dsl import Each, Graph, Job, Node, Output, Task, When, Workflow
from flowbatch_dsl.yamltext import load_all


def job(name: str, *words: str) -> Job:
    return Job(name, tasks=[Task("main", words or (name,))])


hpl, ctr, llama, rl = map(job, ("hpl", "ctr", "llama", "rl"))


def edges(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    return {node.name: node.after for node in workflow.steps}


def line_here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_arrows_make_a_graph_and_change_no_job() -> None:
    graph = hpl >> [ctr, llama] >> rl
    assert isinstance(graph, Graph)
    nightly = Workflow("nightly", graph)
    assert edges(nightly) == {"hpl": (), "ctr": ("hpl",), "llama": ("hpl",), "rl": ("ctr", "llama")}
    assert hpl == job("hpl")


def test_lists_nodes_and_graphs_stand_on_either_side() -> None:
    assert edges(Workflow("w", [hpl, ctr] >> rl)) == {"hpl": (), "ctr": (), "rl": ("hpl", "ctr")}
    assert edges(Workflow("w", hpl >> (ctr >> llama) >> rl)) == edges(Workflow("w", hpl >> ctr >> llama >> rl))
    assert edges(Workflow("w", [hpl >> rl, ctr >> rl])) == {"hpl": (), "rl": ("hpl", "ctr"), "ctr": ()}
    assert edges(Workflow("w", Node(hpl) >> Node(ctr, after=["hpl"]))) == {"hpl": (), "ctr": ("hpl",)}
    assert edges(Workflow("w", hpl)) == {"hpl": ()}


def test_the_same_graph_said_by_arrows_and_by_names_is_the_same_value() -> None:
    by_arrows = Workflow("w", hpl >> [ctr, llama] >> rl)
    named = [hpl, Node(ctr, after=["hpl"]), Node(llama, after=["hpl"]), Node(rl, after=["ctr", "llama"])]
    assert by_arrows == Workflow("w", named)
    assert hash(by_arrows) == hash(Workflow("w", named))
    assert by_arrows.but(name="v").but(name="w") == by_arrows
    assert by_arrows != by_arrows.but(suspend=True)


def test_a_value_that_a_step_takes_is_an_edge() -> None:
    tune = Node(hpl, outputs=["loss", Output("parts", task="main")])
    taker = Node(ctr, inputs={"LOSS": "hpl.loss"}, when=[When("hpl.loss", "Lt", [0.5])])
    each = Node(rl, each=Each(source="hpl.parts", max_parallel=2))
    assert edges(Workflow("w", [tune, taker, each])) == {"hpl": (), "ctr": ("hpl",), "rl": ("hpl",)}


FULL = Workflow(
    "full",
    [
        Node(hpl, outputs=["loss", Output("parts", "main", 1)], retries=3, backoff_s=10, max_backoff_s=60),
        Node(
            ctr, name="other", when=[When("hpl.loss", "Gt", [1]), When("hpl.loss", "Exists")], inputs={"L": "hpl.loss"}
        ),
        Node(llama, each=[1, {"a": [2]}, "x"], retries=1, after_ends=["Completed", "Skipped"], after=["other"]),
        Node(rl, each=Each(source="hpl.parts", max_parallel=2), extra={"dependsOn": {"probe": {"taskStatusList": []}}}),
    ],
    namespace="ml",
    retain="delete",
    suspend=True,
    labels={"team": "a"},
    annotations={"why": "test"},
    objects=[{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}],
    extra={"metadata": {"finalizers": ["x/y"]}},
)


@pytest.mark.parametrize("workflow", [FULL, Workflow("w", hpl >> [ctr, llama] >> rl)], ids=lambda each: each.name)
def test_nothing_is_lost_through_yaml(workflow: Workflow) -> None:
    again = Workflow.from_yaml(workflow.to_yaml())
    assert again == workflow
    assert again.to_yaml() == workflow.to_yaml()
    assert [document.value for document in load_all(workflow.to_yaml(), "x")] == workflow.manifests()


def test_the_wire_is_as_agreed() -> None:
    flow = FULL.manifests()[-1]
    assert (flow["apiVersion"], flow["kind"]) == ("flow.volcano.sh/v1alpha1", "JobFlow")
    assert flow["metadata"]["namespace"] == "ml"
    assert (flow["spec"]["jobRetainPolicy"], flow["spec"]["suspend"]) == ("delete", True)
    first, other, each, last = flow["spec"]["flows"]
    assert first == {
        "name": "hpl",
        "jobTemplate": "full-hpl",
        "outputs": [{"name": "loss"}, {"name": "parts", "task": "main", "index": 1}],
        "retry": {"limit": 3, "backoffSeconds": 10, "maxBackoffSeconds": 60},
    }
    assert other["when"] == [
        {"from": "hpl.loss", "operator": "Gt", "values": ["1"]},
        {"from": "hpl.loss", "operator": "Exists"},
    ]
    assert other["inputs"] == [{"name": "L", "from": "hpl.loss"}]
    assert each["forEach"] == {"items": [1, {"a": [2]}, "x"]}
    assert each["dependsOn"] == {"targets": ["other"], "states": ["Completed", "Skipped"]}
    assert last["forEach"] == {"from": "hpl.parts", "maxParallel": 2}
    assert last["dependsOn"] == {"targets": ["hpl"], "probe": {"taskStatusList": []}}
    assert [each["kind"] for each in FULL.manifests()] == ["ConfigMap", *["JobTemplate"] * 4, "JobFlow"]
    assert {each["metadata"]["namespace"] for each in FULL.manifests()[1:]} == {"ml"}


def test_jobs_that_differ_in_nothing_but_the_name_share_a_template() -> None:
    one, two = job("one", "same"), job("two", "same")
    workflow = Workflow("w", one >> two >> job("three", "other"))
    names = [each["metadata"]["name"] for each in workflow.manifests() if each["kind"] == "JobTemplate"]
    assert names == ["w-one", "w-three"]
    assert [each["jobTemplate"] for each in workflow.manifests()[-1]["spec"]["flows"]] == ["w-one", "w-one", "w-three"]
    assert Workflow.from_yaml(workflow.to_yaml()) == workflow


def test_volcanos_own_flows_are_read_and_fields_without_a_name_here_are_kept() -> None:
    text = """\
apiVersion: flow.volcano.sh/v1alpha1
kind: JobTemplate
metadata: {name: a}
spec: {tasks: [{name: t, replicas: 1, template: {spec: {containers: [{name: c, image: i}]}}}]}
---
apiVersion: flow.volcano.sh/v1alpha1
kind: JobFlow
metadata: {name: test}
spec:
  jobRetainPolicy: retain
  flows:
  - name: a
    patch: {jobSpec: {queue: night}}
"""
    workflow = Workflow.from_yaml(text)
    assert workflow.steps[0].extra == {"patch": {"jobSpec": {"queue": "night"}}}
    assert Workflow.from_yaml(workflow.to_yaml()) == workflow


def test_what_a_workflow_cannot_hold_is_refused_and_never_dropped() -> None:
    texts = Workflow("w", hpl >> ctr).to_yaml().split("---\n")
    with pytest.raises(SpecErrors, match="expected one JobFlow, found 0: JobTemplate, JobTemplate"):
        Workflow.from_yaml("---\n".join(texts[:-1]))
    with pytest.raises(SpecErrors, match=r"'w-ctr': there is no JobTemplate for it \(one of w-hpl"):
        Workflow.from_yaml("---\n".join([texts[0], texts[2]]))
    idle = texts[0].replace("w-hpl", "w-idle")
    with pytest.raises(SpecErrors, match="JobTemplate/w-idle: is used by no step"):
        Workflow.from_yaml("---\n".join([idle, *texts]))
    with pytest.raises(SpecErrors, match="is not the workflow's"):
        Workflow.from_yaml("---\n".join(texts).replace("name: w-hpl", "name: w-hpl\n  namespace: other", 1))
    with pytest.raises(SpecErrors, match="is written by the cluster"):
        Workflow.from_yaml("---\n".join(texts) + "status: {}\n")


def test_a_circle_is_refused_by_the_arrow_that_closes_it() -> None:
    with pytest.raises(SpecErrors, match="wait for each other: hpl >> ctr >> hpl") as caught:
        hpl >> ctr >> hpl
    assert f"{__file__}:{line_here() - 1}" in str(caught.value)
    with pytest.raises(SpecErrors, match="wait for each other"):
        Workflow("w", [hpl >> ctr, ctr >> hpl])
    with pytest.raises(SpecErrors, match="would wait for itself"):
        hpl >> hpl


def test_two_jobs_of_one_name_are_refused_with_a_way_out() -> None:
    with pytest.raises(SpecErrors, match=r'two different steps called "hpl".*name="hpl-2"'):
        hpl >> job("hpl", "other")
    again = Workflow("w", hpl >> Node(job("hpl", "other"), name="hpl-2"))
    assert [node.name for node in again.steps] == ["hpl", "hpl-2"]


def test_names_that_are_not_there_are_refused_all_at_once_with_their_lines() -> None:
    with pytest.raises(SpecErrors) as caught:
        Workflow(
            "w",
            [
                Node(hpl, after=["cte"], outputs=["loss"]),
                Node(ctr, inputs={"A": "hpl.los", "B": "llama.x"}),
            ],
        )
    said = str(caught.value)
    assert len(caught.value.problems) == 3
    assert 'did you mean "ctr"' in said
    assert 'did you mean "loss"' in said
    assert f"{__file__}:{line_here() - 8}" in said
    assert f"{__file__}:{line_here() - 8}" in said


def test_an_empty_workflow_and_a_job_of_another_namespace_are_refused() -> None:
    with pytest.raises(SpecErrors, match="has no steps"):
        Workflow("w", [])
    with pytest.raises(SpecErrors, match='namespace="ml"'):
        Workflow("w", hpl.but(namespace="ml") >> ctr)
    assert Workflow("w", hpl.but(namespace="ml"), namespace="ml") == Workflow("w", hpl, namespace="ml")


def test_what_is_no_job_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="made of jobs, not of Task"):
        hpl >> Task("main")  # type: ignore[operator]
    with pytest.raises(TypeError, match="made of jobs, not of str"):
        Workflow("w", "hpl")  # type: ignore[arg-type]


def test_a_jobs_problem_is_reported_with_its_line_and_its_template() -> None:
    bad = Job("bad", tasks=[Task("main", ["x"], replicas=-1)])
    report = Workflow("w", hpl >> bad).validate()
    assert not report.ok
    assert report.problems[0].path.startswith("JobTemplate/w-bad spec.tasks[0]")
    assert report.problems[0].line == line_here() - 4
    assert Workflow("w", hpl >> ctr).validate().ok


def test_a_thousand_steps_in_a_row_and_side_by_side_are_no_trouble() -> None:
    row: Graph | Job = job("s-0")
    for i in range(1, 400):
        row = row >> job(f"s-{i}")
    assert len(Workflow("row", row).steps) == 400
    wide = Workflow("wide", hpl >> [job(f"w-{i}") for i in range(1000)] >> rl)
    assert len(wide.steps[-1].after) == 1000


def test_a_workflow_is_drawn_and_told_in_words() -> None:
    assert str(Workflow("w", hpl >> ctr)).splitlines() == [
        "Workflow w: 2 steps",
        "  hpl  main x1",
        "  ctr  main x1  after hpl",
    ]
    picture = Workflow("w", job("<b>") >> [ctr, rl])._repr_html_()
    assert picture.count("<rect") == 3
    assert picture.count("<path") == 2
    assert "<b>" not in picture.replace("<b>w</b>", "")
