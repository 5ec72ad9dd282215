"""Is what `kubectl apply -k deploy` installs whole, in step with the code, and without a right too many?"""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowbatch import __version__
from flowbatch.admission.caches import Caches as WebhookCaches
from flowbatch.admission.configurations import configurations, text
from flowbatch.admission.crds import crds
from flowbatch.admission.policies import policies
from flowbatch.admission.rotation import Place
from flowbatch.cli import VERBS
from flowbatch.controllers.caches import Caches as ControllerCaches
from flowbatch.informer import Informer
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig
from flowbatch.runtime.settings import load_settings
from flowbatch.scheduler.caches import Caches as SchedulerCaches

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
PROGRAMS = ("scheduler", "controllers", "webhook")


@cache
def installed():
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run([kubectl, "kustomize", DEPLOY], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of(kind):
    return {each["metadata"]["name"]: each for each in installed() if each["kind"] == kind}


def test_everything_generated_is_there_and_in_step():
    assert (DEPLOY / "base" / "webhook-configurations.yaml").read_text() == text(), (
        "run: python -m flowbatch.admission.configurations deploy/base/webhook-configurations.yaml"
    )
    names = {(each["kind"], each["metadata"]["name"]) for each in installed()}
    # Not every cluster that flowbatch runs on has policies that fill in.
    everywhere = [each for each in policies() if each["kind"].startswith("Validating")]
    assert names >= {(each["kind"], each["metadata"]["name"]) for each in [*crds(), *everywhere]}
    assert names >= {(each["kind"], each["metadata"]["name"]) for each in configurations(Place())}


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_runs_as_itself_with_settings_that_are_sound(name, tmp_path):
    assert name in VERBS
    deployment = of("Deployment")[f"flowbatch-{name}"]
    assert deployment["spec"]["replicas"] == 2
    assert f"flowbatch-{name}" in of("PodDisruptionBudget")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == f"flowbatch-{name}"
    (container,) = pod["containers"]
    assert container["image"] == f"flowbatch:{__version__}"
    assert container["args"] == [name, "--config", "/etc/flowbatch"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for key, settings in of("ConfigMap")[f"flowbatch-{name}"]["data"].items():
        (tmp_path / key).write_text(settings)
    settings = load_settings(tmp_path, environment={})
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert (settings.health.port, settings.health.host) == (ports["health"], "0.0.0.0")
    assert settings.election.enabled is (name != "webhook"), "every replica of the webhook serves"
    if name == "webhook":
        assert (settings.webhook.port, settings.webhook.host) == (ports["https"], "0.0.0.0")
        assert settings.webhook.service in of("Service")
        assert settings.webhook.namespace == deployment["metadata"]["namespace"]


def test_the_webhook_never_stops_a_cluster():
    for each in (*of("ValidatingWebhookConfiguration").values(), *of("MutatingWebhookConfiguration").values()):
        for hook in each["webhooks"]:
            assert (hook["failurePolicy"], hook["sideEffects"]) == ("Ignore", "None")
            assert hook["timeoutSeconds"] <= 5
            (outside,) = hook["namespaceSelector"]["matchExpressions"]
            assert {"kube-system", "flowbatch-system"} <= set(outside["values"])


def rights():
    for kind in ("ClusterRole", "Role"):
        for name, role in of(kind).items():
            for rule in role["rules"]:
                yield kind, name, rule


def test_no_program_may_what_none_needs():
    for kind, name, rule in rights():
        words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "*" not in words, name
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"]), name
        assert not {"pods/exec", "nodes/proxy", "serviceaccounts/token", "clusterroles", "roles"} & set(words), name
        if "secrets" in rule["resources"]:
            # The controllers keep the keys of jobs in them; nobody lists or watches any.
            assert set(rule["verbs"]) <= {"get", "create", "patch"}, name
            assert kind == "Role" or name == "flowbatch-controllers"
        if "customresourcedefinitions" in rule["resources"]:
            assert (rule["verbs"], bool(rule["resourceNames"])) == (["get"], True)
        if any("webhookconfigurations" in each for each in rule["resources"]):
            assert rule["resourceNames"] == [Place().configuration]


def test_leases_are_named():
    named = [rule for _, _, rule in rights() if rule["resources"] == ["leases"] and "update" in rule["verbs"]]
    assert sorted(rule["resourceNames"][0] for rule in named) == ["flowbatch-controllers", "flowbatch-scheduler"]


def watched(name):
    """The kinds that a program keeps in memory, from the informers that it makes."""
    nobody: Any = Client(ClusterConfig("http://127.0.0.1:1"))
    if name == "scheduler":
        scheduler = SchedulerCaches.of(nobody)
        return {each.kind for each in (*scheduler.required, *scheduler.optional)}
    if name == "controllers":
        caches = ControllerCaches(nobody, ["volcano"])
        assert caches.nodes, "made when somebody asks"
        assert caches.hyper_nodes
        held = [each if isinstance(each, tuple) else (each,) for each in vars(caches).values()]
        return {one.kind for each in held for one in each if isinstance(one, Informer)}
    return {each.kind for each in WebhookCaches(nobody).informers.values()}


@pytest.mark.parametrize("name", PROGRAMS)
async def test_what_a_program_watches_it_may_read(name):
    rules = of("ClusterRole")[f"flowbatch-{name}"]["rules"]
    allowed = {
        (group, resource)
        for rule in rules
        if {"get", "list", "watch"} <= set(rule["verbs"])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    kinds = watched(name)
    assert len(kinds) > 3
    assert {(kind.group, kind.plural) for kind in kinds} - allowed == set()
