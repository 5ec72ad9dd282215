"""Does a job stand for exactly the objects that Volcano's controller would make of it (volcano.md 3.1, 4.4)?"""

import msgspec
import pytest

from flowbatch.api.batch import Job
from flowbatch.api.names import QUEUE_ALLOCATION_GATE as GATE
from flowbatch.api.quantity import amounts
from flowbatch.workload.defaults import default_job
from flowbatch.workload.effective import effective
from flowbatch.workload.expand import claim_name, claims, declared_tasks, min_resources, pod_group, pods, wanted_claims
from flowbatch.workload.manifests import Manifests
from tests.jobworld import TEMPLATE, a_job, a_task

DECLARED = frozenset({"PodGroupSpec.declaredTasks"})


def asking(**requests):
    return {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}]}}


def test_a_pod_carries_all_that_volcano_puts_on_it():
    job = a_job(a_task("w", 2, topologyPolicy="restricted"), queue="ads")
    job = msgspec.structs.replace(job, status=msgspec.structs.replace(job.status, version=3, retry_count=1))
    pod = pods(job, job.spec.tasks[0], 1)
    assert pod["metadata"] == {
        "name": "j-w-1",
        "namespace": "ns",
        "labels": {
            "volcano.sh/job-name": "j",
            "volcano.sh/job-namespace": "ns",
            "volcano.sh/task-spec": "w",
            "volcano.sh/task-index": "1",
            "volcano.sh/queue-name": "ads",
        },
        "annotations": {
            "volcano.sh/task-index": "1",
            "volcano.sh/task-spec": "w",
            "scheduling.k8s.io/group-name": "j-job-1",
            "volcano.sh/job-name": "j",
            "volcano.sh/queue-name": "ads",
            "volcano.sh/job-version": "3",
            "volcano.sh/template-uid": "j-w",
            "volcano.sh/job-retry-count": "1",
            "volcano.sh/numa-topology-policy": "restricted",
        },
        "ownerReferences": [
            {
                "apiVersion": "batch.volcano.sh/v1alpha1",
                "kind": "Job",
                "name": "j",
                "uid": "job-1",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    assert pod["spec"] == {**TEMPLATE["spec"], "schedulerName": "volcano"}


def test_a_pod_inherits_what_the_job_says_about_its_like():
    job = a_job(a_task(partitionPolicy={"totalPartitions": 1, "partitionSize": 2}))
    notes = {"volcano.sh/preemptable": "true", "volcano.sh/jdb-max-unavailable": "1", "mine": "x"}
    meta = msgspec.structs.replace(job.metadata, annotations=notes, labels={"volcano.sh/cooldown-time": "1m"})
    pod = pods(msgspec.structs.replace(job, metadata=meta), job.spec.tasks[0], 1)
    assert pod["metadata"]["annotations"].items() >= {k: v for k, v in notes.items() if k != "mine"}.items()
    assert "mine" not in pod["metadata"]["annotations"]
    assert pod["metadata"]["labels"]["volcano.sh/cooldown-time"] == "1m"
    assert pod["metadata"]["labels"]["volcano.sh/partition-id"] == "0"


def test_a_pods_own_scheduler_and_priority_stay():
    template = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"schedulerName": "other", "priorityClassName": "p", "containers": []},
    }
    job = a_job(a_task(template=template), priorityClassName="q")
    pod = pods(job, job.spec.tasks[0], 0)
    assert (pod["spec"]["schedulerName"], pod["spec"]["priorityClassName"]) == ("other", "p")
    assert pod["metadata"]["labels"]["app"] == "x"


def test_making_a_pod_never_touches_the_template():
    job = a_job(plugins={"svc": [], "ssh": [], "env": []}, volumes=[{"mountPath": "/d", "volumeClaimName": "d"}])
    before = msgspec.json.encode(job)
    assert pods(job, job.spec.tasks[0], 0) == pods(job, job.spec.tasks[0], 0)
    assert msgspec.json.encode(job) == before


def test_claims_are_mounted_everywhere_and_new_ones_have_lasting_names():
    volumes = [
        {"mountPath": "/old", "volumeClaimName": "data"},
        {"mountPath": "/new", "volumeClaim": {"storageClassName": "x"}},
    ]
    job = a_job(volumes=volumes)
    assert wanted_claims(job) == ["data"]
    (claim,) = claims(job)
    assert claim["metadata"]["name"] == claim_name(job, 1) == claim_name(job, 1)
    assert claim["metadata"]["name"].startswith("job-pvc-")
    assert len(claim["metadata"]["name"]) == len("job-pvc-") + 12
    assert claim["spec"] == {"storageClassName": "x"}
    spec = pods(job, job.spec.tasks[0], 0)["spec"]
    assert [each["mountPath"] for each in spec["containers"][0]["volumeMounts"]] == ["/old", "/new"]
    assert spec["volumes"][0] == {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def test_a_group_says_how_much_must_start_together():
    group = pod_group(a_job(a_task("a", 3, minAvailable=2), a_task("b", 1), queue="ads", priorityClassName="high"))
    assert group["metadata"]["name"] == "j-job-1"
    assert group["metadata"]["ownerReferences"][0]["uid"] == "job-1"
    spec = dict(group["spec"])
    assert [each["name"] for each in spec.pop("declaredTasks")] == ["a", "b"]
    assert spec == {
        "minMember": 3,
        "minTaskMember": {"a": 2, "b": 1},
        "queue": "ads",
        "priorityClassName": "high",
        "minResources": {"cpu": "3"},
    }


def test_a_group_inherits_annotations_but_no_baggage():
    job = a_job()
    notes = {"x/y": "z", "kubectl.kubernetes.io/last-applied-configuration": "{}", "flowbatch.dev/suspended": "false"}
    job = msgspec.structs.replace(job, metadata=msgspec.structs.replace(job.metadata, annotations=notes))
    assert pod_group(job, version=4)["metadata"]["annotations"] == {"x/y": "z", "volcano.sh/job-version": "4"}


def test_declared_tasks_move_to_an_annotation_where_the_field_is_not_served():
    job = a_job(a_task("a"), a_task("b", dependsOn={"name": ["a"]}))
    served, other = pod_group(job, served=DECLARED), pod_group(job, served=frozenset())
    assert served["spec"]["declaredTasks"] == declared_tasks(job)
    assert "declaredTasks" not in other["spec"]
    assert msgspec.json.decode(other["metadata"]["annotations"]["flowbatch.dev/declared-tasks"]) == declared_tasks(job)


def test_a_declared_task_says_what_a_member_will_need():
    template = asking(cpu="500m", memory="1Gi")
    template["spec"] |= {"nodeSelector": {"gpu": "yes"}, "tolerations": [{"operator": "Exists"}]}
    assert declared_tasks(a_job(a_task("a", 4, minAvailable=1, template=template))) == [
        {
            "name": "a",
            "count": 4,
            "minimum": 1,
            "requests": {"cpu": "500m", "memory": "1Gi"},
            "nodeSelector": {"gpu": "yes"},
            "tolerations": [{"operator": "Exists"}],
        }
    ]


def test_partitions_become_sub_groups():
    policy = {
        "totalPartitions": 2,
        "partitionSize": 2,
        "minPartitions": 1,
        "networkTopology": {"mode": "hard", "highestTierAllowed": 1},
    }
    group = pod_group(a_job(a_task("a", 4, partitionPolicy=policy), networkTopology={"highestTierName": "rack"}))
    assert group["spec"]["subGroupPolicy"] == [
        {
            "name": "a",
            "subGroupSize": 2,
            "minSubGroups": 1,
            "labelSelector": {"matchLabels": {"volcano.sh/task-spec": "a"}},
            "matchLabelKeys": ["volcano.sh/partition-id"],
            "networkTopology": {"mode": "hard", "highestTierAllowed": 1},
        }
    ]
    assert group["spec"]["networkTopology"] == {"mode": "hard", "highestTierName": "rack"}
    assert group["spec"]["minTaskMember"] == {"a": 2}


@pytest.mark.parametrize(
    ("minimum", "priorities", "cpu"),
    [
        (None, {}, 2 * 1 + 1 * 4),  # each task's minimum, no more
        (4, {}, 2 * 1 + 1 * 4 + 1),  # then filled up in order
        (4, {"high": 9}, 2 * 1 + 1 * 4 + 4),  # then filled up by priority
        (2, {}, 2 * 1),  # below the sum of minimums: simply the first
        (2, {"high": 9}, 2 * 4),
    ],
)
def test_room_for_the_minimum_is_counted_by_volcanos_two_rules(minimum, priorities, cpu):
    high = asking(cpu="4")
    high["spec"]["priorityClassName"] = "high"
    tasks = (a_task("a", 3, minAvailable=2, template=asking(cpu="1")), a_task("b", 2, minAvailable=1, template=high))
    job = a_job(*tasks, **({"minAvailable": minimum} if minimum else {}))
    assert min_resources(job, priorities) == {"cpu": cpu * 1000}


def test_a_template_that_cannot_be_read_asks_for_nothing():
    for template in (
        {},
        {"spec": None},
        {"spec": {"containers": "x"}},
        asking(cpu="4 cores"),
        {"spec": {"containers": [None]}},
    ):
        assert "minResources" not in pod_group(a_job(a_task(template=template)))["spec"]


def test_typed_and_raw_defaults_agree():
    raw = {
        "metadata": {"name": "j"},
        "spec": {
            "plugins": {"mpi": [], "svc": ["x"]},
            "tasks": [{"replicas": 2}, {"name": "b", "replicas": 3, "minAvailable": 1}],
        },
    }
    full = default_job(raw)
    assert msgspec.convert(full, Job) == effective(msgspec.convert(raw, Job)) == effective(msgspec.convert(full, Job))
    assert default_job(full) == full


def test_amounts_survive_the_way_through_a_group():
    job = a_job(a_task("a", 3, template=asking(**{"cpu": "333m", "memory": "12345", "nvidia.com/gpu": "2"})))
    said = pod_group(job)["spec"]["minResources"]
    assert dict(amounts(said)) == min_resources(job, {}) == {"cpu": 999, "memory": 37035, "nvidia.com/gpu": 6}


def test_anything_with_manifests_can_be_submitted():
    class Flow:
        def manifests(self):
            return []

    assert isinstance(Flow(), Manifests)
    assert not isinstance(object(), Manifests)


@pytest.mark.parametrize(
    ("scheduler", "value", "gates"),
    [("volcano", "true", ["a", GATE]), ("volcano", "false", ["a"]), ("default-scheduler", "true", ["a"])],
)
def test_a_pod_that_asks_for_it_comes_behind_the_gate_of_its_queue(scheduler, value, gates):
    spec = {**TEMPLATE["spec"], "schedulerName": scheduler, "schedulingGates": [{"name": "a"}]}
    template = {**TEMPLATE, "metadata": {"annotations": {GATE: value}}, "spec": spec}
    job = a_job(a_task("w", 1, template=template))
    assert [each["name"] for each in pods(job, job.spec.tasks[0], 0)["spec"]["schedulingGates"]] == gates
