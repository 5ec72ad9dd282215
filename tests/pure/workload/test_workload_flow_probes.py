"""Do probes open a step while its target runs, ask the right pods, and leave other targets alone?"""

import msgspec
import pytest
from msgspec.structs import replace

from flowbatch.api.batch import TaskState
from flowbatch.api.core import Pod
from tests.flowworld import SPEC, FlowWorld, a_step

TWO = {"tasks": [{**SPEC["tasks"][0], "name": "server", "replicas": 2}, {**SPEC["tasks"][0], "name": "side"}]}


def probed(probe, *targets, **more):
    targets = targets or ("s",)
    step = a_step("c", dependsOn={"targets": list(targets), "probe": probe}, **more)
    world = FlowWorld(*(a_step(name) for name in targets), step, templates={**dict.fromkeys(targets, TWO), "c": SPEC})
    world.settle()
    return world


def run_pods(world, job, task="server", count=2, ip="10.0.0.1"):
    owner = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "name": f"f-{job}", "controller": True}
    owner["uid"] = world.jobs[f"f-{job}"].metadata.uid
    for at in range(count):
        meta = {
            "name": f"f-{job}-{task}-{at}",
            "namespace": "ns",
            "uid": f"{job}-{task}-{at}",
            "ownerReferences": [owner],
        }
        meta["labels"] = {"volcano.sh/task-spec": task}
        status = {"phase": "Running", "podIP": ip}
        world.pods.setdefault(f"f-{job}", []).append(msgspec.convert({"metadata": meta, "status": status}, Pod))
    world.settle()


def answer(world, said=""):
    world.answers = dict.fromkeys(world.asks, said)
    world.settle()


HTTP = {"httpGetList": [{"taskName": "server", "path": "/ok", "port": 80, "httpHeader": {"name": "X", "value": "1"}}]}


def test_a_step_begins_when_every_pod_of_the_task_answers_and_not_before():
    world = probed(HTTP)
    assert world.states == {"s": "Running", "c": "Probing"}
    assert world.step("c").message == "f-s: 0 of 2 pods of task server running"
    run_pods(world, "s")
    assert [(ask.pod, ask.port, ask.path, ask.header) for ask in world.asks] == [
        ("f-s-server-0", 80, "/ok", ("X", "1")),
        ("f-s-server-1", 80, "/ok", ("X", "1")),
    ]
    answer(world, "refused")
    assert (world.states["c"], world.step("c").message) == ("Probing", "refused")
    answer(world)
    assert (world.states["c"], world.made, world.asks) == ("Running", ["f-s", "f-c"], ())


def test_a_port_is_asked_of_every_task_if_none_is_named():
    world = probed({"tcpSocketList": [{"port": 22}]})
    run_pods(world, "s")
    run_pods(world, "s", "side", 1)
    assert [(ask.pod, ask.port, ask.path) for ask in world.asks] == [
        ("f-s-server-0", 22, ""),
        ("f-s-server-1", 22, ""),
        ("f-s-side-0", 22, ""),
    ]


@pytest.mark.parametrize(
    ("phase", "counts", "opens"),
    [
        ("Running", {"Running": 1}, False),
        ("Running", {"Running": 2}, True),
        ("Running", {"Running": 1, "Succeeded": 1}, True),
        ("Completed", {"Running": 1, "Succeeded": 1}, False),
        ("Succeeded", {"Succeeded": 2}, True),
        ("Pending", {"Pending": 2}, True),
        ("Failed", {"Failed": 2}, True),
    ],
)
def test_the_phases_of_a_task_are_read_from_its_job(phase, counts, opens):
    world = probed({"taskStatusList": [{"taskName": "server", "phase": phase}]})
    job = world.jobs["f-s"]
    world.jobs["f-s"] = replace(job, status=replace(job.status, task_status_count={"server": TaskState(phase=counts)}))
    world.settle()
    assert (world.states["c"] == "Running") == opens


def test_a_target_that_has_ended_as_it_should_need_not_answer():
    world = probed(HTTP)
    world.end("s")
    assert (world.states["c"], world.asks) == ("Running", ())


def test_a_target_that_has_failed_is_no_longer_asked():
    world = probed(HTTP)
    world.fail("s")
    assert (world.states["c"], world.step("c").reason) == ("Skipped", "DependencyFailed")


def test_a_target_without_such_a_task_has_to_end():
    probe = {"tcpSocketList": [{"taskName": "server", "port": 22}]}
    step = a_step("c", dependsOn={"targets": ["s", "plain"], "probe": probe})
    world = FlowWorld(a_step("s"), a_step("plain"), step, templates={"s": TWO, "plain": SPEC, "c": SPEC})
    world.settle()
    run_pods(world, "s")
    answer(world)
    assert world.states["c"] == "Waiting"
    world.end("plain")
    assert world.states["c"] == "Running"


def test_a_target_whose_output_is_read_has_to_end_whatever_it_answers():
    world = FlowWorld(
        a_step("s", outputs=[{"name": "n"}]),
        a_step("c", dependsOn={"targets": ["s"], "probe": HTTP}, inputs=[{"name": "N", "from": "s.n"}]),
        templates={"s": TWO, "c": SPEC},
    )
    world.settle()
    run_pods(world, "s")
    assert (world.states["c"], world.asks) == ("Waiting", ())


def test_pods_of_a_namesake_are_not_asked():
    world = probed(HTTP)
    run_pods(world, "s")
    world.pods["f-s"] = [
        replace(
            pod, metadata=replace(pod.metadata, owner_references=(replace(pod.metadata.owner_references[0], uid="x"),))
        )
        for pod in world.pods["f-s"]
    ]
    world.settle()
    assert world.asks == ()


def test_a_suspended_flow_asks_nothing():
    world = probed(HTTP)
    run_pods(world, "s")
    world.flow = replace(world.flow, spec=replace(world.flow.spec, suspend=True))
    world.settle()
    assert world.asks == ()
