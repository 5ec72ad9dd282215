"""The volume that the jobs of a flow share: its claim, and how their specs name it."""

from flowbatch.api.flow import FlowWorkspace, JobFlow
from flowbatch.api.kinds import JOB_FLOW, PERSISTENT_VOLUME_CLAIM
from flowbatch.api.meta import JsonObject

RETAIN = "Retain"
#: A claim that says nothing else.
_DEFAULTS: JsonObject = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}


def claim_name(flow: JobFlow, workspace: FlowWorkspace) -> str:
    """The claim's name: as stated, else the flow's with an ending."""
    return workspace.claim_name or f"{flow.metadata.name}-workspace"


def claim_of(flow: JobFlow) -> JsonObject | None:
    """The claim that the flow brings along, owned by it unless it is to outlive it; None where it brings none."""
    workspace = flow.spec.workspace
    if workspace is None or workspace.claim is None:
        return None
    meta = flow.metadata
    metadata: JsonObject = {"name": claim_name(flow, workspace), "namespace": meta.namespace}
    if workspace.retention_policy != RETAIN:
        owner = {"apiVersion": JOB_FLOW.api_version, "kind": JOB_FLOW.kind, "name": meta.name, "uid": meta.uid}
        metadata["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    return {
        "apiVersion": PERSISTENT_VOLUME_CLAIM.api_version,
        "kind": PERSISTENT_VOLUME_CLAIM.kind,
        "metadata": metadata,
        "spec": {**_DEFAULTS, **workspace.claim},
    }


def with_workspace(flow: JobFlow, spec: JsonObject) -> JsonObject:
    """A job's spec with the flow's volume among its own."""
    workspace = flow.spec.workspace
    if workspace is None:
        return spec
    volume = {"mountPath": workspace.mount_path, "volumeClaimName": claim_name(flow, workspace)}
    return {**spec, "volumes": [*(spec.get("volumes") or ()), volume]}
