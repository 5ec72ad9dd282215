"""ValidatingAdmissionPolicies and MutatingAdmissionPolicies: the rules where no webhook need run, generated.

One policy a kind. Its problems are one list, so that a refusal names all of them; a validation each would show the
first alone. `deploy/policies/` is this module's output, and a test says so:
`python -m flowbatch.admission.policies deploy/policies` writes it anew.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from flowbatch.api.kinds import CUSTOM_KINDS, JOB, POD, POD_GROUP, Kind
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, SCHEDULER_NAME, SCHEDULING_QUEUE_NAME
from flowbatch.workload.rules.sentences import Policy, Sentence
from flowbatch.workload.rules.sentences_others import POLICIES

API = "admissionregistration.k8s.io/v1"
#: Namespaces that no rule of ours may stand in the way of.
SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")
_PROBLEMS = "variables.problems"


def policies() -> list[JsonObject]:
    """Every policy with its binding, in a fixed order."""
    kinds = {kind.kind: kind for kind in (*CUSTOM_KINDS, POD)}
    made: list[JsonObject] = []
    for name, policy in POLICIES.items():
        made += _pair("Validating", kinds[name].plural, _validating(kinds[name], policy))
        if policy.deletion:
            deletion = Policy((), policy.deletion)
            spec = _validating(kinds[name], deletion, ("DELETE",))
            made += _pair("Validating", f"{kinds[name].plural}-deletion", spec)
    made += _pair("Mutating", JOB.plural, _mutating(JOB, (_SCHEDULER, _NAMESPACE_QUEUE)))
    made += _pair("Mutating", POD_GROUP.plural, _mutating(POD_GROUP, (_NAMESPACE_QUEUE,)))
    return made


def _validating(kind: Kind[Any], policy: Policy, operations: Sequence[str] = ("CREATE", "UPDATE")) -> JsonObject:
    problems = [*policy.variables, ("problems", _problems(policy.sentences))]
    spec: JsonObject = {
        "failurePolicy": "Fail",
        "matchConstraints": _constraints(kind, operations),
        "variables": [{"name": name, "expression": expression} for name, expression in problems],
        "validations": [
            {
                "expression": f"{_PROBLEMS}.size() == 0",
                "messageExpression": f"{_PROBLEMS}.join('; ')",
                "reason": "Invalid",
            }
        ],
    }
    conditions = [{"name": "meant", "expression": policy.meant}] if policy.meant else []
    if "UPDATE" in operations:
        # What was stored before a rule existed must still be able to end.
        conditions.append({"name": "says-something-new", "expression": _NEWS})
    if conditions:
        spec["matchConditions"] = conditions
    return spec


_NEWS = (
    "oldObject == null || (has(object.spec) != has(oldObject.spec)) || "
    "(has(object.spec) && object.spec != oldObject.spec) || (has(object.action) && object.action != oldObject.action) "
    "|| has(object.metadata.annotations) != has(oldObject.metadata.annotations) || "
    "(has(object.metadata.annotations) && object.metadata.annotations != oldObject.metadata.annotations)"
)


def _problems(sentences: Sequence[Sentence]) -> str:
    lines = [f"  ({each.holds}) ? '' : '{_quoted(each)}'" for each in sentences]
    return "[\n" + ",\n".join(lines) + "\n].filter(problem, problem != '')"


def _quoted(sentence: Sentence) -> str:
    return f"{sentence.path}: {sentence.message}".replace("\\", "\\\\").replace("'", "\\'")


def _constraints(kind: Kind[Any], operations: Sequence[str]) -> JsonObject:
    rule = {
        "apiGroups": [kind.group],
        "apiVersions": [kind.version],
        "operations": list(operations),
        "resources": [kind.plural],
    }
    constraints: JsonObject = {"resourceRules": [rule]}
    if kind.namespaced:
        outside = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(SYSTEM_NAMESPACES)}
        constraints["namespaceSelector"] = {"matchExpressions": [outside]}
    return constraints


# What is filled in ---------------------------------------------------------------------------------------------------

_SCHEDULER = (
    f"has(object.spec.schedulerName) && object.spec.schedulerName != '' ? Object{{}} : "
    f"Object{{spec: Object.spec{{schedulerName: '{SCHEDULER_NAME}'}}}}"
)
_NAMESPACE_QUEUE = (
    f"has(object.spec.queue) && object.spec.queue != '{DEFAULT_QUEUE}' || "
    "!has(namespaceObject.metadata.annotations) || "
    f"!('{SCHEDULING_QUEUE_NAME}' in namespaceObject.metadata.annotations) ? Object{{}} : "
    f"Object{{spec: Object.spec{{queue: namespaceObject.metadata.annotations['{SCHEDULING_QUEUE_NAME}']}}}}"
)


def _mutating(kind: Kind[Any], fillings: Sequence[str]) -> JsonObject:
    return {
        # What is not filled in here, the webhook or the controller fills in.
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": _constraints(kind, ("CREATE",)),
        "matchConditions": [{"name": "has-a-spec", "expression": "has(object.spec)"}],
        "mutations": [
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": each}} for each in fillings
        ],
    }


def _pair(manner: str, name: str, spec: JsonObject) -> list[JsonObject]:
    kind = f"{manner}AdmissionPolicy"
    named = f"flowbatch-{name}"
    binding: JsonObject = {"policyName": named}
    if manner == "Validating":
        binding["validationActions"] = ["Deny"]
    return [
        {"apiVersion": API, "kind": kind, "metadata": {"name": named}, "spec": spec},
        {"apiVersion": API, "kind": f"{kind}Binding", "metadata": {"name": named}, "spec": binding},
    ]


# Files ---------------------------------------------------------------------------------------------------------------


def files() -> dict[str, str]:
    """The text of every file of deploy/policies."""
    head = "# Generated by `python -m flowbatch.admission.policies deploy/policies`; do not edit.\n"
    by_manner: dict[str, list[JsonObject]] = {"validating.yaml": [], "mutating.yaml": []}
    for each in policies():
        by_manner["mutating.yaml" if each["kind"].startswith("Mutating") else "validating.yaml"].append(each)
    written = {name: head + yaml.safe_dump_all(each, sort_keys=False, width=120) for name, each in by_manner.items()}
    # Filling in is for clusters that have it (Kubernetes 1.36); elsewhere the other file must still be applied whole.
    every_cluster = ["validating.yaml"]
    listing = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": every_cluster}
    return {**written, "kustomization.yaml": head + yaml.safe_dump(listing, sort_keys=False)}


def write(folder: Path) -> None:
    """Write them into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
