"""The webhook configurations: which writes the API server asks about. Generated, for `deploy/base/webhook`.

`failurePolicy: Ignore`, because what a webhook adds is a friendly no: policies in the API server hold the rules of one
object, the job controller refuses what slipped through, and the scheduler leaves out a queue that stands wrong. A
webhook that is down must not stop a cluster (volcano#3358, #3734).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flowbatch.admission.policies import API, SYSTEM_NAMESPACES
from flowbatch.admission.rotation import Place
from flowbatch.admission.server import MOST_SECONDS
from flowbatch.api.kinds import COMMAND, CRON_JOB, HYPER_NODE, JOB, JOB_FLOW, JOB_TEMPLATE, POD, POD_GROUP, QUEUE, Kind
from flowbatch.api.meta import JsonObject

_WRITES = ("CREATE", "UPDATE")
#: Who is asked about, and about which operations.
VALIDATED: Mapping[Kind[Any], Sequence[str]] = {
    JOB: _WRITES,
    CRON_JOB: _WRITES,
    JOB_FLOW: _WRITES,
    JOB_TEMPLATE: _WRITES,
    POD_GROUP: _WRITES,
    QUEUE: (*_WRITES, "DELETE"),
    HYPER_NODE: _WRITES,
    COMMAND: ("CREATE",),
}
MUTATED: Mapping[Kind[Any], Sequence[str]] = {JOB: _WRITES, POD_GROUP: ("CREATE",), QUEUE: _WRITES}
#: Only where there are resource groups: one call for every pod of the cluster.
PODS: Mapping[Kind[Any], Sequence[str]] = {POD: ("CREATE",)}


def configurations(place: Place, *, pods: bool = False) -> list[JsonObject]:
    """The validating and the mutating configuration; with `pods`, pods are placed in their resource groups."""
    mutated = {**MUTATED, **(PODS if pods else {})}
    return [
        _configuration("ValidatingWebhookConfiguration", place, "/validate", VALIDATED),
        _configuration("MutatingWebhookConfiguration", place, "/mutate", mutated),
    ]


def _configuration(kind: str, place: Place, path: str, asked: Mapping[Kind[Any], Sequence[str]]) -> JsonObject:
    webhooks = [_webhook(place, path, each, operations) for each, operations in asked.items()]
    return {"apiVersion": API, "kind": kind, "metadata": {"name": place.configuration}, "webhooks": webhooks}


def _webhook(place: Place, path: str, kind: Kind[Any], operations: Sequence[str]) -> JsonObject:
    outside = {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": [*SYSTEM_NAMESPACES, place.namespace],
    }
    rule = {
        "apiGroups": [kind.group],
        "apiVersions": [kind.version],
        "operations": list(operations),
        "resources": [kind.plural],
        "scope": "Namespaced" if kind.namespaced else "Cluster",
    }
    return {
        "name": f"{kind.plural}.{path.strip('/')}.flowbatch.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": place.namespace, "name": place.service, "path": path, "port": 443}},
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {"matchExpressions": [outside]},
        "rules": [rule],
        "sideEffects": "None",
        "timeoutSeconds": int(MOST_SECONDS),
    }
