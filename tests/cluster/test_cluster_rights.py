"""On a real kube-apiserver, with RBAC: are the rights that deploy/base gives enough for everything the programs do?"""

import contextlib
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flowbatch.api.meta import JsonObject
from tests.admissionworld import cron, flow, queue
from tests.apiserver.rig import free_ports
from tests.cluster import world
from tests.cluster.conftest import own_namespace, plane
from tests.cluster.test_cluster_device_claims import claiming, thing
from tests.cluster.world import ROOT, Cluster, flowbatch_program, wait_for

pytestmark = [
    pytest.mark.real_only("every token is an administrator's on the embedded server"),
    pytest.mark.timeout(300),
]
SYSTEM = "flowbatch-system"
#: What a cluster is given, but for the webhook's configurations: no Service leads to it here.
INSTALLED = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return dict(zip(("scheduler", "controllers", "webhook"), free_ports(3), strict=True))


@pytest.fixture(scope="module")
def shipped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]
) -> Iterator[Cluster]:
    """The three programs, each as its own account, and nodes as an administrator."""
    folder = tmp_path_factory.mktemp("rights")
    with plane(folder, request.config.getoption("--on")) as cluster, contextlib.ExitStack() as stack:
        for each in yaml.safe_load_all(cluster.run("kubectl", "kustomize", str(ROOT / "deploy")).stdout):
            if each["kind"] in INSTALLED:
                Cluster(cluster.kubeconfig, cluster.kind, SYSTEM).kubectl("create", "-f", "-", stdin=json.dumps(each))
        logs = [stack.enter_context(as_itself(cluster, folder, name, port)) for name, port in ports.items()]
        log = stack.enter_context(world.nodes(cluster, folder))
        wait_for(lambda: "default" in cluster.kubectl("get", "queues", "-o", "name"), log)
        assert all(each.exists() for each in logs)
        yield cluster


@contextlib.contextmanager
def as_itself(cluster: Cluster, folder: Path, name: str, port: int) -> Iterator[Path]:
    """One program with the token of its service account, and the settings it is shipped with."""
    token = cluster.kubectl("create", "token", f"flowbatch-{name}", "-n", SYSTEM).strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    (folder / f"{name}.kubeconfig").write_text(yaml.safe_dump(config))
    (webhook,) = free_ports(1)
    settings: JsonObject = {"health": {"port": port}, "webhook": {"port": webhook}}
    if name != "webhook":
        settings["election"] = {"enabled": True, "namespace": SYSTEM}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    flags = ["--config", str(folder / f"{name}.yaml"), "--kubeconfig", str(folder / f"{name}.kubeconfig")]
    with flowbatch_program(folder, name, *flags) as log:
        yield log


def forbidden(port: int) -> list[str]:
    """The requests of a program that were answered with 403."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if re.match(r'flowbatch_api_requests_total\{.*code="403"', line)]


def ready(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
        return bool(answer.status == 200)
    return False


def test_every_program_can_do_its_work(shipped: Cluster, ports: dict[str, int]) -> None:
    for name, port in ports.items():
        shipped.until(lambda port=port: ready(port), f"{name} to be ready")
    with own_namespace(shipped) as here:
        here.apply((ROOT / "examples" / "volcano" / "plugins.yaml").read_text())
        here.apply((ROOT / "examples" / "volcano" / "dependency.yaml").read_text())
        for each in here.get("vcjob")["items"]:
            here.wait_phase(each["metadata"]["name"], "Completed")
        stop_and_go(here)
        queues(here)
        runs_of_others(here)
        devices(here)
        here.kubectl("delete", "vcjob", "--all", "--wait=true")
    assert {name: forbidden(port) for name, port in ports.items()} == {name: [] for name in ports}


def sleeper() -> JsonObject:
    container = {"name": "main", "image": "busybox", "command": ["sleep", "1"]}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"tasks": [{"name": "main", "replicas": 1, "template": {"spec": pod}}]}


def stop_and_go(here: Cluster) -> None:
    made = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"name": "nap"}}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
        "storageClassName": "none",
    }
    here.apply(json.dumps({**made, "spec": sleeper()}))
    assert here.flowbatch("suspend", "nap", "-n", here.namespace).returncode == 0
    assert here.flowbatch("resume", "nap", "-n", here.namespace).returncode == 0
    here.wait_phase("nap", "Completed")
    stored = {**made, "metadata": {"name": "stored"}}
    here.apply(json.dumps({**stored, "spec": {**sleeper(), "volumes": [{"mountPath": "/x", "volumeClaim": claim}]}}))
    here.until(lambda: bool(here.get("pvc")["items"]), "the job's claim")


def devices(here: Cluster) -> None:
    """Claims are given devices, which needs a right of its own."""
    node = min(each["metadata"]["name"] for each in here.get("nodes")["items"])
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.test"}}
    published = {"driver": "gpu.test", "pool": pool, "nodeName": node, "devices": [{"name": "gpu-0"}]}
    here.apply(thing("DeviceClass", "gpu.test", {}))
    here.apply(thing("ResourceSlice", "gpus", published))
    here.apply(thing("ResourceClaimTemplate", "one-gpu", {"spec": {"devices": {"requests": [request]}}}))
    here.apply(claiming("claims", 1, {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}))
    here.wait_phase("claims", "Running")
    here.kubectl("delete", "resourceslice/gpus", "deviceclass/gpu.test")


def queues(here: Cluster) -> None:
    name = f"q-{here.namespace}"
    here.apply(json.dumps(queue(name, weight=2)))
    here.until(lambda: here.get("queue", name).get("status", {}).get("state") == "Open", "the queue to be Open")
    assert here.flowbatch("queue", "close", name).returncode == 0
    assert here.flowbatch("queue", "open", name).returncode == 0


def runs_of_others(here: Cluster) -> None:
    """A cron job, a flow, and a Deployment whose pods get a group."""
    spec = sleeper()
    meta = {"name": "t", "namespace": here.namespace}
    template = {"apiVersion": "flow.volcano.sh/v1alpha1", "kind": "JobTemplate", "metadata": meta, "spec": spec}
    here.apply(json.dumps(template))
    wanted = flow({"name": "t"}, {"name": "again", "jobTemplate": "t", "dependsOn": {"targets": ["t"]}})
    here.apply(json.dumps({**wanted, "metadata": {"name": "f", "namespace": here.namespace}}))
    nightly = cron(schedule="@every 2s", jobTemplate={"spec": spec})
    here.apply(json.dumps({**nightly, "metadata": {"name": "often", "namespace": here.namespace}}))
    pod = {**spec["tasks"][0]["template"]["spec"], "schedulerName": "volcano", "restartPolicy": "Always"}
    labels = {"app": "web"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    here.apply(json.dumps(deployment))
    here.until(lambda: len(here.get("podgroups")["items"]) > 0, "the group of a Deployment's pod")
    here.until(lambda: state(here, "jobflow", "f") == "Succeed", "the flow to succeed")
    here.until(lambda: any("often" in each["metadata"]["name"] for each in here.get("vcjob")["items"]), "a run of cron")
    here.kubectl("delete", "cronvcjob", "often")


def state(here: Cluster, kind: str, name: str) -> str:
    return str(here.get(kind, name).get("status", {}).get("state", {}).get("phase", ""))
