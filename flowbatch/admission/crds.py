"""The CustomResourceDefinitions flowbatch brings along, generated from the wire types.

Group, names, short names, printer columns, scopes and subresources are exactly Volcano's, so its clients, manifests
and muscle memory work unchanged. `deploy/crds/` is this module's output and a test says so:
`python -m flowbatch.admission.crds deploy/crds` writes it anew.
"""

import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from flowbatch.admission.schema import schema_of
from flowbatch.api.kinds import (
    COMMAND,
    CRON_JOB,
    CUSTOM_KINDS,
    HYPER_NODE,
    JOB,
    JOB_FLOW,
    JOB_TEMPLATE,
    NUMATOPOLOGY,
    POD_GROUP,
    QUEUE,
    Kind,
)
from flowbatch.api.meta import JsonObject
from flowbatch.workload.rules import cel_rules


def _column(name: str, path: str, kind: str, priority: int = 0) -> JsonObject:
    column: JsonObject = {"name": name, "jsonPath": path, "type": kind}
    return {**column, "priority": priority} if priority else column


_AGE = _column("AGE", ".metadata.creationTimestamp", "date")
_QUEUE = _column("QUEUE", ".spec.queue", "string", 1)
COLUMNS: dict[Kind[Any], list[JsonObject]] = {
    JOB: [
        _column("STATUS", ".status.state.phase", "string"),
        _column("minAvailable", ".status.minAvailable", "integer"),
        _column("RUNNINGS", ".status.running", "integer"),
        _AGE,
        _QUEUE,
    ],
    POD_GROUP: [
        _column("STATUS", ".status.phase", "string"),
        _column("minMember", ".spec.minMember", "integer"),
        _column("RUNNINGS", ".status.running", "integer"),
        _AGE,
        _QUEUE,
    ],
    QUEUE: [_column("PARENT", ".spec.parent", "string")],
    COMMAND: [],
    HYPER_NODE: [
        _column("Tier", ".spec.tier", "string"),
        _column("TierName", ".spec.tierName", "string"),
        _column("NodeCount", ".status.nodeCount", "integer"),
        _column("Age", ".metadata.creationTimestamp", "date"),
    ],
    NUMATOPOLOGY: [],
    # Volcano's CronJob has no columns; these are those of Kubernetes' own.
    CRON_JOB: [
        _column("Schedule", ".spec.schedule", "string"),
        _column("Timezone", ".spec.timeZone", "string"),
        _column("Suspend", ".spec.suspend", "boolean"),
        _column("Active", ".status.active[*].name", "string", 1),
        _column("Last Schedule", ".status.lastScheduleTime", "date"),
        _column("Age", ".metadata.creationTimestamp", "date"),
    ],
    JOB_FLOW: [
        _column("Status", ".status.state.phase", "string"),
        _column("Age", ".metadata.creationTimestamp", "date"),
        _column("Reason", ".status.state.reason", "string", 1),
    ],
    JOB_TEMPLATE: [],
}


def crds() -> list[JsonObject]:
    """All CRDs, in a fixed order; they share nothing with the tables here, so a caller may change them."""
    return deepcopy([crd(kind) for kind in CUSTOM_KINDS])


def crd(kind: Kind[Any]) -> JsonObject:
    """The CRD of one kind."""
    version: JsonObject = {"name": kind.version, "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": _with_rules(kind, schema_of(kind.type))}
    version["subresources"] = {"status": {}} if kind.status else {}
    if COLUMNS[kind]:
        version["additionalPrinterColumns"] = COLUMNS[kind]
    names: JsonObject = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _with_rules(kind: Kind[Any], schema: JsonObject) -> JsonObject:
    """`schema` with the CEL form of the rule table, each rule at the path it speaks about."""
    for path, rule, message in cel_rules(kind.kind):
        place = _at(schema, path)
        place.setdefault("x-kubernetes-validations", []).append({"rule": rule, "message": message})
    return schema


def _at(schema: JsonObject, path: str) -> JsonObject:
    """The sub-schema at a path such as `spec.tasks[]`."""
    for part in filter(None, path.split(".")):
        schema = schema["properties"][part.removesuffix("[]")]
        if part.endswith("[]"):
            schema = schema["items"]
    return schema


def write(folder: Path) -> None:
    """Write one YAML file per CRD into `folder`, named as Volcano names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in crds():
        name = f"{each['spec']['group']}_{each['spec']['names']['plural']}.yaml"
        (folder / name).write_text(dump(each))


def dump(each: JsonObject) -> str:
    """One CRD as the text of its file."""
    head = "# Generated by `python -m flowbatch.admission.crds deploy/crds`; do not edit.\n"
    return head + yaml.safe_dump(each, sort_keys=False, width=120)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
