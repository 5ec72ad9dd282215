"""Is a write judged by what else there is: queues that are missing, closed or parents, and the tree they stand in?"""

import pytest

from flowbatch.admission.admit import admit
from flowbatch.admission.judge import problems, remarks
from flowbatch.errors import SpecErrors
from tests.admissionworld import (
    Stored,
    command,
    cron,
    flow,
    hyper_node,
    job,
    pod,
    pod_group,
    priority_class,
    queue,
    task,
    template,
)

ROOT, DEFAULT = queue("root"), queue("default")


def refused(obj, *others, old=None):
    """Path and text of every problem."""
    world = Stored(ROOT, DEFAULT, *others)
    try:
        admit("UPDATE" if old else "CREATE", obj["kind"], old, obj, world)
    except SpecErrors as error:
        return {each.path: each.problem for each in error}
    return {}


def undeletable(name, *others):
    world = Stored(ROOT, DEFAULT, *others)
    return [each.problem for each in problems(ROOT["apiVersion"], "Queue", world("Queue", "", name), None, world)]


# Jobs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "others", "said"),
    [
        ("ads", (), "no such queue"),
        ("ads", (queue("ads", "Closed"),), "is Closed"),
        ("ads", (queue("ads", "Closing"),), "is Closing"),
        ("ads", (queue("ads"), queue("night", parent="ads")), "it has queues below it"),
        ("root", (), "parent of all queues"),
    ],
)
def test_a_job_needs_an_open_leaf_queue(name, others, said):
    assert said in refused(job(queue=name), *others)["spec.queue"]


def test_a_job_in_an_open_leaf_is_fine_and_the_default_queue_may_come_later():
    assert refused(job(queue="night"), queue("ads"), queue("night", "Open", parent="ads")) == {}
    admit("CREATE", "Job", None, job(), Stored())


def test_a_priority_class_must_exist_for_the_job_and_for_each_task():
    low = task("b", template={"spec": {"priorityClassName": "low", "containers": [{"name": "a", "image": "b"}]}})
    wanted = job(priorityClassName="high", tasks=[task(), low])
    assert set(refused(wanted)) == {
        "spec.priorityClassName",
        "spec.tasks[1].template.spec.priorityClassName",
    }
    assert refused(wanted, priority_class("high"), priority_class("low")) == {}
    assert refused(job(priorityClassName="system-node-critical")) == {}


def test_every_problem_is_named_at_once_whichever_rule_finds_it():
    wrong = job(queue="ads", maxRetry=-1, priorityClassName="high", tasks=[task("A", 1, minAvailable=2)])
    assert set(refused(wrong)) == {
        "spec.queue",
        "spec.maxRetry",
        "spec.priorityClassName",
        "spec.tasks[0].name",
        "spec.tasks[0].minAvailable",
    }


def stored_job(**spec):
    return admit("CREATE", "Job", None, job(**spec), Stored(ROOT, DEFAULT, queue("ads")))


def test_a_job_that_exists_is_not_asked_about_its_queue_again():
    old = stored_job(queue="ads")
    new = {**old, "spec": {**old["spec"], "minAvailable": 1}}
    assert refused(new, queue("ads", "Closed"), old=old) == {}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"queue": "default"}, "spec.queue"),
        ({"minAvailable": 9}, "spec.minAvailable"),
        ({"tasks": [task(), task("more")]}, "spec.tasks"),
        ({"schedulerName": "other"}, "spec.schedulerName"),
    ],
)
def test_what_may_not_change_in_a_job(change, path):
    old = stored_job(queue="ads")
    new = {**old, "spec": {**old["spec"], **change}}
    assert path in refused(new, queue("ads"), old=old)


def test_size_and_urgency_may_change():
    old = stored_job()
    spec = {**old["spec"], "minAvailable": 1, "priorityClassName": ""}
    spec["tasks"] = [{**old["spec"]["tasks"][0], "replicas": 5, "minAvailable": 1}]
    assert refused({**old, "spec": spec}, old=old) == {}


def test_an_object_older_than_a_rule_can_still_end():
    bad = job(queue="gone", maxRetry=-5)
    bad["metadata"]["finalizers"] = ["x"]
    done = {**bad, "metadata": {"name": "pi", "namespace": "default"}, "status": {"state": {"phase": "Failed"}}}
    assert refused(done, old=bad) == {}


def test_jobs_of_kubernetes_are_not_ours():
    theirs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {}}
    assert admit("CREATE", "Job", None, theirs, Stored()) is theirs


# Queues ------------------------------------------------------------------------------------------------------------


def test_queues_that_every_cluster_needs_and_parents_stay():
    family = (queue("ads"), queue("night", parent="ads"))
    assert "the cluster needs" in undeletable("root")[0]
    assert "the cluster needs" in undeletable("default")[0]
    assert "queues below it (night)" in undeletable("ads", *family)[0]
    assert undeletable("night", *family) == []


def test_a_parent_must_exist():
    assert refused(queue("a", parent="nobody")) == {"spec.parent": "no such queue"}
    assert refused(queue("a", parent="ads"), queue("ads")) == {}


def test_a_queue_cannot_hang_below_itself():
    a, b = queue("a", parent="b"), queue("b", parent="root")
    moved = queue("b", parent="a")
    assert refused(moved, a, b, old=b) == {"spec.parent": "hangs below this very queue"}


def test_a_circle_among_others_is_not_followed_for_ever():
    circle = (queue("a", parent="b"), queue("b", parent="a"))
    assert "level" in refused(queue("c", parent="a"), *circle)["spec.parent"]


def test_the_tree_is_five_queues_deep():
    chain = [queue(f"l{depth}", parent=f"l{depth - 1}" if depth > 1 else "root") for depth in range(1, 6)]
    assert refused(queue("l5", parent="l4"), *chain[:4]) == {}
    assert "6th level" in refused(queue("l6", parent="l5"), *chain)["spec.parent"]


def test_a_queue_that_runs_pods_of_its_own_gets_no_children():
    busy = queue("ads", allocated={"cpu": "2", "pods": "3"})
    assert "runs 3 pods" in refused(queue("night", parent="ads"), busy)["spec.parent"]
    assert refused(queue("night", parent="ads"), busy, queue("day", parent="ads")) == {}
    assert refused(queue("night", parent="ads"), queue("ads", allocated={"cpu": "0", "pods": "0"})) == {}


def test_no_limit_above_is_exceeded_and_the_nearest_one_counts():
    above = (queue("top", capability={"cpu": "8"}), queue("mid", parent="top"))
    assert (
        "queue top above it"
        in refused(queue("a", parent="mid", capability={"cpu": "9"}), *above)["spec.capability.cpu"]
    )
    assert refused(queue("a", parent="mid", capability={"cpu": "8", "memory": "1Ti"}), *above) == {}


def test_children_together_are_promised_no_more_than_their_parent():
    parent = queue("p", deserved={"cpu": "8"}, guarantee={"resource": {"cpu": "4"}})
    first = queue("a", parent="p", deserved={"cpu": "5"}, guarantee={"resource": {"cpu": "3"}})
    second = queue("b", parent="p", deserved={"cpu": "4"}, guarantee={"resource": {"cpu": "2"}})
    assert set(refused(second, parent, first)) == {"spec.deserved.cpu", "spec.guarantee.resource.cpu"}
    assert refused(queue("b", parent="p", deserved={"cpu": "3"}), parent, first) == {}
    less = queue("p", deserved={"cpu": "4"}, guarantee={"resource": {"cpu": "4"}})
    assert "queues below it" in refused(less, parent, first, old=parent)["spec.deserved.cpu"]


def test_the_root_stays_the_root():
    assert "spec.reclaimable" in refused(queue("root", reclaimable=True), old=queue("root", reclaimable=False))
    assert refused(queue("root", capability={"cpu": "8"}), old=queue("root")) == {}


def test_a_path_of_drf_is_nobody_elses_way():
    def at(name, path):
        weights = "/".join("1" for _ in path.split("/"))
        return queue(name, annotations={"volcano.sh/hierarchy": path, "volcano.sh/hierarchy-weights": weights})

    assert refused(at("b", "root/ads"), at("a", "root/ads/night")) != {}
    assert refused(at("b", "root/ads/night"), at("a", "root/ads/day")) == {}
    assert refused(at("b", "root/ads"), at("a", "root/adsx/day")) == {}


# Others ------------------------------------------------------------------------------------------------------------


def test_a_pod_group_needs_an_open_queue_if_there_is_one():
    assert "is Closed" in refused(pod_group(queue="ads"), queue("ads", "Closed"))["spec.queue"]
    assert refused(pod_group(queue="later")) == {}
    assert refused(pod_group()) == {}


@pytest.mark.parametrize(
    ("annotations", "fine"),
    [
        ({"volcano.sh/jdb-min-available": "2"}, True),
        ({"volcano.sh/jdb-max-unavailable": "30%"}, True),
        ({}, True),
        ({"volcano.sh/jdb-min-available": "-2"}, False),
        ({"volcano.sh/jdb-min-available": "0"}, False),
        ({"volcano.sh/jdb-min-available": "0%"}, False),
        ({"volcano.sh/jdb-min-available": "100%"}, False),
        ({"volcano.sh/jdb-min-available": "many"}, False),
        ({"volcano.sh/jdb-min-available": "1", "volcano.sh/jdb-max-unavailable": "1"}, False),
    ],
)
def test_disruption_budgets_of_pods(annotations, fine):
    assert (refused(pod(annotations=annotations)) == {}) is fine
    assert refused(pod("default-scheduler", annotations=annotations)) == {}


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        (flow({"name": "a", "dependsOn": {"targets": ["a"]}}), "spec.flows[0].dependsOn.targets[0]"),
        (flow({"name": "a", "dependsOn": {"targets": ["b"]}}), "spec.flows[0].dependsOn.targets[0]"),
        (template(maxRetry=-1), "spec.maxRetry"),
        (cron(schedule="every day"), "spec.schedule"),
        (cron(timeZone="Mars/Olympus"), "spec.timeZone"),
    ],
)
def test_flows_templates_and_cron_jobs_are_judged(obj, path):
    assert path in refused(obj)


@pytest.mark.parametrize(
    "obj", [flow(), flow({"name": "a"}), flow({"name": "a"}, {"name": "b", "dependsOn": {"targets": ["a"]}}), cron()]
)
def test_flows_and_cron_jobs_that_are_fine(obj):
    assert refused(obj) == {}


def test_a_template_that_is_not_there_yet_is_a_remark():
    wanted = flow({"name": "a"}, {"name": "b", "jobTemplate": "t"})
    world = Stored(template("a"))
    told = remarks(wanted["apiVersion"], "JobFlow", wanted, world)
    assert [(each.path, each.value) for each in told] == [("spec.flows[1].jobTemplate", "t")]


def test_hyper_nodes_and_commands_are_judged_too():
    assert "spec.members[0].type" in refused(
        hyper_node("s", {"type": "Rack", "selector": {"exactMatch": {"name": "n"}}})
    )
    assert "action" in refused(command("Stop"))
    assert refused(command()) == {}
