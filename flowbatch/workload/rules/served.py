"""Fields that flowbatch adds to Volcano's, on a cluster whose schema would silently prune them: refused by name."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.rules.table import values_at
from flowbatch.workload.suspension import SUSPEND_FIELD

#: The name under which `served_fields` lists the field -> where it stands, and what does as well.
ADDED: dict[str, tuple[str, str]] = {
    SUSPEND_FIELD: ("spec.suspend", 'use the annotation flowbatch.dev/suspended: "true"'),
    "JobSpec.retry": ("spec.retry", "install flowbatch's CRDs"),
    "JobSpec.activeDeadlineSeconds": ("spec.activeDeadlineSeconds", "set it in the pod templates"),
    "JobSpec.ttlSecondsAfterSuspended": ("spec.ttlSecondsAfterSuspended", "install flowbatch's CRDs"),
    "JobSpec.reservationPolicy": ("spec.reservationPolicy", "install flowbatch's CRDs"),
    "JobSpec.inputs": ("spec.inputs", "install flowbatch's CRDs"),
    "JobSpec.outputs": ("spec.outputs", "install flowbatch's CRDs"),
    "TaskSpec.inputs": ("spec.tasks[].inputs", "install flowbatch's CRDs"),
    "TaskSpec.outputs": ("spec.tasks[].outputs", "install flowbatch's CRDs"),
    "TaskSpec.retry": ("spec.tasks[].retry", "install flowbatch's CRDs"),
    "DependsOn.status": ("spec.tasks[].dependsOn.status", "install flowbatch's CRDs"),
}


def check_served(manifest: JsonObject, served: frozenset[str] | None) -> Iterator[SpecError]:
    """Every added field that the manifest uses and the cluster does not know."""
    if served is None:
        return
    for field, (path, hint) in ADDED.items():
        if field not in served:
            for place, _ in values_at(manifest, path):
                yield SpecError(place, "is not served by this cluster's Job CRD", None, hint)
