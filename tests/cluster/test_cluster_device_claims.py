"""Do jobs get the devices that their pods claim, and give them back, as kubectl sees it?"""

import json

import pytest
import yaml

from tests.cluster.test_cluster_jobs import job, pods

API = "resource.k8s.io/v1"
DRIVER = "gpu.flowbatch.test"


def thing(kind, name, spec):
    return json.dumps({"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec})


@pytest.fixture
def gpus(cluster):
    """Two devices on one node, a class of them, and a template of claims to one."""
    node = min(each["metadata"]["name"] for each in cluster.get("nodes")["items"])
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}" && device.attributes["{DRIVER}"].model == "a"'}}
    devices = [{"name": f"gpu-{index}", "attributes": {"model": {"string": "a"}}} for index in range(2)]
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.test"}}
    cluster.apply(thing("DeviceClass", "gpu.test", {"selectors": [selector]}))
    cluster.apply(
        thing("ResourceSlice", "gpus", {"driver": DRIVER, "pool": pool, "nodeName": node, "devices": devices})
    )
    cluster.apply(thing("ResourceClaimTemplate", "one-gpu", {"spec": {"devices": {"requests": [request]}}}))
    yield node
    cluster.kubectl("delete", "resourceslice/gpus", "deviceclass/gpu.test")


def claiming(name, replicas, claim):
    """A job whose pods have a claim."""
    body = yaml.safe_load(job(name, replicas=replicas))
    body["spec"]["tasks"][0]["template"]["spec"]["resourceClaims"] = [claim]
    return yaml.safe_dump(body)


def given(cluster):
    """Names of devices by claim."""
    claims = {each["metadata"]["name"]: each.get("status", {}) for each in cluster.get("resourceclaims")["items"]}
    results = {name: status.get("allocation", {}).get("devices", {}) for name, status in claims.items()}
    return {name: [each["device"] for each in devices.get("results", ())] for name, devices in results.items()}


def test_pods_run_where_the_devices_of_their_own_claims_are_and_the_next_gets_them_afterwards(cluster, gpus):
    own = {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}
    cluster.apply(claiming("first", 2, own))
    cluster.wait_phase("first", "Running")
    assert {pod["spec"]["nodeName"] for pod in pods(cluster, "first")} == {gpus}
    assert sorted(given(cluster).values()) == [["gpu-0"], ["gpu-1"]]
    cluster.apply(claiming("second", 1, own))

    def why():
        return cluster.flowbatch("why", "second", "-n", cluster.namespace).stdout

    cluster.until(lambda: "free devices for 1 of class gpu.test" in why(), "a reason with numbers", story=why)
    cluster.kubectl("delete", "vcjob", "first")
    cluster.wait_phase("second", "Running")
    cluster.until(lambda: len(given(cluster)) == 1, "the claims of the first job to go")
    cluster.kubectl("delete", "vcjob", "second")
    cluster.until(lambda: not given(cluster), "its claim to go")


def test_a_claim_that_all_pods_of_a_job_share_is_given_once_and_given_back(cluster, gpus):
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.test", "allocationMode": "All"}}
    cluster.apply(thing("ResourceClaim", "both", {"devices": {"requests": [request]}}))
    cluster.apply(claiming("sharers", 3, {"name": "gpu", "resourceClaimName": "both"}))
    cluster.wait_phase("sharers", "Running")
    assert given(cluster) == {"both": ["gpu-0", "gpu-1"]}
    assert len(cluster.get("resourceclaim", "both")["status"]["reservedFor"]) == 3
    cluster.kubectl("delete", "vcjob", "sharers")
    cluster.until(lambda: given(cluster) == {"both": []}, "the devices to be given back")
