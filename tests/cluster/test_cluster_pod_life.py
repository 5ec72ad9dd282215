"""What happens to a job when its pods are taken away: deleted, evicted, drained, lost with their node?"""

import json

import pytest
import yaml

from tests.cluster.test_cluster_jobs import job
from tests.cluster.world import NODES, Cluster


def uids(cluster: Cluster, name: str) -> dict[str, str]:
    """Of the pods that are running and not on their way out."""
    found = cluster.get("pods", "-l", f"volcano.sh/job-name={name}")["items"]
    alive = [pod for pod in found if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in alive}


@pytest.mark.parametrize(
    ("action", "again"),
    [("RestartJob", {"gang-main-0", "gang-main-1"}), ("RestartPod", {"gang-main-1"})],
)
def test_a_deleted_member_is_an_eviction_and_its_policy_answers(cluster: Cluster, action: str, again: set[str]) -> None:
    cluster.apply(job("gang", replicas=2, policies=[{"event": "PodEvicted", "action": action}]))
    cluster.wait_phase("gang", "Running")
    cluster.until(lambda: len(uids(cluster, "gang")) == 2, "both pods to run")
    before = uids(cluster, "gang")
    cluster.kubectl("delete", "pod", "gang-main-1", "--wait=false")

    def renewed() -> set[str]:
        now = uids(cluster, "gang")
        return {name for name in now if now[name] != before[name]} if len(now) == 2 else set()

    cluster.until(lambda: renewed() == again, f"{sorted(again)} to be made again", story=lambda: cluster.story("gang"))
    cluster.wait_phase("gang", "Running")
    assert cluster.get("vcjob", "gang")["status"].get("retryCount", 0) <= 1


def test_a_deleted_member_can_end_the_job(cluster: Cluster) -> None:
    cluster.apply(job("gang", replicas=2, policies=[{"event": "PodEvicted", "action": "TerminateJob"}]))
    cluster.wait_phase("gang", "Running")
    cluster.kubectl("delete", "pod", "gang-main-1", "--wait=false")
    cluster.wait_phase("gang", "Terminated")


def test_a_drained_node_gives_its_pods_to_the_others(cluster: Cluster) -> None:
    cluster.apply(job("spread", replicas=NODES, cpu="1500m", policies=[]))
    cluster.until(lambda: len(uids(cluster, "spread")) == NODES, "a pod on each node")
    # Only so much fits on what is left: the pod of the drained node waits, the others go on.
    before = uids(cluster, "spread")
    (lost,) = (
        pod["metadata"]["name"]
        for pod in cluster.get("pods")["items"]
        if pod["spec"].get("nodeName") == "node-1" and pod["metadata"]["name"] in before
    )
    try:
        cluster.kubectl("drain", "node-1", "--ignore-daemonsets", "--force", "--delete-emptydir-data")
        cluster.until(lambda: lost not in uids(cluster, "spread"), "the pod to leave the node")
        kept = {name: uid for name, uid in before.items() if name != lost}
        assert uids(cluster, "spread") == kept
    finally:
        cluster.kubectl("uncordon", "node-1")
    cluster.until(lambda: len(uids(cluster, "spread")) == NODES, "the pod to come back", story=lambda: _story(cluster))
    assert {name: uid for name, uid in uids(cluster, "spread").items() if name != lost} == kept


def _story(cluster: Cluster) -> str:
    return cluster.story("spread") + cluster.kubectl("get", "pods", "-o", "wide")


@pytest.mark.real_only("the embedded cluster has no deployment controller yet")
def test_pods_of_a_deployment_are_placed_by_flowbatch_under_one_pod_group(cluster: Cluster) -> None:
    labels = {"app": "web"}
    container = {"name": "web", "image": "busybox", "command": ["sleep", "3600"]}
    pod = {"schedulerName": "volcano", "terminationGracePeriodSeconds": 1, "containers": [container]}
    cluster.apply(
        yaml.safe_dump(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web"},
                "spec": {
                    "replicas": 3,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            }
        )
    )
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    (group,) = cluster.get("podgroups")["items"]
    assert group["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    cluster.kubectl("scale", "deployment/web", "--replicas=1")
    cluster.until(lambda: len(cluster.get("pods")["items"]) == 1, "two pods to go")
    cluster.kubectl("delete", "deployment", "web")
    cluster.until(lambda: cluster.get("podgroups")["items"] == [], "its PodGroup to be collected")


@pytest.mark.real_only("the embedded cluster has no controllers for these kinds")
@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"])
def test_pods_of_other_controllers_are_one_gang_and_its_pod_group_goes_with_them(cluster: Cluster, kind: str) -> None:
    labels = {"app": "other"}
    container = {"name": "main", "image": "busybox", "command": ["sleep", "3600"]}
    pod = {"schedulerName": "volcano", "terminationGracePeriodSeconds": 1, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec: dict[str, object] = {"template": template, "selector": {"matchLabels": labels}}
    if kind == "ReplicationController":
        spec["selector"] = labels
    if kind == "StatefulSet":
        spec |= {"serviceName": "other", "podManagementPolicy": "Parallel"}
    if kind != "DaemonSet":
        spec["replicas"] = 2
    notes = {"scheduling.volcano.sh/group-min-member": "2"}
    version = "v1" if kind == "ReplicationController" else "apps/v1"
    cluster.apply(
        yaml.safe_dump(
            {"apiVersion": version, "kind": kind, "metadata": {"name": "other", "annotations": notes}, "spec": spec}
        )
    )
    wanted = NODES if kind == "DaemonSet" else 2
    cluster.until(
        lambda: [each["status"].get("phase") for each in cluster.get("pods")["items"]] == ["Running"] * wanted,
        "its pods to run",
        story=lambda: cluster.kubectl("get", "pods,podgroups", "-o", "yaml"),
    )
    (group,) = cluster.get("podgroups")["items"]
    assert group["spec"]["minMember"] == 2
    assert group["metadata"]["ownerReferences"][0]["kind"] == kind
    cluster.kubectl("delete", kind.lower(), "other")
    cluster.until(lambda: cluster.get("podgroups")["items"] == [], "its PodGroup to be collected")
    cluster.until(lambda: cluster.get("pods")["items"] == [], "its pods to go")


@pytest.mark.real_only("the embedded cluster has no job controller of its own yet")
def test_a_plain_kubernetes_job_is_placed_by_flowbatch(cluster: Cluster) -> None:
    container = {"name": "main", "image": "busybox", "command": ["true"]}
    pod = {"schedulerName": "volcano", "restartPolicy": "Never", "containers": [container]}
    spec = {"completions": 2, "parallelism": 2, "template": {"spec": pod}}
    cluster.apply(
        yaml.safe_dump({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "plain"}, "spec": spec})
    )
    cluster.kubectl("wait", "--for=condition=Complete", "jobs.batch/plain", "--timeout=50s")


@pytest.mark.real_only(
    "waits out the minute of kube-controller-manager; the embedded controllers' own tests do not wait"
)
@pytest.mark.timeout(240)
def test_pods_lost_with_their_node_are_made_again_elsewhere(replicas: object, there: Cluster) -> None:
    there.apply(job("survivor", replicas=1, policies=[{"event": "PodEvicted", "action": "RestartPod"}]))
    there.until(lambda: len(uids(there, "survivor")) == 1, "the pod to run")
    before = there.get("pod", "survivor-main-0")
    name = before["spec"]["nodeName"]
    node = there.get("node", name)
    there.kubectl("delete", "node", name, "--wait=false")
    try:
        there.until(
            lambda: set(uids(there, "survivor").values()) not in (set(), {before["metadata"]["uid"]}),
            "another pod",
            timeout=100,
            story=lambda: there.story("survivor"),
        )
        assert there.get("pod", "survivor-main-0")["spec"]["nodeName"] != name
    finally:
        node["metadata"] = {key: node["metadata"][key] for key in ("name", "labels", "annotations")}
        node["spec"].pop("taints", None)
        there.kubectl("create", "-f", "-", stdin=json.dumps(node))
        status = json.dumps({"status": node["status"]})
        there.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", status)
        there.kubectl("patch", "node", name, "--type=merge", "-p", '{"spec": {"taints": null}}')
