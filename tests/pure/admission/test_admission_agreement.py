"""One table, many readers: do the DSL, the command line, the door, the webhook and the controller all say the same?"""

import json
from datetime import UTC, datetime

import msgspec
import pytest
import yaml

from flowbatch.admission.admit import admit
from flowbatch.admission.policies import files
from flowbatch.admission.review import read_review, verdict
from flowbatch.api.batch import Job
from flowbatch.errors import SpecErrors
from flowbatch.workload import rules
from flowbatch.workload.reconcile import Children, reconcile
from flowbatch_dsl import Job as DslJob
from tests.admissioncases import KINDS, specs
from tests.admissionworld import Stored, queue
from tests.pure.admission.test_admission_crds import DEPLOY

WORLD = Stored(queue("default"), queue("root"))
COUNT = 1000
CASES = list(specs(COUNT))
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def by_table(manifest):
    return rules.CHECKS[manifest["apiVersion"], manifest["kind"]](manifest) == []


def at_the_door(manifest):
    try:
        admit("CREATE", manifest["kind"], None, json.loads(json.dumps(manifest)), WORLD)
    except SpecErrors:
        return False
    return True


def by_webhook(manifest):
    group, _, version = manifest["apiVersion"].rpartition("/")
    kind = {"group": group, "version": version, "kind": manifest["kind"]}
    request = {"uid": "u", "operation": "CREATE", "kind": kind, "object": manifest}
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return verdict(read_review(json.dumps(body).encode()), WORLD)[0]["response"]["allowed"]


def by_controller(manifest):
    read = msgspec.convert({key: manifest[key] for key in ("metadata", "spec")}, Job, strict=True)
    state = reconcile(read, Children(), NOW).status
    return state is None or state.state.reason != "InvalidSpec"


def by_dsl(manifest):
    try:
        return not DslJob.from_yaml(yaml.safe_dump(manifest)).validate().problems
    except SpecErrors:
        return False


def test_every_mutation_is_refused_and_every_valid_manifest_is_not():
    wrong = [spec.story for spec in CASES if by_table(spec.manifest) is not spec.valid]
    assert wrong == []
    assert sum(spec.valid for spec in CASES) > COUNT / 4


@pytest.mark.parametrize("reader", [at_the_door, by_webhook])
def test_the_door_and_the_webhook_agree(reader):
    assert [spec.story for spec in CASES if reader(spec.manifest) is not spec.valid] == []


@pytest.mark.parametrize("reader", [by_dsl, by_controller])
def test_the_dsl_and_the_controller_agree_about_jobs(reader):
    jobs = [spec for spec in CASES if spec.manifest["kind"] == "Job"]
    assert len(jobs) > COUNT / 2
    assert [spec.story for spec in jobs if reader(spec.manifest) is not spec.valid] == []


def test_every_kind_that_has_rules_is_asked_about():
    asked = {spec.manifest["kind"] for spec in CASES}
    assert asked >= {kind for _, kind in rules.CHECKS} - {"Numatopology"}
    assert len(CASES) > sum(len(known) for _, _, known in KINDS)


def test_deploy_policies_are_up_to_date():
    folder = DEPLOY.parent / "policies"
    written = {path.name: path.read_text() for path in folder.glob("*.yaml")}
    assert files() == written, "run: python -m flowbatch.admission.policies deploy/policies"
