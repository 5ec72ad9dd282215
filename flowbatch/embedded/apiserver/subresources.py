"""Everything below an object: status, scale, binding, eviction and namespace finalizing."""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.embedded.apiserver import deletion
from flowbatch.embedded.apiserver.admission import unshared
from flowbatch.embedded.apiserver.call import Call, Outcome
from flowbatch.embedded.apiserver.columns import read
from flowbatch.embedded.apiserver.decoding import parse_body, parse_object
from flowbatch.embedded.apiserver.metadata import uid_conflict
from flowbatch.embedded.apiserver.patch import json_patch, merge_patch
from flowbatch.embedded.apiserver.patching import PATCH_TYPES
from flowbatch.embedded.apiserver.refusals import (
    MODIFIED,
    Refusal,
    bad_request,
    conflict,
    invalid,
    required,
    too_many,
    unsupported_media,
    unsupported_value,
)
from flowbatch.embedded.apiserver.rest import Rest
from flowbatch.embedded.apiserver.selectors import parse_labels
from flowbatch.embedded.apiserver.store import Entry


def success(code: int = 201) -> Outcome:
    """The plain Status that answers a binding or an eviction."""
    return Outcome(
        code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}, shown=False
    )


def bind(rest: Rest, call: Call) -> Outcome:
    """POST pods/{name}/binding: the one way onto a node; it is won once."""
    binding = parse_object(call.body, call.content_type)
    metadata: Any = binding.get("metadata") or {}
    target: Any = binding.get("target") or {}
    if metadata.get("name") and call.name and metadata["name"] != call.name:
        raise bad_request("name in URL does not match name in Binding object")
    name = call.name or metadata.get("name") or ""
    call.name = name
    causes = []
    if target.get("kind") not in (None, "", "Node"):
        causes.append(unsupported_value("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        causes.append(required("target.name"))
    if causes:
        raise invalid("Binding", "", name, causes)
    entry = rest.entry(call)
    _check_bindable(call, entry.obj, metadata)
    if not call.dry_run:
        bound = _bound(entry.obj, metadata, target["name"], format_time(rest.now()))
        rest.store.put(rest.collection(call.resource), entry.key, bound)
    return success()


def _check_bindable(call: Call, pod: JsonObject, metadata: JsonObject) -> None:
    name, actual = call.name, pod["metadata"]
    if metadata.get("uid") and metadata["uid"] != actual["uid"]:
        raise uid_conflict(call.resource, name, metadata["uid"], actual["uid"])
    if metadata.get("resourceVersion") and metadata["resourceVersion"] != actual["resourceVersion"]:
        raise conflict("pods", "", name, MODIFIED)
    why = ""
    if actual.get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
    elif pod["spec"].get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
    if why:
        raise conflict("pods/binding", "", name, why)


def _bound(pod: JsonObject, metadata: JsonObject, node: str, now: str) -> JsonObject:
    """The pod on its node: annotations and labels merged, PodScheduled true, the nomination gone."""
    new = dict(pod["metadata"])
    for field in ("annotations", "labels"):
        if metadata.get(field):
            new[field] = {**(new.get(field) or {}), **metadata[field]}
    status = {key: value for key, value in (pod.get("status") or {}).items() if key != "nominatedNodeName"}
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    others = [each for each in status.get("conditions") or () if each.get("type") != "PodScheduled"]
    status["conditions"] = [*others, scheduled]
    return {**pod, "metadata": new, "spec": {**pod["spec"], "nodeName": node}, "status": status}


def evict(rest: Rest, call: Call) -> Outcome:
    """POST pods/{name}/eviction: a delete that asks the disruption budgets first."""
    eviction = parse_object(call.body, call.content_type)
    given: Any = (eviction.get("metadata") or {}).get("name")
    if given and given != call.name:
        raise bad_request("name in URL does not match name in Eviction object")
    options: JsonObject = dict(eviction.get("deleteOptions") or {})
    options["dryRun"] = call.dry_run or bool(options.get("dryRun"))
    entry = rest.entry(call)
    deletion.check_preconditions(call.resource, options, entry.obj)
    if not _without_budget(entry.obj):
        _spend_budget(rest, call, entry, dry_run=bool(options["dryRun"]))
    rest.delete_entry(call.resource, entry, options)
    return success()


def _without_budget(pod: JsonObject) -> bool:
    phase = read(pod, "status.phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _spend_budget(rest: Rest, call: Call, entry: Entry, *, dry_run: bool) -> None:
    """Take one disruption from the budget that covers the pod; 429 where none is left."""
    resource = rest.registry.find("policy", "v1", "poddisruptionbudgets")
    assert resource is not None
    collection = rest.collection(resource)
    covering = [each for each in collection.select(("namespace", call.namespace)) if _covers(each.obj, entry.obj)]
    if len(covering) > 1:
        raise Refusal(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )
    for budget in covering:
        name, left = budget.obj["metadata"]["name"], read(budget.obj, "status.disruptionsAllowed", 0)
        if left <= 0:
            refusal = too_many("Cannot evict pod as it would violate the pod's disruption budget.")
            healthy, wanted = read(budget.obj, "status.currentHealthy", 0), read(budget.obj, "status.desiredHealthy", 0)
            why = f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"
            refusal.details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
            raise refusal
        if not dry_run:
            disrupted = {**read(budget.obj, "status.disruptedPods", {}), call.name: format_time(rest.now())}
            status = {**budget.obj["status"], "disruptionsAllowed": left - 1, "disruptedPods": disrupted}
            rest.store.put(
                collection, budget.key, {**budget.obj, "metadata": dict(budget.obj["metadata"]), "status": status}
            )


def _covers(budget: JsonObject, pod: JsonObject) -> bool:
    return selects(read(budget, "spec.selector"), pod["metadata"].get("labels") or {})


def selects(selector: Any, labels: JsonObject) -> bool:
    """Whether a metav1.LabelSelector matches; None matches nothing and the empty one everything."""
    if selector is None:
        return False
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        spelled = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append(spelled.get(each["operator"], f"!{key}"))
    test = parse_labels(",".join(terms))
    return test is None or test(labels)


def finalize_namespace(rest: Rest, call: Call) -> Outcome:
    """PUT namespaces/{name}/finalize: only spec.finalizers may change; without any, a dying namespace is gone."""
    given = parse_object(call.body, call.content_type)
    old = rest.entry(call)
    finalizers = read(given, "spec.finalizers", [])
    new = {
        **old.obj,
        "metadata": dict(old.obj["metadata"]),
        "spec": {**(old.obj.get("spec") or {}), "finalizers": finalizers},
    }
    if not finalizers:
        del new["spec"]["finalizers"]
    return rest.commit(call, old, new)


def get_scale(rest: Rest, call: Call) -> Outcome:
    """GET {name}/scale: replicas of any scalable kind in one shape."""
    return Outcome(200, _scale_of(call, rest.entry(call).obj), shown=False)


def _paths(call: Call) -> tuple[str, str, str]:
    paths = call.resource.scale or {}
    return (
        paths.get("specReplicasPath", ".spec.replicas").removeprefix("."),
        paths.get("statusReplicasPath", ".status.replicas").removeprefix("."),
        paths.get("labelSelectorPath", "").removeprefix("."),
    )


def _scale_of(call: Call, obj: JsonObject) -> JsonObject:
    wanted, actual, selector = _paths(call)
    metadata = {
        key: obj["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if key in obj["metadata"]
    }
    status: JsonObject = {"replicas": read(obj, actual, 0)}
    labels = read(obj, selector) if selector else read(obj, "spec.selector")
    if isinstance(labels, dict):
        pairs = labels.get("matchLabels", labels if not call.resource.custom else {}) or {}
        labels = ",".join(f"{key}={value}" for key, value in sorted(pairs.items()) if isinstance(value, str))
    if labels:
        status["selector"] = labels
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": read(obj, wanted, 0)},
        "status": status,
    }


def write_scale(rest: Rest, call: Call) -> Outcome:
    """PUT or PATCH {name}/scale: only spec.replicas counts."""
    old = rest.entry(call)
    putting = call.verb == "update"
    scale = parse_object(call.body, call.content_type) if putting else _patched(call, _scale_of(call, old.obj))
    replicas = read(scale, "spec.replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise invalid("Scale", "autoscaling", call.name, [unsupported_value("spec.replicas", replicas, ("0 or more",))])
    changed = unshared(old.obj)
    where, *_ = _paths(call)
    *parents, last = where.split(".")
    inner = changed
    for part in parents:
        inner = inner.setdefault(part, {})
    inner[last] = replicas
    changed["metadata"]["resourceVersion"] = scale.get("metadata", {}).get("resourceVersion") or ""
    plain = Call("update", call.resource, call.namespace, call.name, params=call.params, user=call.user)
    outcome = rest.replace(plain, old, changed)
    return Outcome(200, _scale_of(call, outcome.obj), shown=False)


def _patched(call: Call, scale: JsonObject) -> JsonObject:
    media = call.content_type.partition(";")[0].strip()
    if media not in PATCH_TYPES:
        raise unsupported_media(", ".join(PATCH_TYPES))
    patch = parse_body(call.body, "application/json")
    changed: JsonObject = json_patch(scale, patch) if media == PATCH_TYPES[0] else merge_patch(scale, patch)
    return changed
