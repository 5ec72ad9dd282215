"""Does each kind get what it leaves unsaid, and keep what it says? (volcano.md appendix: the mutate suites.)"""

import copy

import pytest

from flowbatch.admission.mutate import mutated
from flowbatch.admission.resource_groups import Match, ResourceGroup
from flowbatch.errors import SpecErrors
from flowbatch.runtime.settings import decode_settings
from tests.admissionworld import Stored, job, namespace, pod, pod_group, queue, task

NOBODY = Stored()


def after(obj, world=NOBODY, old=None, groups=()):
    before = copy.deepcopy(obj)
    full = mutated(obj["apiVersion"], obj["kind"], old, obj, world, groups)
    assert obj == before, "the input must not be touched"
    return full


@pytest.mark.parametrize(
    ("field", "value"), [("queue", "default"), ("schedulerName", "volcano"), ("maxRetry", 3), ("minAvailable", 2)]
)
def test_a_job_gets_its_defaults(field, value):
    assert after(job())["spec"][field] == value


def test_minimums_of_tasks_add_up():
    tasks = [task("a", 3, minAvailable=1), task("b", 2)]
    assert after(job(tasks=tasks))["spec"]["minAvailable"] == 3


@pytest.mark.parametrize(
    ("plugin", "needed"),
    [("tensorflow", {"svc"}), ("mpi", {"svc", "ssh"}), ("pytorch", {"svc"}), ("ray", {"svc"}), ("env", set())],
)
def test_plugins_bring_the_plugins_they_need(plugin, needed):
    assert set(after(job(plugins={plugin: []}))["spec"]["plugins"]) == {plugin} | needed


def test_plugins_that_are_there_keep_their_arguments():
    plugins = {"mpi": ["--port=5000"], "svc": ["--disable-network-policy=true"]}
    assert after(job(plugins=plugins))["spec"]["plugins"] == {**plugins, "ssh": []}


def test_what_a_job_says_stays():
    said = {"queue": "ads", "schedulerName": "mine", "maxRetry": 7, "minAvailable": 1}
    spec = after(job(**said, tasks=[task("w", 2, minAvailable=1, maxRetry=-1)]))["spec"]
    assert {field: spec[field] for field in said} == said
    assert (spec["tasks"][0]["minAvailable"], spec["tasks"][0]["maxRetry"]) == (1, -1)


def test_tasks_without_names_are_numbered_and_host_network_gets_its_dns_policy():
    unnamed = task("", template={"spec": {"hostNetwork": True, "containers": []}})
    (made,) = after(job(tasks=[unnamed]))["spec"]["tasks"]
    assert (made["name"], made["template"]["spec"]["dnsPolicy"]) == ("default0", "ClusterFirstWithHostNet")


@pytest.mark.parametrize("wrong", [False, [], {}, 0])
def test_a_value_of_the_wrong_type_is_no_missing_value(wrong):
    assert after(job(queue=wrong))["spec"]["queue"] == wrong


@pytest.mark.parametrize("make", [job, pod_group])
def test_the_namespace_says_which_queue_is_the_default_one(make):
    world = Stored(namespace("default", "night"))
    assert after(make(), world)["spec"]["queue"] == "night"
    assert after(make(queue="default"), world)["spec"]["queue"] == "night"
    assert after(make(queue="ads"), world)["spec"]["queue"] == "ads"
    assert after(make(), Stored(namespace()))["spec"]["queue"] == "default"


def test_several_groups_of_one_namespace_share_its_queue():
    world = Stored(namespace("default", "night"))
    assert {after(pod_group(name), world)["spec"]["queue"] for name in "abc"} == {"night"}


def test_what_exists_is_not_moved_to_another_queue():
    stored = after(job())
    assert after({**stored, "spec": {**stored["spec"]}}, Stored(namespace("default", "night")), stored) == stored
    smaller = {**stored, "spec": {**stored["spec"], "minAvailable": 1}}
    assert after(smaller, Stored(namespace("default", "night")), stored)["spec"]["queue"] == "default"


def test_a_queue_gets_weight_parent_and_reclaimable_and_keeps_what_it_says():
    assert after(queue())["spec"] == {"weight": 1, "reclaimable": True, "parent": "root"}
    said = {"weight": 4, "reclaimable": False, "parent": "ads"}
    assert after(queue(**said))["spec"] == said
    assert after(queue("root"))["spec"] == {"weight": 1, "reclaimable": False}


def test_a_path_of_drf_begins_at_the_root():
    path, weights = "volcano.sh/hierarchy", "volcano.sh/hierarchy-weights"
    made = after(queue(annotations={path: "ads/night", weights: "2/4"}))["metadata"]["annotations"]
    assert made == {path: "root/ads/night", weights: "1/2/4"}
    assert after(queue(annotations=made))["metadata"]["annotations"] == made


# Resource groups ---------------------------------------------------------------------------------------------------

TOLERATION = {"key": "mng", "operator": "Exists"}
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
MANAGEMENT = ResourceGroup(
    resource_group="management",
    object=Match(key="namespace", value=("mng",)),
    scheduler_name="default-scheduler",
    tolerations=(TOLERATION,),
    labels={"type": "management"},
    affinity='{"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}',
)
CPU = ResourceGroup(resource_group="cpu", labels={"type": "cpu"}, scheduler_name="volcano")
CUSTOM = ResourceGroup(
    resource_group="gold", object=Match(key="annotation", value=("tier: gold",)), labels={"type": "gold"}
)
GROUPS = (MANAGEMENT, CPU, CUSTOM)


def spec_of(**about):
    return after(pod(**about), groups=GROUPS)["spec"]


def test_pods_of_a_management_namespace_get_labels_affinity_and_tolerations():
    spec = spec_of(namespace="mng")
    assert spec["nodeSelector"] == {"type": "management"}
    assert (spec["affinity"], spec["tolerations"]) == (AFFINITY, [TOLERATION])


@pytest.mark.parametrize(
    ("annotations", "selector"),
    [
        ({"volcano.sh/resource-group": "cpu"}, {"type": "cpu"}),
        ({"tier": "gold"}, {"type": "gold"}),
        ({"tier": "silver"}, None),
        ({"volcano.sh/resource-group": "gpu"}, None),
    ],
)
def test_an_annotation_names_the_group(annotations, selector):
    assert spec_of(annotations=annotations).get("nodeSelector") == selector


def test_what_a_pod_has_is_kept_beside_what_its_group_gives():
    own = {"key": "own", "operator": "Exists"}
    spec = spec_of(namespace="mng", affinity={"podAffinity": {}}, tolerations=[own], nodeSelector={"disk": "ssd"})
    assert spec["affinity"] == {"podAffinity": {}}
    assert spec["tolerations"] == [own, TOLERATION]
    assert spec["nodeSelector"] == {"disk": "ssd", "type": "management"}


def test_a_scheduler_that_is_named_stays_and_kubernetes_default_is_nobodys_choice():
    group = {"volcano.sh/resource-group": "cpu"}
    assert spec_of(scheduler="default-scheduler", annotations=group)["schedulerName"] == "volcano"
    assert spec_of(scheduler="mine", annotations=group)["schedulerName"] == "mine"


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"resourceGroup": "a", "object": {"key": "label"}}, "Invalid enum value 'label'"),
        ({"resourceGroup": "a", "affinity": "{"}, "affinity is no JSON object"),
        ({"resourceGroup": "a", "affinity": "[]"}, "affinity is no JSON object"),
        ({"name": "a"}, "unknown field"),
    ],
)
def test_groups_that_cannot_be_read_are_a_mistake_of_the_settings(group, said):
    with pytest.raises(SpecErrors, match=r"webhook\.resourceGroups") as told:
        decode_settings({"webhook": {"resourceGroups": [group]}})
    assert said in str(told.value)
