"""Are the CRDs Volcano's in every name that clients use, and is deploy/crds their latest text?"""

from pathlib import Path

import pytest

from flowbatch.admission.crds import crds, dump

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "crds"


def by_name():
    return {each["metadata"]["name"]: each["spec"] for each in crds()}


def test_deploy_crds_is_up_to_date():
    written = {path.name: path.read_text() for path in DEPLOY.glob("*.yaml")}
    generated = {f"{each['spec']['group']}_{each['spec']['names']['plural']}.yaml": dump(each) for each in crds()}
    assert generated == written, "run: python -m flowbatch.admission.crds deploy/crds"


@pytest.mark.parametrize(
    ("name", "scope", "short", "subresources"),
    [
        ("jobs.batch.volcano.sh", "Namespaced", ["vcjob", "vj"], {"status": {}}),
        ("podgroups.scheduling.volcano.sh", "Namespaced", ["pg", "podgroup-v1beta1"], {}),
        ("queues.scheduling.volcano.sh", "Cluster", ["q", "queue-v1beta1"], {"status": {}}),
        ("commands.bus.volcano.sh", "Namespaced", None, {}),
        ("hypernodes.topology.volcano.sh", "Cluster", ["hn"], {"status": {}}),
        ("numatopologies.nodeinfo.volcano.sh", "Cluster", ["numatopo"], {}),
        ("cronjobs.batch.volcano.sh", "Namespaced", ["cronvcjob", "cronvj"], {"status": {}}),
        ("jobflows.flow.volcano.sh", "Namespaced", ["jf"], {"status": {}}),
        ("jobtemplates.flow.volcano.sh", "Namespaced", ["jt"], {"status": {}}),
    ],
)
def test_names_scopes_and_subresources_are_volcanos(name, scope, short, subresources):
    spec = by_name()[name]
    assert scope == spec["scope"]
    assert short == spec["names"].get("shortNames")
    assert subresources == spec["versions"][0]["subresources"]


def test_job_columns_are_volcanos():
    columns = by_name()["jobs.batch.volcano.sh"]["versions"][0]["additionalPrinterColumns"]
    assert [(column["name"], column["jsonPath"]) for column in columns] == [
        ("STATUS", ".status.state.phase"),
        ("minAvailable", ".status.minAvailable"),
        ("RUNNINGS", ".status.running"),
        ("AGE", ".metadata.creationTimestamp"),
        ("QUEUE", ".spec.queue"),
    ]


def test_hyper_node_columns_are_volcanos():
    columns = by_name()["hypernodes.topology.volcano.sh"]["versions"][0]["additionalPrinterColumns"]
    assert [(column["name"], column["jsonPath"], column["type"]) for column in columns] == [
        ("Tier", ".spec.tier", "string"),
        ("TierName", ".spec.tierName", "string"),
        ("NodeCount", ".status.nodeCount", "integer"),
        ("Age", ".metadata.creationTimestamp", "date"),
    ]


def schema(name):
    return by_name()[name]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def test_pod_templates_are_preserved_whole():
    task = schema("jobs.batch.volcano.sh")["spec"]["properties"]["tasks"]["items"]
    assert task["properties"]["template"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_defaults_are_volcanos():
    job = schema("jobs.batch.volcano.sh")["spec"]["properties"]
    assert (job["maxRetry"]["default"], job["queue"]["default"]) == (3, "default")
    assert schema("podgroups.scheduling.volcano.sh")["spec"]["properties"]["queue"]["default"] == "default"


def test_every_schema_is_structural():
    """A type at every node, and nothing but values below anyOf: what apiextensions demands."""

    def walk(node, path):
        if node.get("x-kubernetes-int-or-string") or node == {"x-kubernetes-preserve-unknown-fields": True}:
            return
        assert "type" in node, path
        for name, child in node.get("properties", {}).items():
            walk(child, f"{path}.{name}")
        for key in ("items", "additionalProperties"):
            if isinstance(node.get(key), dict):
                walk(node[key], f"{path}.{key}")

    for name, spec in by_name().items():
        walk(spec["versions"][0]["schema"]["openAPIV3Schema"], name)


def test_what_a_caller_does_to_its_crds_is_its_own_affair():
    before = [dump(each) for each in crds()]
    for each in crds():
        each["spec"]["versions"][0].pop("additionalPrinterColumns", None)
        each["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].clear()
        each["spec"]["names"].clear()
    columns = crds()[0]["spec"]["versions"][0]["additionalPrinterColumns"]
    columns[0]["name"] = "CHANGED"
    assert [dump(each) for each in crds()] == before
