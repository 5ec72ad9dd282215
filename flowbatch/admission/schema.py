"""Structural OpenAPI schemas from the wire Structs.

The Structs say names and types; `CONSTRAINTS` adds what a type cannot say (bounds, enums, defaults), with Volcano's
own values. Constraints live here and not on the Structs because reading must stay tolerant: one bad stored object must
not stop an informer, while a bad *new* object must be refused.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from flowbatch.api import batch, bus, cron, flow, nodeinfo, scheduling, topology
from flowbatch.api.meta import JsonObject, ObjectMeta, OwnerReference, Wire
from flowbatch.workload.vocabulary import (
    CONCURRENCY_POLICIES,
    DEPENDENCY_STATUSES,
    OUTPUT_POLICIES,
    RESERVATION_POLICIES,
    RETAIN_POLICIES,
    RETENTION_POLICIES,
    STEP_ENDS,
    STEP_OPERATORS,
)

QUANTITY: JsonObject = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": (
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
        r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    ),
    "x-kubernetes-int-or-string": True,
}
NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DOTTED_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
EVENTS = (
    "*",
    "PodPending",
    "PodRunning",
    "PodFailed",
    "PodEvicted",
    "Unknown",
    "TaskCompleted",
    "OutOfSync",
    "CommandIssued",
    "JobUpdated",
    "TaskFailed",
)
_DOTTED: JsonObject = {"maxLength": 253, "pattern": DOTTED_NAME}
_COUNT: JsonObject = {"format": "int32", "minimum": 0}
_PORT: JsonObject = {"minimum": 0, "maximum": 65535}

#: (Struct, wire name of the field) -> what its type does not say.
CONSTRAINTS: Mapping[tuple[type[Wire], str], JsonObject] = {
    (batch.LifecyclePolicy, "event"): {"enum": list(EVENTS)},
    (batch.LifecyclePolicy, "events"): {"items": {"type": "string", "enum": list(EVENTS)}},
    (batch.LifecyclePolicy, "exitCode"): {"format": "int32"},
    (batch.NetworkTopologySpec, "mode"): {"default": "hard", "enum": ["hard", "soft"]},
    (batch.NetworkTopologySpec, "highestTierAllowed"): {"minimum": 0},
    (batch.NetworkTopologySpec, "highestTierName"): {"maxLength": 253},
    (batch.PartitionPolicy, "totalPartitions"): {"format": "int32", "minimum": 1},
    (batch.PartitionPolicy, "partitionSize"): {"format": "int32", "minimum": 1},
    (batch.PartitionPolicy, "minPartitions"): {**_COUNT, "default": 0},
    (batch.DependsOn, "status"): {"enum": list(DEPENDENCY_STATUSES)},
    (batch.DataOutput, "policy"): {"enum": list(OUTPUT_POLICIES)},
    (batch.DataInput, "digest"): {"pattern": r"^sha256:[0-9a-f]{64}$"},
    (batch.RetryRules, "backoffSeconds"): _COUNT,
    (batch.RetryRules, "maxBackoffSeconds"): _COUNT,
    (batch.RetryRules, "memoryIncreasePercent"): {"format": "int32", "minimum": 1},
    (batch.TaskSpec, "name"): {"maxLength": 63, "pattern": NAME},
    (batch.TaskSpec, "replicas"): _COUNT,
    (batch.TaskSpec, "minAvailable"): _COUNT,
    (batch.TaskSpec, "maxRetry"): {"format": "int32", "minimum": -1},
    (batch.JobSpec, "schedulerName"): {"maxLength": 63},
    (batch.JobSpec, "minAvailable"): _COUNT,
    (batch.JobSpec, "queue"): {**_DOTTED, "default": "default"},
    (batch.JobSpec, "priorityClassName"): _DOTTED,
    (batch.JobSpec, "maxRetry"): {**_COUNT, "default": 3},
    (batch.JobSpec, "minSuccess"): {"format": "int32", "minimum": 1},
    (batch.JobSpec, "ttlSecondsAfterFinished"): {"format": "int32", "minimum": 0},
    (batch.JobSpec, "activeDeadlineSeconds"): {"format": "int32", "minimum": 1},
    (batch.JobSpec, "ttlSecondsAfterSuspended"): _COUNT,
    (batch.JobSpec, "reservationPolicy"): {"enum": list(RESERVATION_POLICIES)},
    (scheduling.PodGroupSpec, "minMember"): {"format": "int32"},
    (scheduling.PodGroupSpec, "queue"): {"default": "default"},
    (scheduling.SubGroupPolicy, "subGroupSize"): {"format": "int32", "minimum": 1, "default": 1},
    (scheduling.SubGroupPolicy, "minSubGroups"): {**_COUNT, "default": 0},
    (scheduling.DeclaredTask, "count"): _COUNT,
    (scheduling.DeclaredTask, "minimum"): _COUNT,
    (scheduling.OwnerLimit, "jobs"): {"format": "int32", "minimum": 0},
    (scheduling.QueueSpec, "weight"): {"format": "int32", "minimum": 1, "maximum": 65535, "default": 1},
    (scheduling.QueueSpec, "priority"): {"format": "int32"},
    (scheduling.QueueSpec, "dequeueStrategy"): {"enum": ["fifo", "traverse"], "default": "traverse"},
    (cron.CronJobSpec, "concurrencyPolicy"): {"default": "Allow", "enum": list(CONCURRENCY_POLICIES)},
    (cron.CronJobSpec, "startingDeadlineSeconds"): {"format": "int64", "minimum": 0},
    (cron.CronJobSpec, "suspend"): {"default": False},
    (cron.CronJobSpec, "successfulJobsHistoryLimit"): {**_COUNT, "default": 3},
    (cron.CronJobSpec, "failedJobsHistoryLimit"): {**_COUNT, "default": 1},
    (flow.Flow, "name"): {"minLength": 1},
    (flow.HttpGet, "port"): _PORT,
    (flow.TcpSocket, "port"): _PORT,
    (flow.FlowDependsOn, "states"): {"items": {"type": "string", "enum": list(STEP_ENDS)}},
    (flow.StepRetry, "limit"): _COUNT,
    (flow.StepRetry, "backoffSeconds"): _COUNT,
    (flow.StepRetry, "maxBackoffSeconds"): _COUNT,
    (flow.StepCondition, "operator"): {"enum": list(STEP_OPERATORS)},
    (flow.StepItems, "maxParallel"): {"format": "int32", "minimum": 1},
    (flow.StepOutput, "index"): _COUNT,
    (flow.FlowWorkspace, "retentionPolicy"): {"enum": list(RETENTION_POLICIES)},
    (flow.JobFlowSpec, "jobRetainPolicy"): {"enum": list(RETAIN_POLICIES)},
    (topology.HyperNodeSpec, "tier"): {"minimum": 0},
    (topology.HyperNodeSpec, "tierName"): {"maxLength": 253},
    (topology.HyperNodeSpec, "members"): {"minItems": 1},
    (topology.MemberSpec, "type"): {"enum": ["Node", "HyperNode"]},
    (topology.ExactMatch, "name"): {"minLength": 1, **_DOTTED},
    (topology.RegexMatch, "pattern"): {"minLength": 1},
    (topology.HyperNodeStatus, "nodeCount"): {"format": "int64", "minimum": 0},
    (nodeinfo.CpuInfo, "numa"): {"minimum": 0},
    (nodeinfo.CpuInfo, "socket"): {"minimum": 0},
    (nodeinfo.CpuInfo, "core"): {"minimum": 0},
}
#: Fields without which an object of the type has no meaning.
REQUIRED: Mapping[type[Wire], tuple[str, ...]] = {
    batch.PartitionPolicy: ("partitionSize", "totalPartitions"),
    scheduling.DeclaredTask: ("name", "count"),
    cron.CronJobSpec: ("schedule", "jobTemplate"),
    flow.Flow: ("name",),
    flow.TcpSocket: ("port",),
    flow.StepCondition: ("from", "operator"),
    flow.StepOutput: ("name",),
    flow.StepInput: ("name", "from"),
    topology.HyperNodeSpec: ("tier",),
    topology.MemberSpec: ("type",),
    topology.ExactMatch: ("name",),
    topology.RegexMatch: ("pattern",),
    OwnerReference: ("apiVersion", "kind", "name", "uid"),
}


def schema_of(kind: type[Wire]) -> JsonObject:
    """The `openAPIV3Schema` of a top-level kind."""
    schema = _struct(kind)
    meta: JsonObject = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    schema["properties"] = {**meta, **schema["properties"]}
    if kind is bus.Command:
        schema["properties"]["target"]["x-kubernetes-map-type"] = "atomic"
    return schema


def _struct(kind: type[Wire]) -> JsonObject:
    properties: JsonObject = {}
    for field in msgspec.structs.fields(kind):
        properties[field.encode_name] = _field(kind, field.encode_name, field.type)
    schema: JsonObject = {"type": "object", "properties": properties}
    if kind in REQUIRED:
        schema["required"] = list(REQUIRED[kind])
    if doc := _first_line(kind):
        schema["description"] = doc
    return schema


def _field(owner: type[Wire], name: str, annotation: Any) -> JsonObject:
    return {**_type(inspect.type_info(annotation)), **CONSTRAINTS.get((owner, name), {})}


def _type(info: inspect.Type) -> JsonObject:
    match info:
        case inspect.UnionType():
            return _union(info)
        case inspect.StructType(cls=cls):
            assert issubclass(cls, Wire), cls
            return {"type": "object"} if cls is ObjectMeta else _struct(cls)
        case inspect.StrType():
            return {"type": "string"}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer"}
        case inspect.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return {"type": "array", "items": _type(item)}
        case inspect.AnyType():
            return {"x-kubernetes-preserve-unknown-fields": True}
        case inspect.DictType(value_type=inspect.AnyType()):
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        case inspect.DictType(value_type=value):
            return {"type": "object", "additionalProperties": _type(value)}
        case _:
            raise TypeError(f"no schema for {info}")


def _union(info: inspect.UnionType) -> JsonObject:
    kinds = [member for member in info.types if not isinstance(member, inspect.NoneType)]
    if len(kinds) == 1:
        return _type(kinds[0])
    # The one union on the wire is a quantity: text, or a bare number.
    return dict(QUANTITY)


def _first_line(kind: type[Wire]) -> str:
    return (kind.__doc__ or "").strip().split("\n", 1)[0]
