"""Is a field that the served schema would prune known to be missing?"""

import pytest

from flowbatch.api.kinds import JOB
from flowbatch.kube.schema import FLOWBATCH_FIELDS, has_field, schema_of_definition, schema_of_openapi
from flowbatch.workload.rules.served import ADDED

SCHEMA = {"properties": {"spec": {"properties": {"suspend": {"type": "boolean"}}}}}


def test_a_field_is_served_if_every_step_to_it_is():
    assert has_field(SCHEMA, ("spec", "suspend"))
    assert not has_field(SCHEMA, ("spec", "declaredTasks"))
    assert not has_field({}, ("spec", "suspend"))


@pytest.mark.parametrize("at", ["", "spec"])
def test_a_schema_that_preserves_unknown_fields_serves_all_of_them(at: str):
    open_ = {"x-kubernetes-preserve-unknown-fields": True}
    assert has_field({"properties": {at: open_}} if at else open_, ("spec", "suspend"))


def test_only_the_served_version_of_a_definition_counts():
    versions = [
        {"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": SCHEMA}},
        {"name": "v1", "served": False, "schema": {"openAPIV3Schema": {}}},
    ]
    assert schema_of_definition({"spec": {"versions": versions}}, "v1alpha1") == SCHEMA
    assert schema_of_definition({"spec": {"versions": versions}}, "v1") is None


def test_discovery_names_schemas_by_group_version_and_kind():
    named = {**SCHEMA, "x-kubernetes-group-version-kind": [{"group": JOB.group, "version": JOB.version, "kind": "Job"}]}
    document = {"components": {"schemas": {"other": {}, "sh.volcano.batch.v1alpha1.Job": named}}}
    assert schema_of_openapi(document, JOB) == named
    assert schema_of_openapi({}, JOB) is None


def test_what_is_looked_for_in_a_schema_is_what_the_rules_refuse_without_it():
    served = {name: ".".join(path) for name, (kind, path) in FLOWBATCH_FIELDS.items() if kind is JOB}
    assert served == {name: path for name, (path, _) in ADDED.items()}
