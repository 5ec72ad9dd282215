"""Do pods behind their queue's gate run when the queue has room, and are they hidden from autoscalers until then?"""

import json

import yaml

from tests.cluster.test_cluster_jobs import job, pods

GATE = "scheduling.volcano.sh/queue-allocation-gate"


def gated(name, queue):
    body = yaml.safe_load(job(name, replicas=2, cpu="500m", queue=queue))
    template = body["spec"]["tasks"][0]["template"]
    template["metadata"] = {"annotations": {GATE: "true"}}
    return yaml.safe_dump(body)


def test_a_job_behind_the_gate_runs_once_its_queue_has_room(cluster):
    queue = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue", "metadata": {"name": "narrow"}}
    cluster.apply(json.dumps({**queue, "spec": {"capability": {"cpu": "1"}}}))
    cluster.apply(gated("first", "narrow"))
    cluster.wait_phase("first", "Running")
    assert not any(pod["spec"].get("schedulingGates") for pod in pods(cluster, "first"))
    cluster.apply(gated("second", "narrow"))

    def why():
        return cluster.flowbatch("why", "second", "-n", cluster.namespace).stdout

    cluster.until(lambda: "narrow" in why(), "a reason", story=why)
    for pod in pods(cluster, "second"):
        assert [each["name"] for each in pod["spec"]["schedulingGates"]] == [GATE]
    cluster.kubectl("delete", "vcjob", "first")
    cluster.wait_phase("second", "Running")
    cluster.kubectl("delete", "vcjob", "second")
    cluster.kubectl("delete", "queue", "narrow")
