"""What single kinds do beyond the general rules: defaults, checks on create, checks on update.

A `Strategy` holds plain functions; kinds without a line here are stored as they come. Controllers that fill status
live elsewhere; nothing here waits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver import core_kinds as core
from flowbatch.embedded.apiserver.metadata import check_labels
from flowbatch.embedded.apiserver.podchecks import check_pod_spec, check_pod_update
from flowbatch.embedded.apiserver.pods import default_pod, default_pod_spec, tolerate_lost_nodes
from flowbatch.embedded.apiserver.refusals import Cause, invalid_value, required
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.workloads import TEMPLATED, default_workload

Default = Callable[[JsonObject], None]
Check = Callable[[JsonObject], list[Cause]]
CheckUpdate = Callable[[JsonObject, JsonObject], list[Cause]]


def _nothing(obj: JsonObject) -> None:
    return


def _fine(obj: JsonObject) -> list[Cause]:
    return []


def _fine_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True)
class Strategy:
    """`default` runs on every write, `create` on creation only; the checks return what is wrong."""

    default: Default = _nothing
    create: Default = _nothing
    check: Check = _fine
    check_update: CheckUpdate = _fine_update
    #: Of a write to the status.
    check_status: CheckUpdate = _fine_update


def reset_status(obj: JsonObject) -> None:
    """A new object's status is the controllers' business."""
    obj["status"] = {}


def _default_template(obj: JsonObject) -> None:
    spec = (obj.get("template") or {}).get("spec")
    if isinstance(spec, dict):
        default_pod_spec(spec)


def _default_pod_again(obj: JsonObject) -> None:
    if isinstance(obj.get("spec"), dict):
        default_pod_spec(obj["spec"])
        tolerate_lost_nodes(obj["spec"])


def _create_pod(obj: JsonObject) -> None:
    if isinstance(obj.get("spec"), dict):
        default_pod(obj)
    else:
        obj["spec"] = {"containers": []}
        default_pod(obj)


def _check_pod(obj: JsonObject) -> list[Cause]:
    return check_pod_spec(obj.get("spec") or {}, "spec")


def _workload(type_name: str) -> Strategy:
    return Strategy(
        default=lambda obj: default_workload(type_name, obj),
        create=reset_status,
        check=_check_workload if type_name in TEMPLATED and type_name != "core.v1.ReplicationController" else _fine,
        check_update=_check_selector_update,
    )


def _check_workload(obj: JsonObject) -> list[Cause]:
    spec = obj["spec"]
    template: Any = spec.get("template") or {}
    causes = check_pod_spec(template.get("spec") or {}, "spec.template.spec")
    labels = (template.get("metadata") or {}).get("labels") or {}
    causes += check_labels(labels, "spec.template.metadata.labels")
    selector = spec.get("selector")
    if selector is None:
        causes.append(required("spec.selector"))
    elif any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        causes.append(
            invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
        )
    if isinstance(spec.get("replicas"), int) and spec["replicas"] < 0:
        causes.append(invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    return causes


def _check_selector_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        return [invalid_value("spec.selector", new["spec"].get("selector"), "field is immutable")]
    return []


def _check_frozen_spec(new: JsonObject, old: JsonObject) -> list[Cause]:
    if new.get("spec") != old.get("spec"):
        return [invalid_value("spec", new.get("spec"), "field is immutable")]
    return []


def _check_allocation(new: JsonObject, old: JsonObject) -> list[Cause]:
    """What was given may be taken back, and then something else be given; never in one step."""
    before, after = ((obj.get("status") or {}).get("allocation") for obj in (old, new))
    if before and after and before != after:
        return [invalid_value("status.allocation", after, "field is immutable")]
    return []


STRATEGIES: dict[str, Strategy] = {
    "core.v1.Pod": Strategy(_default_pod_again, _create_pod, _check_pod, check_pod_update),
    "core.v1.Namespace": Strategy(core.default_namespace, core.create_namespace),
    "core.v1.Service": Strategy(
        core.default_service, core.create_service, core.check_service, core.check_service_update
    ),
    "core.v1.ConfigMap": Strategy(check=core.check_data, check_update=core.check_frozen_data),
    "core.v1.Secret": Strategy(core.default_secret, check=core.check_secret, check_update=core.check_secret_update),
    "core.v1.PersistentVolumeClaim": Strategy(core.default_claim, core.create_claim),
    "core.v1.PersistentVolume": Strategy(core.default_volume, core.create_claim),
    "core.v1.PodTemplate": Strategy(_default_template),
    "core.v1.ResourceQuota": Strategy(create=reset_status),
    "scheduling.v1.PriorityClass": Strategy(
        core.default_priority_class, check=core.check_priority_class, check_update=core.check_priority_class_update
    ),
    "coordination.v1.Lease": Strategy(check=core.check_lease),
    "policy.v1.PodDisruptionBudget": Strategy(create=reset_status),
    "networking.v1.Ingress": Strategy(create=core.create_service),
    "storage.v1.StorageClass": Strategy(core.default_storage_class),
    "autoscaling.v1.HorizontalPodAutoscaler": Strategy(create=reset_status),
    "resource.v1.ResourceClaim": Strategy(
        create=reset_status, check_update=_check_frozen_spec, check_status=_check_allocation
    ),
    "resource.v1.ResourceClaimTemplate": Strategy(check_update=_check_frozen_spec),
    **{name: _workload(name) for name in (*sorted(TEMPLATED), "batch.v1.CronJob")},
}
_PLAIN = Strategy()


def strategy_of(resource: Resource) -> Strategy:
    """The strategy of a resource; custom resources and most kinds have the plain one."""
    return STRATEGIES.get(resource.type_name, _PLAIN)
