"""On a real kube-apiserver: do the shipped policies refuse what they say they do, and the webhook all of the table?

The thousand specs are those about which DSL, door and controller agree (tests/pure/admission). A write is a dry run.
"""

import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import yaml

from flowbatch.admission.configurations import configurations
from flowbatch.admission.policies import policies
from flowbatch.admission.rotation import Place
from flowbatch.api.kinds import KINDS, Kind
from flowbatch.api.meta import JsonObject
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch.kube.errors import Forbidden, Invalid
from flowbatch.kube.request import Request
from tests.admissioncases import specs
from tests.admissionsuites import ROWS
from tests.admissionworld import command, cron, flow, hyper_node, job, pod, pod_group, queue, task, template
from tests.apiserver.rig import free_ports
from tests.cluster.conftest import plane
from tests.cluster.world import Cluster, program, wait_for

pytestmark = [
    pytest.mark.real_only("the embedded server evaluates no CEL and calls no webhooks"),
    pytest.mark.timeout(300),
]
COUNT = 1000
LANES = 16
PLACE = Place(namespace="flowbatch-system")
BY_KIND = {(kind.api_version, kind.kind): kind for kind in KINDS}
#: One object of each kind that nothing but a policy refuses: once they are, the policies are in force.
KNOWN_TO_POLICIES = (
    job(queue="root"),
    queue("other", deserved={"cpu": "2"}, capability={"cpu": "1"}),
    pod_group(queue="root"),
    hyper_node("h", {"type": "HyperNode", "selector": {"labelMatch": {"matchLabels": {"a": "b"}}}}),
    command("Stop"),
    cron("n" * 53),
    template("t", queue="root"),
    flow({"name": "a", "dependsOn": {"targets": ["a"]}}),
    pod(annotations={"volcano.sh/jdb-min-available": "0"}),
)


@pytest.fixture(scope="module")
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane with CRDs and namespaces."""
    with plane(tmp_path_factory.mktemp("admission"), request.config.getoption("--on")) as cluster:
        for name, annotations in ((PLACE.namespace, {}), ("night", {"scheduling.volcano.sh/queue-name": "night"})):
            meta = {"name": name, "annotations": annotations}
            create(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        for name in ("root", "default", "night", "ads"):
            create(cluster, queue(name))
        yield cluster


@pytest.fixture
async def client(bare: Cluster) -> AsyncIterator[Client]:
    async with Client(await load_config(bare.kubeconfig)) as client:
        yield client


@pytest.fixture(scope="module", params=["policies", "webhook"])
def guarded(
    request: pytest.FixtureRequest, bare: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One of the two guards, alone."""
    folder = tmp_path_factory.mktemp(request.param)
    with with_policies(bare) if request.param == "policies" else with_webhook(bare, folder):
        yield bare


policed = pytest.mark.parametrize("guarded", ["policies"], indirect=True)
hooked = pytest.mark.parametrize("guarded", ["webhook"], indirect=True)


@contextlib.contextmanager
def with_policies(bare: Cluster) -> Iterator[None]:
    """With the shipped policies in force, and no webhook."""
    for each in policies():
        create(bare, each)
    for each in KNOWN_TO_POLICIES:
        bare.until(partial(refused, bare, each), f"the policies of {each['kind']}")
    yield
    for each in policies():
        bare.kubectl("delete", each["kind"], each["metadata"]["name"])


@contextlib.contextmanager
def with_webhook(bare: Cluster, folder: Path) -> Iterator[None]:
    """With the webhook alone: called by URL, because nobody here routes a Service."""
    (port, health) = free_ports(2)
    settings = {
        "webhook": {"port": port, "namespace": PLACE.namespace, "names": ["localhost"]},
        "health": {"port": health},
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    flags = ["--config", str(folder / "settings.yaml"), "--kubeconfig", str(bare.kubeconfig)]
    made = configurations(PLACE)
    for each in made:
        create(bare, each)
    with program(folder, "webhook", [sys.executable, "-m", "flowbatch", "webhook", *flags]) as log:
        wait_for(lambda: trusted(bare), log)
        for each in made:
            by_url(bare, each, port)
        bare.until(
            lambda: refused(bare, job(queue="root")),
            "the webhook to be asked",
            story=lambda: replied(bare, job(queue="root")) + log.read_text(),
        )
        yield
    for each in made:
        bare.kubectl("delete", each["kind"], each["metadata"]["name"])


def trusted(cluster: Cluster) -> bool:
    """Whether the webhook has put its authority into both configurations, everywhere."""
    found = [cluster.get(each["kind"], PLACE.configuration) for each in configurations(PLACE)]
    return all(hook["clientConfig"].get("caBundle") for each in found for hook in each["webhooks"])


def by_url(cluster: Cluster, configuration: JsonObject, port: int) -> None:
    """The same webhooks, called at this address; the authority is the one that was patched in."""
    live = cluster.get(configuration["kind"], PLACE.configuration)
    secret = cluster.get("secret", PLACE.secret, "-n", PLACE.namespace)
    for hook in live["webhooks"]:
        service = hook["clientConfig"].pop("service")
        assert hook["clientConfig"]["caBundle"] == secret["data"]["ca.crt"]
        hook["clientConfig"]["url"] = f"https://localhost:{port}{service['path']}"
        hook["failurePolicy"] = "Fail"
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(live))


def create(cluster: Cluster, obj: JsonObject) -> None:
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(obj))


def refused(cluster: Cluster, obj: JsonObject) -> bool:
    done = cluster.run("kubectl", "create", "--dry-run=server", "-f", "-", stdin=json.dumps(obj))
    return done.returncode != 0 and ("denied" in done.stderr or "is invalid" in done.stderr)


async def attempt(client: Client, obj: JsonObject, namespace: str = "default") -> tuple[JsonObject, str]:
    """What would be stored, or why not."""
    kind: Kind[Any] = BY_KIND[obj["apiVersion"], obj["kind"]]
    body = {**obj, "metadata": {**obj["metadata"], **({"namespace": namespace} if kind.namespaced else {})}}
    path = kind.path(namespace if kind.namespaced else None)
    try:
        answer = await client.send(Request("POST", path, (("dryRun", "All"),), json.dumps(body).encode()))
    except (Invalid, Forbidden) as refusal:
        return {}, str(refusal)
    return msgspec.json.decode(answer), ""


async def verdicts(client: Client) -> list[tuple[Any, str]]:
    """Every spec, with what it is refused for."""
    found: list[tuple[Any, str]] = []
    waiting = iter(list(specs(COUNT)))

    async def lane() -> None:
        for spec in waiting:
            _, said = await attempt(client, spec.manifest)
            found.append((spec, said))

    async with anyio.create_task_group() as tasks:
        for _ in range(LANES):
            tasks.start_soon(lane)
    assert len(found) == COUNT
    return found


@policed
async def test_schema_and_policies_refuse_what_cel_can_say_and_nothing_else(guarded: Cluster, client: Client) -> None:
    wrong = [(said, spec.story) for spec, said in await verdicts(client) if bool(said) is not spec.cel_refuses]
    assert wrong == []


@policed
async def test_a_policy_names_every_problem(guarded: Cluster, client: Client) -> None:
    tasks = [task("a", 2), task("a", 1)]
    _, said = await attempt(client, job(queue="root", minAvailable=9, plugins={"scv": []}, tasks=tasks))
    for piece in ("spec.queue: takes no jobs", "spec.minAvailable: must not", "spec.plugins: has", "a name twice"):
        assert piece in said


@policed
async def test_policies_fill_in_scheduler_and_the_namespaces_queue(guarded: Cluster, client: Client) -> None:
    made, said = await attempt(client, job(), "night")
    assert (said, made["spec"]["schedulerName"], made["spec"]["queue"]) == ("", "volcano", "night")
    made, _ = await attempt(client, pod_group(), "night")
    assert made["spec"]["queue"] == "night"
    made, _ = await attempt(client, pod_group(queue="ads"), "night")
    assert made["spec"]["queue"] == "ads"
    made, _ = await attempt(client, job(schedulerName="mine"))
    assert (made["spec"]["schedulerName"], made["spec"]["queue"]) == ("mine", "default")


@pytest.mark.parametrize(
    ("annotations", "fine"),
    [
        ({"volcano.sh/jdb-min-available": "2"}, True),
        ({"volcano.sh/jdb-min-available": "99%"}, True),
        ({"volcano.sh/jdb-min-available": "0"}, False),
        ({"volcano.sh/jdb-min-available": "100%"}, False),
        ({"volcano.sh/jdb-min-available": "1", "volcano.sh/jdb-max-unavailable": "1"}, False),
    ],
)
@policed
async def test_disruption_budgets_of_pods_are_a_policys(
    guarded: Cluster, client: Client, annotations: dict[str, str], fine: bool
) -> None:
    assert ((await attempt(client, pod(annotations=annotations)))[1] == "") is fine
    assert (await attempt(client, pod("default-scheduler", annotations=annotations)))[1] == ""


def changed(old: JsonObject, **spec: Any) -> JsonObject:
    return {**old, "spec": {**old["spec"], **spec}}


_names = itertools.count()


def stored(cluster: Cluster) -> JsonObject:
    name = f"kept-{next(_names)}"
    create(cluster, {**job(name), "metadata": {"name": name}})
    found: JsonObject = cluster.get("vcjob", name)
    return found


def replaced(cluster: Cluster, obj: JsonObject) -> str:
    done = cluster.run("kubectl", "replace", "--dry-run=server", "-f", "-", stdin=json.dumps(obj))
    return done.stderr if done.returncode else ""


def test_what_may_change_in_a_job_that_exists(guarded: Cluster) -> None:
    cluster = guarded
    old = stored(cluster)
    one = old["spec"]["tasks"][0]
    fine = [
        changed(old, minAvailable=1),
        changed(old, tasks=[{**one, "replicas": 5, "minAvailable": 1}]),
        {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}},
    ]
    assert [replaced(cluster, each) for each in fine] == ["", "", ""]
    for wrong, what in (
        (changed(old, queue="night"), "queue"),
        (changed(old, schedulerName="other"), "spec"),
        (changed(old, tasks=[one, {**one, "name": "more"}]), "tasks"),
        (changed(old, tasks=[{**one, "maxRetry": 9}]), "spec.tasks"),
        (changed(old, tasks=[{**one, "template": {"spec": {"containers": []}}}]), "template"),
    ):
        assert what in replaced(cluster, wrong), wrong
    cluster.kubectl("delete", "vcjob", old["metadata"]["name"])


def test_queues_that_every_cluster_needs_cannot_be_deleted(guarded: Cluster) -> None:
    cluster = guarded
    for name in ("root", "default"):
        done = cluster.run("kubectl", "delete", "queue", name, "--dry-run=server")
        assert "the cluster needs this queue" in done.stderr
    assert cluster.run("kubectl", "delete", "queue", "night", "--dry-run=server").returncode == 0


@hooked
async def test_the_webhook_refuses_what_the_table_refuses(guarded: Cluster, client: Client) -> None:
    wrong = [(said, spec.story) for spec, said in await verdicts(client) if bool(said) is spec.valid]
    assert wrong == []


@hooked
async def test_the_webhook_looks_at_other_objects(guarded: Cluster, client: Client) -> None:
    _, said = await attempt(client, job(queue="nowhere", priorityClassName="high"))
    assert "spec.queue: 'nowhere': no such queue" in said
    assert "spec.priorityClassName: 'high': no such priority class" in said
    create(guarded, queue("leaf", parent="night"))
    guarded.until(
        lambda: "takes no jobs: it has queues below it" in replied(guarded, job(queue="night")), "the leaf seen"
    )
    assert (await attempt(client, job(queue="leaf")))[1] == ""
    patch = '{"status": {"state": "Closed", "allocated": {}}}'
    guarded.kubectl("patch", "queue", "leaf", "--subresource=status", "--type=merge", "-p", patch)
    guarded.until(lambda: "is Closed" in replied(guarded, job(queue="leaf")), "the closed queue seen")
    done = guarded.run("kubectl", "delete", "queue", "night", "--dry-run=server")
    assert "queues below it (leaf)" in done.stderr
    guarded.kubectl("delete", "queue", "leaf")


def replied(cluster: Cluster, obj: JsonObject) -> str:
    done = cluster.run("kubectl", "create", "--dry-run=server", "-f", "-", stdin=json.dumps(obj))
    return done.stdout + done.stderr


@hooked
def test_a_template_that_is_not_there_yet_is_a_warning(guarded: Cluster) -> None:
    said = replied(guarded, flow({"name": "a"}))
    assert "created (server dry run)" in said
    assert "Warning: spec.flows[0].name: 'a': no such job template yet" in said


@hooked
async def test_the_webhook_fills_in_what_is_not_said(guarded: Cluster, client: Client) -> None:
    made, said = await attempt(
        client, job(plugins={"mpi": ["--worker=default1"]}, tasks=[task("master", 1), task("", 2)]), "night"
    )
    assert said == ""
    spec = made["spec"]
    assert (spec["queue"], spec["schedulerName"], spec["maxRetry"], spec["minAvailable"]) == ("night", "volcano", 3, 3)
    assert sorted(spec["plugins"]) == ["mpi", "ssh", "svc"]
    assert spec["tasks"][1]["name"] == "default1"
    made, _ = await attempt(client, queue("fresh"))
    assert made["spec"] == {"weight": 1, "reclaimable": True, "parent": "root", "dequeueStrategy": "traverse"}


@hooked
async def test_volcanos_admission_suites_by_the_webhook(guarded: Cluster, client: Client) -> None:
    """Those of pods are the policies' (above); changes and deletions have tests of their own here."""
    rows = [row for row in ROWS if row.suite != "pod" and row.old is None and row.obj is not None]
    for number, row in enumerate(rows):
        assert row.obj is not None
        fresh = {**row.obj, "metadata": {**row.obj["metadata"], "name": f"row-{number}"}}
        made, said = await attempt(client, fresh, row.namespace)
        if isinstance(row.wanted, str):
            # The schema, which is asked first, words its paths in its own way.
            assert row.wanted.split("[")[0].rpartition(".")[2] in said, row
        else:
            assert said == "", row
            assert contains(made.get("spec", {}), row.wanted), row


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], each) for key, each in part.items())
    return bool(whole == part)
