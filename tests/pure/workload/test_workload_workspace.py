"""Do all jobs of a flow name its volume, and does its claim go with it unless it is to stay?"""

import msgspec
import pytest

from flowbatch.api.flow import JobFlow, JobTemplate
from flowbatch.workload import rules
from flowbatch.workload.flow.child import child_job
from flowbatch.workload.flow.workspace import claim_of
from flowbatch_dsl import Job, Task, Workflow, Workspace


def flow(**workspace):
    spec = {"flows": [{"name": "a"}], "workspace": {"mountPath": "/work", **workspace}}
    return msgspec.convert({"metadata": {"name": "f", "namespace": "n", "uid": "u"}, "spec": spec}, JobFlow)


def test_a_claim_is_the_flows_own_unless_it_is_to_stay():
    made = claim_of(flow(claim={"storageClassName": "fast"}))
    assert made["metadata"]["name"] == "f-workspace"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert made["spec"]["storageClassName"] == "fast"
    assert made["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    assert "ownerReferences" not in claim_of(flow(claim={}, retentionPolicy="Retain"))["metadata"]
    assert claim_of(flow(claimName="there")) is None


def test_every_job_mounts_it_beside_its_own_volumes():
    own = [{"mountPath": "/own", "volumeClaimName": "c"}]
    template = msgspec.convert({"spec": {"volumes": own, "tasks": [{"name": "t"}]}}, JobTemplate)
    shared = flow(claim={})
    job = child_job(shared, shared.spec.flows[0], template, {}, None, 1)
    assert job["spec"]["volumes"] == [*own, {"mountPath": "/work", "volumeClaimName": "f-workspace"}]


@pytest.mark.parametrize(
    ("workspace", "path", "said"),
    [
        ({"mountPath": "work", "claim": {}}, "spec.workspace.mountPath", "must be an absolute path"),
        ({"mountPath": "/work"}, "spec.workspace", "needs claimName"),
        ({"mountPath": "/work", "claimName": "No"}, "spec.workspace.claimName", "lower"),
        ({"mountPath": "/work", "claim": {}, "retentionPolicy": "Keep"}, "spec.workspace.retentionPolicy", "not known"),
        ({"mountPath": "/work", "claim": {}, "size": "1Gi"}, "spec.workspace.size", "is not a field"),
    ],
)
def test_slips_are_refused_with_their_path(workspace, path, said):
    manifest = {
        "apiVersion": "flow.volcano.sh/v1alpha1",
        "kind": "JobFlow",
        "metadata": {"name": "f"},
        "spec": {"flows": [{"name": "a"}], "workspace": workspace},
    }
    found = rules.check_job_flow(manifest)
    assert [each.path for each in found] == [path]
    assert said in str(found[0])
    assert "spec.workspace" in [each.path for each in rules.check_job_flow(manifest, served=frozenset())]


@pytest.mark.parametrize(
    "workspace",
    [
        Workspace("/work"),
        Workspace("/work", size="10Gi", storage_class="fast", keep=True),
        Workspace("/work", claim="there"),
        Workspace("/work", claim="named", size="2Gi"),
    ],
)
def test_a_workspace_written_in_python_reads_back_as_itself(workspace):
    made = Workflow("f", [Job("a", tasks=[Task("t", ["true"])])], workspace=workspace)
    assert made.validate().ok
    assert Workflow.from_yaml(made.to_yaml()) == made
