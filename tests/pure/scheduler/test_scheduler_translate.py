"""Does the engine hear of pods, nodes, gangs and queues exactly what placement needs?"""

import json

import msgspec
import pytest

from flowbatch.api import names
from flowbatch.api.core import Node, Pod, PriorityClass
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.engine import events
from flowbatch.model.steps import QUEUE_GATE
from flowbatch.scheduler import translate
from flowbatch.scheduler.queue_facts import queue_fact
from flowbatch.scheduler.shapes import MAX_UNITS, Shapes
from flowbatch.scheduler.translate import Priorities, UnreadableError

OURS = {"volcano"}


def pod(spec=None, status=None, **metadata) -> Pod:
    meta = {"name": "p-0", "namespace": "ns", "uid": "u0", "annotations": {"scheduling.k8s.io/group-name": "g"}}
    whole = {"metadata": {**meta, **metadata}, "spec": {"schedulerName": "volcano", **(spec or {})}}
    return msgspec.convert({**whole, "status": status or {}}, Pod)


def seen(*args, **kwargs) -> events.PodSeen:
    fact = translate.pod_fact(pod(*args, **kwargs), OURS, Shapes().of_pod)
    assert fact is not None
    return fact


def group(spec=None, status=None, **metadata) -> PodGroup:
    meta = {"name": "g", "namespace": "ns", "uid": "gu", **metadata}
    return msgspec.convert({"metadata": meta, "spec": spec or {}, "status": status or {}}, PodGroup)


def read(each: PodGroup, priorities: Priorities | None = None) -> events.GangSeen:
    fact = translate.gang_fact(each, priorities or Priorities(), Shapes())
    assert fact is not None
    return fact


def test_equal_pods_share_one_shape():
    shapes = Shapes()
    asked = {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]}
    spelled_otherwise = {"containers": [{"name": "b", "resources": {"requests": {"cpu": "1000m"}}}]}
    one, two = (translate.pod_fact(pod(each), OURS, shapes.of_pod) for each in (asked, spelled_otherwise))
    assert one is not None
    assert two is not None
    assert one.shape is two.shape
    assert one.shape.requests == (("cpu", 1000), ("pods", 1))


def test_pods_that_ask_for_different_things_as_a_whole_do_not_share_a_shape():
    shapes = Shapes()
    small, large = (
        translate.pod_fact(pod({"resources": {"requests": {"cpu": cpu}}}), OURS, shapes.of_pod) for cpu in ("1", "2")
    )
    assert small is not None
    assert large is not None
    assert (dict(small.shape.requests)["cpu"], dict(large.shape.requests)["cpu"]) == (1000, 2000)


def test_a_gang_is_named_by_annotation_before_label_and_kubernetes_before_volcano():
    both = {"scheduling.volcano.sh/group-name": "v", "scheduling.k8s.io/group-name": "k"}
    assert seen(annotations=both).gang == "ns/k"
    assert seen(annotations={"scheduling.volcano.sh/group-name": "v"}, labels=both).gang == "ns/v"
    assert seen(annotations={}, labels=both).gang == "ns/k"


def test_task_index_priority_and_state_come_along():
    marks = {"volcano.sh/task-spec": "worker", "volcano.sh/task-index": "7", "scheduling.k8s.io/group-name": "g"}
    fact = seen(
        {"priority": 5, "schedulingGates": [{"name": "x"}]},
        {"nominatedNodeName": "n2", "conditions": [{"type": "Ready", "status": "True"}]},
        annotations=marks,
        creationTimestamp="2026-01-01T00:00:00Z",
        deletionTimestamp="2026-01-02T00:00:00Z",
    )
    assert (fact.task, fact.index, fact.priority) == ("worker", 7, 5)
    assert (fact.gated, fact.ready, fact.deleting, fact.nominated) == (True, True, True, "n2")
    assert fact.created == 1_767_225_600_000


@pytest.mark.parametrize("text", ["-1", "1e3", "", "٣", "99999999999999999999"])
def test_a_task_index_that_is_no_small_number_counts_as_zero(text):
    marks = {"volcano.sh/task-index": text, "scheduling.k8s.io/group-name": "g"}
    assert seen(annotations=marks).index == 0


@pytest.mark.parametrize(
    ("value", "expected"), [(None, True), ("true", True), ("T", True), ("false", False), ("oui", False)]
)
def test_preemptable_is_true_when_absent_and_false_when_unparsable(value, expected):
    marks = {"scheduling.k8s.io/group-name": "g"} | ({} if value is None else {"volcano.sh/preemptable": value})
    assert seen(annotations=marks).preemptable is expected


def test_pods_of_other_schedulers_concern_us_from_binding_to_end():
    other = {"schedulerName": "default-scheduler"}
    fact = lambda spec, status=None: translate.pod_fact(pod({**other, **spec}, status), OURS, Shapes().of_pod)  # noqa: E731
    assert fact({}) is None
    occupying = fact({"nodeName": "n1"})
    assert occupying is not None
    assert (occupying.gang, occupying.node) == (None, "n1")
    assert fact({"nodeName": "n1"}, {"phase": "Succeeded"}) is None


def test_our_pod_without_a_gang_waits_for_one():
    assert translate.pod_fact(pod(annotations={}), OURS, Shapes().of_pod) is None


def test_node_demands_wishes_and_ports_are_part_of_the_shape():
    expression = {"key": "gpu", "operator": "In", "values": ["a100"]}
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [expression], "matchFields": [field]}]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 3, "preference": {"matchExpressions": [expression]}},
                {"weight": 9, "preference": {}},
            ],
        }
    }
    containers = [{"ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]
    shape = seen({"affinity": affinity, "containers": containers, "tolerations": [{"operator": "Exists"}]}).shape
    gpu = events.LabelTest("gpu", "In", ("a100",))
    assert shape.required == ((gpu, events.LabelTest("metadata.name", "In", ("n1",), field=True)),)
    assert shape.preferred == ((3, (gpu,)),)
    assert shape.ports == (("TCP", "", 8080),)
    assert shape.tolerations == (events.Toleration(operator="Exists"),)


def test_a_required_selector_without_terms_matches_no_node_rather_than_every_node():
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    assert seen({"affinity": affinity}).shape.required == ((),)


def test_an_absurd_amount_is_cut_to_what_sums_can_bear():
    shape = seen({"containers": [{"resources": {"requests": {"memory": "8E"}}}]}).shape
    assert dict(shape.requests)["memory"] == MAX_UNITS


def test_a_pod_with_a_bad_quantity_is_unreadable():
    with pytest.raises(UnreadableError, match="4G"):
        seen({"containers": [{"resources": {"requests": {"memory": "4 GB"}}}]})


def test_a_node_rounds_down_and_is_ready_only_when_it_says_so():
    body = {
        "metadata": {"name": "n1", "labels": {"b": "2", "a": "1"}},
        "spec": {"taints": [{"key": "t", "effect": "NoSchedule"}, {"key": "u", "effect": "Nonsense"}]},
        "status": {"allocatable": {"cpu": "1999999u", "pods": "110"}},
    }
    fact = translate.node_fact(msgspec.convert(body, Node))
    assert fact == events.NodeSeen(
        name="n1",
        allocatable=(("cpu", 1999), ("pods", 110)),
        labels=(("a", "1"), ("b", "2")),
        taints=(events.Taint("t"),),
        ready=False,
    )
    body["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert translate.node_fact(msgspec.convert(body, Node)).ready


def test_a_gang_takes_its_priority_from_its_class():
    classes = [
        PriorityClass(metadata=msgspec.convert({"name": "high"}, type(Pod().metadata)), value=100),
        PriorityClass(metadata=msgspec.convert({"name": "usual"}, type(Pod().metadata)), value=7, global_default=True),
    ]
    priorities = Priorities(classes)
    by_name = {"high": 100, "usual": 7, "": 7, "unknown": 7, "system-node-critical": 2_000_001_000}
    assert {name: priorities.of(name) for name in by_name} == by_name
    fact = read(group({"priorityClassName": "high"}), priorities)
    assert fact.priority == 100


def test_a_gang_names_its_queue_minimum_and_phase():
    spec = {
        "minMember": 3,
        "minTaskMember": {"b": 2, "a": 1, "c": 0},
        "minResources": {"cpu": "2", "requests.cpu": "2"},
    }
    fact = read(group(spec, {"phase": "Inqueue"}))
    assert (fact.id, fact.queue, fact.min_members, fact.phase) == ("ns/g", "default", 3, "Inqueue")
    assert fact.min_by_task == (("a", 1), ("b", 2))
    assert fact.min_resources == (("cpu", 2000),)
    assert read(group()).min_resources is None


def test_declared_tasks_come_from_the_field_or_else_from_the_annotation():
    tasks = [{"name": "ps", "count": 2, "minimum": 1, "requests": {"cpu": "500m"}, "waitsFor": ["init"]}]
    from_field = read(group({"declaredTasks": tasks}))
    noted = {"flowbatch.dev/declared-tasks": json.dumps(tasks)}
    from_annotation = read(group(annotations=noted))
    shape = events.ShapeSpec(requests=(("cpu", 500), ("pods", 1)))
    assert from_field.declared == (events.DeclaredTask("ps", 2, 1, shape, ("init",)),)
    assert from_field.declared == from_annotation.declared


def test_what_is_being_deleted_takes_nothing_new():
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert translate.gang_fact(group(**gone), Priorities(), Shapes()) is None
    assert translate.node_fact(msgspec.convert({"metadata": {"name": "n", **gone}}, Node)).unschedulable
    assert queue_fact(msgspec.convert({"metadata": {"name": "q", **gone}}, Queue)).state == "Closing"


@pytest.mark.parametrize(
    "bad", [group({"minResources": {"cpu": "a"}}), group(annotations={"flowbatch.dev/declared-tasks": "{"})]
)
def test_a_gang_that_cannot_be_read_says_so(bad):
    with pytest.raises(UnreadableError):
        translate.gang_fact(bad, Priorities(), Shapes())


def test_a_queue_is_open_and_reclaimable_unless_it_says_otherwise():
    plain = queue_fact(msgspec.convert({"metadata": {"name": "q"}}, Queue))
    assert (plain.state, plain.reclaimable, plain.weight, plain.parent) == ("Open", True, 1, "")
    body = {
        "metadata": {"name": "q"},
        "spec": {
            "weight": 3,
            "reclaimable": False,
            "parent": "root",
            "capability": {"cpu": 4},
            "guarantee": {"resource": {"cpu": 1}},
        },
        "status": {"state": "Closing"},
    }
    full = queue_fact(msgspec.convert(body, Queue))
    assert (full.state, full.reclaimable, full.weight, full.parent) == ("Closing", False, 3, "root")
    assert (full.capability, full.guarantee) == ((("cpu", 4000),), (("cpu", 1000),))


def test_a_groups_annotations_become_facts_and_those_that_cannot_be_read_say_nothing():
    def fact(annotations):
        group = {"metadata": {"name": "g", "namespace": "ns", "annotations": annotations}}
        return translate.gang_fact(msgspec.convert(group, PodGroup), Priorities(), Shapes())

    said = fact(
        {
            "volcano.sh/task-topology-affinity": "ps, worker;;a",
            "volcano.sh/task-topology-anti-affinity": "ps",
            "volcano.sh/task-topology-task-order": "ps,worker",
            "flowbatch.dev/running-estimate": "1h30m",
            "volcano.sh/sla-waiting-time": "10s",
            "volcano.sh/jdb-min-available": "50%",
        }
    )
    assert said.topology == events.TaskTopology((("ps", "worker"), ("a",)), (("ps",),), ("ps", "worker"))
    assert (said.estimate_ms, said.wait_ms, said.must_keep, said.may_lack) == (5_400_000, 10_000, "50%", "")
    bad = fact({"flowbatch.dev/running-estimate": "long", "sla-waiting-time": "-3s"})
    assert (bad.topology, bad.estimate_ms, bad.wait_ms) == (None, None, None)


def test_the_gate_of_its_queue_holds_a_pod_back_no_more_than_its_queue_does():
    def gates(*these):
        fact = seen({"schedulingGates": [{"name": each} for each in these]})
        return fact.gated, fact.queue_gate

    assert gates() == (False, False)
    assert gates(QUEUE_GATE) == (False, True)
    assert gates("other") == (True, True)
    assert gates(QUEUE_GATE, "other") == (True, True)
    assert names.QUEUE_ALLOCATION_GATE == QUEUE_GATE
