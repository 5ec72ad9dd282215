"""The rules of a Job that speak about one place: counts, sizes, enumerations. See `table` for what a Rule is."""

from collections.abc import Iterator
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.api.names import ROOT_QUEUE
from flowbatch.api.timestamps import parse_duration
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.roles import PLUGINS
from flowbatch.workload.rules import names
from flowbatch.workload.rules.reading import dict_of, dicts_of, replicas_of, task_name, text_of, whole_of
from flowbatch.workload.rules.table import Rule
from flowbatch.workload.vocabulary import (
    DEPENDENCY_STATUSES,
    ITERATIONS,
    MAX_REPLICAS,
    NETWORK_MODES,
    RESERVATION_POLICIES,
    TOPOLOGY_POLICIES,
)

#: Plugins with a Service or a Secret of the job's name, of their own or of a plugin that they bring along.
_NAMING = frozenset(name for name, plugin in PLUGINS.items() if name in ("svc", "ssh") or "svc" in plugin.needs)
#: Plugins whose objects and volumes are named after the job with an ending of this many characters.
_ENDING_CHARS = len("-svc")


def at_least(bound: int) -> tuple[Any, str]:
    """Predicate and message of a lower bound."""
    return (lambda value: value >= bound), f"must be at least {bound}"


def _minimum_fits(task: JsonObject) -> bool:
    stated, replicas = whole_of(task, "minAvailable"), whole_of(task, "replicas")
    return stated is None or stated <= max(0, replicas or 0)


def _partitions_fill(task: JsonObject) -> bool:
    policy = task.get("partitionPolicy")
    total, size = whole_of(policy, "totalPartitions"), whole_of(policy, "partitionSize")
    return not isinstance(policy, dict) or (total or 0) * (size or 0) == (whole_of(task, "replicas") or 0)


def _least_partitions_fit(policy: JsonObject) -> bool:
    return (whole_of(policy, "minPartitions") or 0) <= max(0, whole_of(policy, "totalPartitions") or 0)


def one_tier(topology: JsonObject) -> bool:
    """A tier is named, or numbered, not both."""
    return topology.get("highestTierAllowed") is None or not topology.get("highestTierName")


TIERS = "must not name both highestTierAllowed and highestTierName"
_MODES = "must be hard or soft"

JOB_RULES: tuple[Rule, ...] = (
    Rule("spec.minAvailable", *at_least(0), "self >= 0"),
    Rule("spec.maxRetry", *at_least(0), "self >= 0"),
    Rule("spec.ttlSecondsAfterFinished", *at_least(0), "self >= 0"),
    Rule("spec.minSuccess", *at_least(1), "self >= 1"),
    Rule("spec.activeDeadlineSeconds", *at_least(1), "self >= 1"),
    Rule("spec.ttlSecondsAfterSuspended", *at_least(0), "self >= 0"),
    Rule(
        "spec.schedulerName",
        lambda name: len(name) <= names.LABEL_CHARS,
        "must be at most 63 characters",
        "size(self) <= 63",
        of=str,
    ),
    Rule("spec.queue", lambda name: name != ROOT_QUEUE, "takes no jobs: it is the parent of all queues", None, of=str),
    Rule("spec.tasks[].replicas", *at_least(0), "self >= 0"),
    Rule("spec.tasks[].minAvailable", *at_least(0), "self >= 0"),
    Rule("spec.tasks[].maxRetry", *at_least(-1), "self >= -1", hint="-1 means without limit"),
    Rule(
        "spec.tasks[]",
        _minimum_fits,
        "must not be greater than replicas",
        "!has(self.minAvailable) || self.minAvailable <= (has(self.replicas) ? self.replicas : 0)",
        of=dict,
        at="minAvailable",
    ),
    Rule("spec.tasks[].partitionPolicy.totalPartitions", *at_least(1), "self >= 1"),
    Rule("spec.tasks[].partitionPolicy.partitionSize", *at_least(1), "self >= 1"),
    Rule("spec.tasks[].partitionPolicy.minPartitions", *at_least(0), "self >= 0"),
    Rule("spec.tasks[].partitionPolicy", _least_partitions_fit, "must not exceed totalPartitions", of=dict),
    Rule(
        "spec.tasks[]",
        _partitions_fill,
        "totalPartitions times partitionSize must be the task's replicas",
        of=dict,
        at="partitionPolicy",
    ),
    Rule("spec.networkTopology", one_tier, TIERS, of=dict),
    Rule("spec.networkTopology.highestTierAllowed", *at_least(0), "self >= 0"),
    Rule("spec.networkTopology.mode", NETWORK_MODES.__contains__, _MODES, "self in ['hard', 'soft']", of=str),
    Rule("spec.tasks[].partitionPolicy.networkTopology", one_tier, TIERS, of=dict),
    Rule("spec.tasks[].partitionPolicy.networkTopology.mode", NETWORK_MODES.__contains__, _MODES, of=str),
)


def check_counts(manifest: JsonObject) -> Iterator[SpecError]:
    """Counts that only make sense beside each other."""
    spec = dict_of(manifest, "spec")
    if not isinstance(manifest.get("spec"), dict):
        if manifest.get("spec") is None:
            yield SpecError("spec", "is missing")
        return
    tasks = spec.get("tasks")
    if tasks is None or tasks == [] or tasks == ():
        yield SpecError("spec.tasks", "must have at least one task")
        return
    total = sum(replicas_of(task) for _, task in dicts_of(spec, "tasks"))
    if total > MAX_REPLICAS:
        yield SpecError("spec.tasks", f"ask for {total} pods in all: at most {MAX_REPLICAS}")
    for field in ("minAvailable", "minSuccess"):
        stated = whole_of(spec, field)
        if stated is not None and stated > total:
            yield SpecError(f"spec.{field}", f"must not be greater than the replicas of all tasks ({total})", stated)


def check_choices(manifest: JsonObject) -> Iterator[SpecError]:
    """Enumerations and durations, with the nearest valid word."""
    spec = dict_of(manifest, "spec")
    if estimate := text_of(spec, "runningEstimate"):
        try:
            parse_duration(estimate)
        except ValueError as problem:
            yield SpecError("spec.runningEstimate", str(problem), estimate)
    yield from _choice("spec.reservationPolicy", text_of(spec, "reservationPolicy"), RESERVATION_POLICIES)
    for index, task in dicts_of(spec, "tasks"):
        yield from _choice(f"spec.tasks[{index}].topologyPolicy", text_of(task, "topologyPolicy"), TOPOLOGY_POLICIES)
        status = text_of(task, "dependsOn", "status")
        yield from _choice(f"spec.tasks[{index}].dependsOn.status", status, DEPENDENCY_STATUSES)
        iteration = text_of(task, "dependsOn", "iteration")
        yield from _choice(f"spec.tasks[{index}].dependsOn.iteration", iteration, ITERATIONS)


def _choice(path: str, value: str, known: tuple[str, ...]) -> Iterator[SpecError]:
    if value and value not in known:
        yield SpecError(path, "is not known", value, did_you_mean(value[:100], known))


def check_names(manifest: JsonObject) -> Iterator[SpecError]:
    """Names of the job, its tasks, and of the pods and objects that are made from them."""
    yield from check_tasks(manifest)
    yield from _job_name(manifest)


def check_tasks(manifest: JsonObject) -> Iterator[SpecError]:
    """Names of tasks, and of what the job refers to."""
    spec = dict_of(manifest, "spec")
    seen: dict[str, int] = {}
    for index, task in dicts_of(spec, "tasks"):
        name, path = task_name(index, task), f"spec.tasks[{index}].name"
        yield from names.named(path, name, names.label_problem(name))
        if name in seen:
            yield SpecError(path, f"is the name of spec.tasks[{seen[name]}] already", name)
        seen.setdefault(name, index)
    for field, check in (("queue", names.label_value_problem), ("priorityClassName", names.subdomain_problem)):
        if value := text_of(spec, field):
            yield from names.named(f"spec.{field}", value, names.subdomain_problem(value) or check(value))


def _job_name(manifest: JsonObject) -> Iterator[SpecError]:
    name, given = text_of(manifest, "metadata", "name"), text_of(manifest, "metadata", "generateName")
    path = "metadata.name" if name or not given else "metadata.generateName"
    if not name and not given:
        yield SpecError("metadata.name", "is missing")
        return
    name = name or f"{given}xxxxx"
    problem = names.subdomain_problem(name) or names.label_value_problem(name)
    if problem:
        yield from names.named(path, name, problem)
        return
    spec = dict_of(manifest, "spec")
    yield from _object_names(path, name, dict_of(spec, "plugins"))
    for index, task in dicts_of(spec, "tasks"):
        label = task_name(index, task)
        pod = f"{name}-{label}-{max(0, replicas_of(task) - 1)}"
        if not names.label_problem(label) and len(pod) > names.LABEL_CHARS:
            yield SpecError(
                f"spec.tasks[{index}].name",
                f"makes a pod name of {len(pod)} characters: at most {names.LABEL_CHARS}",
                pod,
                "shorten the job's or the task's name",
            )


def _object_names(path: str, name: str, plugins: JsonObject) -> Iterator[SpecError]:
    """With services and host names come narrower rules than a job's name alone has."""
    if not plugins.keys() & _NAMING:
        return
    problem = names.label_problem(name)
    if not problem and len(name) > names.LABEL_CHARS - _ENDING_CHARS:
        problem = f"is {len(name)} characters long: at most {names.LABEL_CHARS - _ENDING_CHARS} with these plugins"
    if not problem and not name[0].isalpha():
        problem = "must begin with a letter, because the svc plugin makes a Service of this name"
    yield from names.named(path, name, problem)
