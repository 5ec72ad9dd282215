"""Is every bad graph, name and word of a JobFlow refused, at its path, and every good one let in?"""

import pytest

from flowbatch.workload import rules


def flow(*steps, name="f", **spec):
    return {"metadata": {"name": name}, "spec": {"flows": list(steps), **spec}}


def step(name, *targets, **more):
    return {"name": name, **({"dependsOn": {"targets": list(targets)}} if targets else {}), **more}


def problems(manifest):
    return {each.path: each.problem for each in rules.check_job_flow(manifest)}


GIVER = step("give", outputs=[{"name": "n"}])


@pytest.mark.parametrize(
    "good",
    [
        flow(),
        flow(step("a")),
        flow(step("a"), step("b", "a"), step("c", "b")),
        flow(step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c")),
        flow(step("a"), step("b"), step("c", "a", "b"), jobRetainPolicy="delete", suspend=True),
        flow(step("a"), step("b", dependsOn={"targets": ["a"], "states": ["Completed", "Failed", "Skipped"]})),
        flow(step("a", retry={"limit": 3, "backoffSeconds": 1, "maxBackoffSeconds": 60})),
        flow(GIVER, step("b", when=[{"from": "give.n", "operator": "Gt", "values": ["0.5"]}])),
        flow(GIVER, step("b", forEach={"from": "give.n", "maxParallel": 2}, inputs=[{"name": "N", "from": "give.n"}])),
        flow(step("a", forEach={"items": [1, "x", None, {"k": [True]}]})),
        flow(step("a", jobTemplate="shared"), step("b", jobTemplate="shared")),
        flow(
            step(
                "a",
                patch={
                    "jobSpec": {"queue": "q", "priorityClassName": None, "tasks": [{"name": "w", "policies": None}]}
                },
            )
        ),
        flow(
            step("a"),
            step(
                "b",
                dependsOn={
                    "targets": ["a"],
                    "probe": {
                        "httpGetList": [{"taskName": "t", "path": "/", "port": 80}],
                        "tcpSocketList": [{"port": 22}],
                        "taskStatusList": [{"taskName": "t", "phase": "Running"}],
                    },
                },
            ),
        ),
    ],
)
def test_good_flows_are_let_in(good):
    assert problems(good) == {}


@pytest.mark.parametrize(
    ("bad", "path", "said"),
    [
        (flow(step("a", "a")), "spec.flows[0].dependsOn.targets[0]", "is the step itself"),
        (flow(step("a", "b"), step("b", "a")), "spec.flows[0].dependsOn", "closes a cycle of 2 steps"),
        (flow(step("a", "ghost")), "spec.flows[0].dependsOn.targets[0]", "is not a step of this flow"),
        (flow(step("a"), step("b", "a", "a")), "spec.flows[1].dependsOn.targets[1]", "is named twice"),
        (flow(step("a"), step("a")), "spec.flows[1].name", "is the name of spec.flows[0] already"),
        (flow({}), "spec.flows[0].name", "is missing"),
        (flow(step("A_b")), "spec.flows[0].name", "must be lower-case"),
        (flow(step("a" * 62)), "spec.flows[0].name", "makes a job name of 64 characters"),
        (flow(step("a" * 60, forEach={"items": [0] * 11})), "spec.flows[0].name", "makes a job name of 65"),
        (flow(step("a", forEach={"items": [1]}), step("a-0")), "spec.flows[1].name", "is what the jobs of step a"),
        (flow(name=""), "metadata.name", "is missing"),
        ({"metadata": {"name": "f"}}, "spec", "is missing"),
        (flow(jobRetainPolicy="drop"), "spec.jobRetainPolicy", "is not known"),
        (flow(step("a", jobTemplate="No!")), "spec.flows[0].jobTemplate", "must be lower-case"),
        (
            flow(step("a"), step("b", dependsOn={"targets": ["a"], "states": ["Done"]})),
            "spec.flows[1].dependsOn.states[0]",
            "is no end of a step",
        ),
        (flow(step("a", retry={"limit": -1})), "spec.flows[0].retry.limit", "must be at least 0"),
        (
            flow(step("a", retry={"backoffSeconds": 9, "maxBackoffSeconds": 3})),
            "spec.flows[0].retry.maxBackoffSeconds",
            "must not be less",
        ),
        (flow(step("a", when=[{"from": "b.x"}])), "spec.flows[0].when[0].from", "is of no step"),
        (
            flow(GIVER, step("b", when=[{"from": "give.m", "operator": "Exists"}])),
            "spec.flows[1].when[0].from",
            "is no output of that step",
        ),
        (
            flow(GIVER, step("b", when=[{"from": "give", "operator": "Exists"}])),
            "spec.flows[1].when[0].from",
            "must be STEP.OUTPUT",
        ),
        (
            flow(GIVER, step("b", when=[{"from": "give.n", "operator": "Like"}])),
            "spec.flows[1].when[0].operator",
            "is not known",
        ),
        (
            flow(GIVER, step("b", when=[{"from": "give.n", "operator": "In"}])),
            "spec.flows[1].when[0].values",
            "must name at least one value",
        ),
        (
            flow(GIVER, step("b", when=[{"from": "give.n", "operator": "Gt", "values": ["x"]}])),
            "spec.flows[1].when[0].values",
            "must be one number",
        ),
        (
            flow(step("a", outputs=[{"name": "n"}], inputs=[{"name": "N", "from": "a.n"}])),
            "spec.flows[0].inputs[0].from",
            "is an output of the step itself",
        ),
        (flow(step("a", forEach={})), "spec.flows[0].forEach", "exactly one of items and from"),
        (flow(step("a", forEach={"items": [0] * 1001})), "spec.flows[0].forEach.items", "are 1001: at most 1000"),
        (flow(step("a", forEach={"items": [], "maxParallel": 0})), "spec.flows[0].forEach.maxParallel", "at least 1"),
        (flow(step("a", outputs=[{"name": "n"}, {"name": "n"}])), "spec.flows[0].outputs[1].name", "named twice"),
        (flow(step("a", outputs=[{"name": "n", "index": -1}])), "spec.flows[0].outputs[0].index", "at least 0"),
        (flow(GIVER, step("b", inputs=[{"name": "A=B", "from": "give.n"}])), "spec.flows[1].inputs[0].name", "'='"),
        (flow(step("a", patch={"jobSpec": {"queu": "q"}})), "spec.flows[0].patch.jobSpec.queu", "is not a field"),
        (flow(step("a", patch={"jobSpec": {"tasks": {}}})), "spec.flows[0].patch.jobSpec.tasks", "must be a list"),
        (
            flow(step("a", dependsOn={"probe": {"tcpSocketList": [{"port": 22}]}})),
            "spec.flows[0].dependsOn.probe",
            "has nobody to ask",
        ),
        (
            flow(step("a"), step("b", dependsOn={"targets": ["a"], "probe": {"tcpSocketList": [{"port": 70000}]}})),
            "spec.flows[1].dependsOn.probe.tcpSocketList[0].port",
            "must be a port",
        ),
        (
            flow(step("a"), step("b", dependsOn={"targets": ["a"], "probe": {"httpGetList": [{"path": "/"}]}})),
            "spec.flows[1].dependsOn.probe.httpGetList[0].port",
            "is missing",
        ),
        (
            flow(
                step("a"), step("b", dependsOn={"targets": ["a"], "probe": {"taskStatusList": [{"phase": "Runing"}]}})
            ),
            "spec.flows[1].dependsOn.probe.taskStatusList[0].phase",
            "is no phase of pods",
        ),
        (
            flow(
                step("a", forEach={"items": [1]}),
                step("b", dependsOn={"targets": ["a"], "probe": {"tcpSocketList": [{"port": 22}]}}),
            ),
            "spec.flows[1].dependsOn.probe",
            "all targets run over lists",
        ),
        (flow(step("a", dependson={})), "spec.flows[0].dependson", "is not a field"),
        ({"metadata": {"name": "f"}, "spec": {"flows": "a"}}, "spec.flows", "must be a list"),
    ],
)
def test_bad_flows_are_refused_at_their_path(bad, path, said):
    found = problems(bad)
    assert said in found.get(path, ""), found


def test_a_value_that_is_read_makes_an_edge_and_so_a_cycle():
    one = step("one", outputs=[{"name": "x"}], inputs=[{"name": "Y", "from": "two.y"}])
    two = step("two", "one", outputs=[{"name": "y"}])
    assert "closes a cycle of 2 steps" in problems(flow(one, two))["spec.flows[0].dependsOn"]


@pytest.mark.parametrize("length", [2, 5000])
def test_a_ring_of_any_length_is_found_and_shown_briefly(length):
    steps = [step(f"s{index}", f"s{(index + 1) % length}") for index in range(length)]
    (said,) = problems(flow(*steps)).values()
    assert said.startswith(f"closes a cycle of {length} steps")
    assert len(said) < 200


def test_a_patch_as_deep_as_a_well_is_refused_without_being_gone_down():
    patch: dict = {}
    for _ in range(10_000):
        patch = {"volumes": [patch]}
    assert problems(flow(step("a", patch={"jobSpec": patch}))) == {
        "spec.flows[0].patch.jobSpec": "is nested deeper than 64 levels"
    }


def test_ten_thousand_steps_are_refused_without_being_walked():
    ring = [step(f"s{index}", f"s{(index + 1) % 10_000}") for index in range(10_000)]
    assert problems(flow(*ring)) == {"spec.flows": "are 10000 steps: at most 5000"}


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        [],
        "x",
        3,
        {"spec": None},
        {"spec": {"flows": [None, 3, "x", [], {"dependsOn": 3, "when": {}, "forEach": 1}]}},
    ],
)
def test_rubbish_is_refused_and_never_trips_the_rules(rubbish):
    assert rules.check_job_flow(rubbish)
    assert rules.check_job_template(rubbish)
    assert rules.check_cron_job(rubbish)


def test_on_volcanos_own_schema_what_flowbatch_adds_is_refused_by_name():
    manifest = flow(step("a"), step("b", "a", retry={"limit": 1}), suspend=True)
    found = {each.path for each in rules.check_job_flow(manifest, served=frozenset())}
    assert found == {"spec.suspend", "spec.flows[1].retry"}
    assert rules.check_job_flow(manifest, served=frozenset({"JobFlowSpec.suspend"})) == []


def test_a_template_is_checked_as_the_job_it_will_be_but_for_its_name():
    container = {"name": "main", "image": "busybox"}
    task = {"name": "w", "replicas": 1, "template": {"spec": {"containers": [container]}}}
    long = {"metadata": {"name": "t" * 63}, "spec": {"tasks": [task]}}
    assert rules.check_job_template(long) == []
    found = {each.path for each in rules.check_job_template({"metadata": {}, "spec": {"tasks": [task, task]}})}
    assert found == {"metadata.name", "spec.tasks[1].name"}
