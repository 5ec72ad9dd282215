"""Defaults of the workload kinds that are only stored here: Deployments, StatefulSets, Jobs and their like."""

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.pods import default_pod_spec

_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}

_FIELDS: dict[str, JsonObject] = {
    "apps.v1.Deployment": {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600},
    "apps.v1.ReplicaSet": {"replicas": 1},
    "apps.v1.StatefulSet": {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady"},
    "apps.v1.DaemonSet": {"revisionHistoryLimit": 10},
    "core.v1.ReplicationController": {"replicas": 1},
    "batch.v1.Job": {
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "manualSelector": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    },
    "batch.v1.CronJob": {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    },
}
#: Kinds with a pod template at spec.template.
TEMPLATED = frozenset(_FIELDS) - {"batch.v1.CronJob"}


def default_workload(type_name: str, obj: JsonObject) -> None:
    """Fill in the defaults of `type_name`, in place."""
    spec = obj.setdefault("spec", {})
    for name, value in _FIELDS.get(type_name, {}).items():
        spec.setdefault(name, value)
    _default_strategy(type_name, spec)
    template = spec.get("template")
    if type_name == "batch.v1.CronJob":
        job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
        template = job.get("template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        default_pod_spec(template["spec"])
    if type_name == "batch.v1.Job":
        _default_job(obj, spec)


def _default_strategy(type_name: str, spec: JsonObject) -> None:
    if type_name == "apps.v1.Deployment":
        strategy = spec.setdefault("strategy", {})
        if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
            strategy["rollingUpdate"] = {**_ROLLING, **(strategy.get("rollingUpdate") or {})}
    elif type_name == "apps.v1.StatefulSet":
        spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
        kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        spec.setdefault("persistentVolumeClaimRetentionPolicy", kept)
    elif type_name == "apps.v1.DaemonSet":
        rolling = {"maxUnavailable": 1, "maxSurge": 0}
        spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": rolling})


def _default_job(job: JsonObject, spec: JsonObject) -> None:
    """A Job's counts, and the selector by its own uid that keeps two jobs apart."""
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    uid = job["metadata"].get("uid")
    if spec["manualSelector"] or not uid or "selector" in spec or not isinstance(spec.get("template"), dict):
        return
    name = job["metadata"]["name"]
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    labels |= {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
    labels |= {"controller-uid": uid, "job-name": name}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
