"""The rules of a JobFlow that speak about one step: names, counts, words. What joins steps is in `flowgraph`."""

from collections.abc import Iterator
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules import names, schema
from flowbatch.workload.rules.data import mount_problem
from flowbatch.workload.rules.reading import dict_of, dicts_of, list_of, text_of, texts_of, whole_of
from flowbatch.workload.rules.table import Rule
from flowbatch.workload.suspension import FLOW_FIELDS
from flowbatch.workload.vocabulary import RETAIN_POLICIES, RETENTION_POLICIES, STEP_ENDS, STEP_OPERATORS, TASK_PHASES

#: As many steps, and as many items of one step, as a flow may have: its status has to fit into one object.
MOST_STEPS = 5000
MOST_ITEMS = 1000
#: Pod templates need about fifteen levels; merging goes down along a patch.
_PATCH_DEPTH = 64
_PROBES = ("httpGetList", "tcpSocketList", "taskStatusList")
_PORT = "must be a port: 1 to 65535"


def _least(bound: int) -> tuple[Any, str, str]:
    return (lambda value: value >= bound), f"must be at least {bound}", f"self >= {bound}"


def _backoff_grows(retry: JsonObject) -> bool:
    most = whole_of(retry, "maxBackoffSeconds")
    return most is None or most >= (whole_of(retry, "backoffSeconds") or 0)


FLOW_RULES: tuple[Rule, ...] = (
    Rule("spec.flows[].retry.limit", *_least(0)),
    Rule("spec.flows[].retry.backoffSeconds", *_least(0)),
    Rule("spec.flows[].retry.maxBackoffSeconds", *_least(0)),
    Rule(
        "spec.flows[].retry",
        _backoff_grows,
        "must not be less than backoffSeconds",
        "!has(self.maxBackoffSeconds) || !has(self.backoffSeconds) || self.maxBackoffSeconds >= self.backoffSeconds",
        of=dict,
        at="maxBackoffSeconds",
    ),
    Rule("spec.flows[].forEach.maxParallel", *_least(1)),
    # No CEL: over lists in lists it would cost more than Kubernetes allows. The schema has the same bound.
    Rule("spec.flows[].outputs[].index", *_least(0)[:2]),
    Rule("spec.flows[].dependsOn.probe.httpGetList[].port", lambda port: 1 <= port <= 65535, _PORT),
    Rule("spec.flows[].dependsOn.probe.tcpSocketList[].port", lambda port: 1 <= port <= 65535, _PORT),
    Rule(
        "spec.flows[].dependsOn.probe.httpGetList[].path",
        lambda path: path.startswith("/"),
        "must begin with /",
        of=str,
    ),
)


def check_flow(manifest: JsonObject) -> Iterator[SpecError]:
    """The flow's own name and words, and each step by itself."""
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        if spec is None:
            yield SpecError("spec", "is missing")
        return
    policy = text_of(spec, "jobRetainPolicy")
    if policy and policy not in RETAIN_POLICIES:
        yield SpecError("spec.jobRetainPolicy", "is not known", policy, did_you_mean(policy[:100], RETAIN_POLICIES))
    if spec.get("workspace") is not None:
        yield from _workspace(dict_of(spec, "workspace"), "spec.workspace")
    count = len(list_of(spec, "flows"))
    if count > MOST_STEPS:
        yield SpecError("spec.flows", f"are {count} steps: at most {MOST_STEPS}")
        return
    for index, step in dicts_of(spec, "flows"):
        path = f"spec.flows[{index}]"
        yield from _names(step, path)
        yield from _probe(dict_of(step, "dependsOn"), f"{path}.dependsOn")
        yield from _states(step, f"{path}.dependsOn.states")
        yield from _conditions(step, path)
        yield from _items(step, f"{path}.forEach")
        yield from _results(step, path)
        yield from _patch(step, f"{path}.patch.jobSpec")


def _workspace(workspace: JsonObject, path: str) -> Iterator[SpecError]:
    yield from mount_problem(text_of(workspace, "mountPath"), f"{path}.mountPath")
    claim = text_of(workspace, "claimName")
    if claim:
        yield from names.named(f"{path}.claimName", claim, names.subdomain_problem(claim))
    elif workspace.get("claim") is None:
        yield SpecError(path, "needs claimName, or a claim to make", None, "claim: {} asks for 1Gi of the usual class")
    policy = text_of(workspace, "retentionPolicy")
    if policy and policy not in RETENTION_POLICIES:
        hint = did_you_mean(policy[:100], RETENTION_POLICIES)
        yield SpecError(f"{path}.retentionPolicy", "is not known", policy, hint)


def _names(step: JsonObject, path: str) -> Iterator[SpecError]:
    template = text_of(step, "jobTemplate")
    if template:
        yield from names.named(f"{path}.jobTemplate", template, names.subdomain_problem(template))


def _states(step: JsonObject, path: str) -> Iterator[SpecError]:
    seen: set[str] = set()
    for index, state in texts_of(step, "dependsOn", "states"):
        if state not in STEP_ENDS:
            yield SpecError(f"{path}[{index}]", "is no end of a step", state, did_you_mean(state[:100], STEP_ENDS))
        elif state in seen:
            yield SpecError(f"{path}[{index}]", "is named twice", state)
        seen.add(state)


def _probe(depends: JsonObject, path: str) -> Iterator[SpecError]:
    probe = dict_of(depends, "probe")
    if not any(probe.get(each) for each in _PROBES):
        return
    if not list_of(depends, "targets"):
        yield SpecError(f"{path}.probe", "has nobody to ask", None, "name the step in targets")
    for kind in _PROBES:
        for index, each in dicts_of(probe, kind):
            where = f"{path}.probe.{kind}[{index}]"
            task = text_of(each, "taskName")
            if task:
                yield from names.named(f"{where}.taskName", task, names.label_problem(task))
            if kind == "taskStatusList":
                phase = text_of(each, "phase")
                if phase not in TASK_PHASES:
                    hint = did_you_mean(phase[:100], TASK_PHASES)
                    yield SpecError(f"{where}.phase", "is no phase of pods" if phase else "is missing", phase, hint)
            elif each.get("port") is None:
                yield SpecError(f"{where}.port", "is missing")


def _conditions(step: JsonObject, path: str) -> Iterator[SpecError]:
    for index, condition in dicts_of(step, "when"):
        where = f"{path}.when[{index}]"
        operator, values = text_of(condition, "operator"), [value for _, value in texts_of(condition, "values")]
        if operator not in STEP_OPERATORS:
            hint = did_you_mean(operator[:100], STEP_OPERATORS)
            yield SpecError(f"{where}.operator", "is not known" if operator else "is missing", operator or None, hint)
        elif operator in ("In", "NotIn") and not values:
            yield SpecError(f"{where}.values", f"must name at least one value for {operator}")
        elif operator in ("Exists", "DoesNotExist") and values:
            yield SpecError(f"{where}.values", f"must be empty for {operator}")
        elif operator in ("Gt", "Lt") and (len(values) != 1 or number_in(values[0]) is None):
            yield SpecError(f"{where}.values", f"must be one number for {operator}")


def number_in(text: str) -> float | None:
    """The number that `text` writes in JSON's way, or None."""
    try:
        number = float(text) if len(text) < 40 and text.isascii() and "_" not in text else float("nan")
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _items(step: JsonObject, path: str) -> Iterator[SpecError]:
    loop = step.get("forEach")
    if not isinstance(loop, dict):
        return
    listed, given = loop.get("items") is not None, bool(text_of(loop, "from"))
    if listed == given:
        yield SpecError(path, "must have exactly one of items and from")
    count = len(list_of(loop, "items"))
    if count > MOST_ITEMS:
        yield SpecError(f"{path}.items", f"are {count}: at most {MOST_ITEMS}")


def _results(step: JsonObject, path: str) -> Iterator[SpecError]:
    seen: set[str] = set()
    for index, output in dicts_of(step, "outputs"):
        name, where = text_of(output, "name"), f"{path}.outputs[{index}]"
        if not name:
            yield SpecError(f"{where}.name", "is missing")
        elif len(name) > names.LABEL_CHARS or not name.isprintable():
            yield SpecError(f"{where}.name", f"must be at most {names.LABEL_CHARS} printable characters", name)
        elif name in seen:
            yield SpecError(f"{where}.name", "is named twice", name)
        seen.add(name)
        if task := text_of(output, "task"):
            yield from names.named(f"{where}.task", task, names.label_problem(task))
    seen = set()
    for index, value in dicts_of(step, "inputs"):
        name, where = text_of(value, "name"), f"{path}.inputs[{index}]"
        if problem := names.env_name_problem(name):
            yield SpecError(f"{where}.name", problem if name else "is missing", name or None)
        elif name in seen:
            yield SpecError(f"{where}.name", "is named twice", name)
        seen.add(name)


def _deeper_than(value: Any, levels: int) -> bool:
    """Whether lists and objects in `value` are nested deeper than so many levels; gone through level by level."""
    level: list[Any] = [value]
    for _ in range(levels):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
    return bool(level)


def _patch(step: JsonObject, path: str) -> Iterator[SpecError]:
    """Names and types of what is patched; a null takes away, so it may stand anywhere."""
    patch = dict_of(step, "patch", "jobSpec")
    if _deeper_than(patch, _PATCH_DEPTH):
        yield SpecError(path, f"is nested deeper than {_PATCH_DEPTH} levels")
        return
    yield from schema.JOB_SPEC.problems(_without_nulls(patch), path)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


#: Fields of a step, and of `dependsOn`, that Volcano does not have.
_STEP_FIELDS = ("jobTemplate", "retry", "when", "forEach", "outputs", "inputs")


def check_flow_served(manifest: JsonObject, served: frozenset[str] | None) -> Iterator[SpecError]:
    """Fields that flowbatch adds to Volcano's, on a cluster whose schema would silently prune them."""
    if served is None or FLOW_FIELDS in served:
        return
    spec, refused = dict_of(manifest, "spec"), "is not served by this cluster's JobFlow CRD"
    if spec.get("suspend") is not None:
        yield SpecError("spec.suspend", refused, None, 'use the annotation flowbatch.dev/suspended: "true"')
    if spec.get("workspace") is not None:
        yield SpecError("spec.workspace", refused, None, "install flowbatch's CRDs")
    for index, step in dicts_of(spec, "flows"):
        for field in _STEP_FIELDS:
            if step.get(field) is not None:
                yield SpecError(f"spec.flows[{index}].{field}", refused, None, "install flowbatch's CRDs")
        if dict_of(step, "dependsOn").get("states") is not None:
            yield SpecError(f"spec.flows[{index}].dependsOn.states", refused, None, "install flowbatch's CRDs")
