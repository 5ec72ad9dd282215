"""A job as the objects it stands for: PodGroup, pods, and what its plugins and volumes bring along.

Manifests are plain JSON, made new on each call. A pod's manifest depends on the job, its task and its index alone, so
that making it twice makes the same thing.
"""

from flowbatch.workload.expand.claims import claim_name, claims, wanted_claims
from flowbatch.workload.expand.pod import PodMaker, pods
from flowbatch.workload.expand.podgroup import declared_tasks, min_resources, pod_group, pod_group_name
from flowbatch.workload.expand.support import needs_keys, plugin_objects, support_of
from flowbatch.workload.roles.contract import SshKeys

__all__ = [
    "PodMaker",
    "SshKeys",
    "claim_name",
    "claims",
    "declared_tasks",
    "min_resources",
    "needs_keys",
    "plugin_objects",
    "pod_group",
    "pod_group_name",
    "pods",
    "support_of",
    "wanted_claims",
]
