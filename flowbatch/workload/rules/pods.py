"""Pod templates: the part of Kubernetes' own pod validation that a batch user meets.

A template that passes here and is still refused by the API server fails when its first pod is created, long after the
user has gone; so whatever can be known beforehand is.
"""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules import names
from flowbatch.workload.rules.metadata import check_metadata
from flowbatch.workload.rules.reading import dict_of, dicts_of, items_of, list_of, text_of, whole_of
from flowbatch.workload.rules.resources import check_resources, read_quantity

RESTART_POLICIES = ("Always", "OnFailure", "Never")
PROTOCOLS = ("TCP", "UDP", "SCTP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MAX_PORT = 65535


def check_pods(manifest: JsonObject) -> Iterator[SpecError]:
    """The pod template of every task."""
    spec = dict_of(manifest, "spec")
    given = {text_of(volume, "volumeClaimName") for _, volume in dicts_of(spec, "volumes")}
    job = text_of(manifest, "metadata", "name")
    given |= {f"{job}-{plugin}" for plugin in ("svc", "ssh")}
    for index, task in dicts_of(spec, "tasks"):
        path = f"spec.tasks[{index}].template"
        if task.get("template") is None:
            yield SpecError(path, "is missing")
        elif isinstance(task["template"], dict):
            yield from _template(task["template"], path, given)
            yield from _whole_cpus(task, path)


def _template(template: JsonObject, path: str, given: set[str]) -> Iterator[SpecError]:
    yield from check_metadata(template, f"{path}.metadata")
    spec, path = dict_of(template, "spec"), f"{path}.spec"
    if not list_of(spec, "containers") and isinstance(spec.get("containers", []), list | tuple):
        yield SpecError(f"{path}.containers", "must have at least one container")
    yield from _enumerations(spec, path)
    volumes = _volume_names(spec)
    yield from _volumes(spec, path)
    seen: dict[str, str] = {}
    for part in ("initContainers", "containers"):
        for index, container in dicts_of(spec, part):
            where = f"{path}.{part}[{index}]"
            yield from _container(container, where, volumes | given)
            name = text_of(container, "name")
            if name and name in seen:
                yield SpecError(f"{where}.name", f"is the name of {seen[name]} already", name)
            seen.setdefault(name, where)


def _enumerations(spec: JsonObject, path: str) -> Iterator[SpecError]:
    policy = text_of(spec, "restartPolicy")
    if policy and policy not in RESTART_POLICIES:
        hint = did_you_mean(policy[:100], RESTART_POLICIES)
        yield SpecError(f"{path}.restartPolicy", "is not a restart policy", policy, hint)
    for field, least in (("terminationGracePeriodSeconds", 0), ("activeDeadlineSeconds", 1)):
        value = whole_of(spec, field)
        if value is not None and value < least:
            yield SpecError(f"{path}.{field}", f"must be at least {least}", value)
    for field in ("hostname", "subdomain"):
        if value := spec.get(field):
            yield from names.named(
                f"{path}.{field}", value, names.label_problem(value) if isinstance(value, str) else ""
            )
    for key, value in items_of(spec, "nodeSelector"):
        where = f"{path}.nodeSelector.{key[:100]}"
        if problem := names.label_key_problem(key):
            yield SpecError(where, problem)
        if isinstance(value, str) and (problem := names.label_value_problem(value)):
            yield SpecError(where, problem, value)
    for key, value in items_of(spec, "overhead"):
        _, refused = read_quantity(value, f"{path}.overhead.{key}")
        if refused is not None:
            yield refused


def _volume_names(spec: JsonObject) -> set[str]:
    return {text_of(volume, "name") for _, volume in dicts_of(spec, "volumes")}


def _volumes(spec: JsonObject, path: str) -> Iterator[SpecError]:
    seen: set[str] = set()
    for index, volume in dicts_of(spec, "volumes"):
        name, where = text_of(volume, "name"), f"{path}.volumes[{index}].name"
        yield from names.named(where, name, names.label_problem(name))
        if name and name in seen:
            yield SpecError(where, "is the name of another volume already", name)
        seen.add(name)


def _container(container: JsonObject, where: str, volumes: set[str]) -> Iterator[SpecError]:
    name = text_of(container, "name")
    if "name" not in container:
        yield SpecError(f"{where}.name", "is missing")
    elif isinstance(container["name"], str):
        yield from names.named(f"{where}.name", name, names.label_problem(name))
    if not text_of(container, "image") and isinstance(container.get("image", ""), str | None):
        yield SpecError(f"{where}.image", "is missing")
    for field, known in (("restartPolicy", RESTART_POLICIES), ("imagePullPolicy", PULL_POLICIES)):
        value = text_of(container, field)
        if value and value not in known:
            yield SpecError(f"{where}.{field}", "is not known", value, did_you_mean(value[:100], known))
    yield from _environment(container, where)
    yield from _ports(container, where)
    yield from check_resources(container, where)
    yield from _mounts(container, where, volumes)


def _environment(container: JsonObject, where: str) -> Iterator[SpecError]:
    for index, variable in dicts_of(container, "env"):
        place = f"{where}.env[{index}]"
        name = variable.get("name", "")
        if isinstance(name, str):
            yield from names.named(f"{place}.name", name, names.env_name_problem(name))
        if variable.get("value") and variable.get("valueFrom"):
            yield SpecError(place, "must not have both value and valueFrom")


def _ports(container: JsonObject, where: str) -> Iterator[SpecError]:
    seen: set[str] = set()
    for index, port in dicts_of(container, "ports"):
        place = f"{where}.ports[{index}]"
        number = whole_of(port, "containerPort")
        if number is None and "containerPort" not in port:
            yield SpecError(f"{place}.containerPort", "is missing")
        for field in ("containerPort", "hostPort"):
            value = whole_of(port, field)
            if value is not None and not (field == "hostPort" and value == 0) and not 1 <= value <= MAX_PORT:
                yield SpecError(f"{place}.{field}", f"must be 1 to {MAX_PORT}", value)
        protocol = text_of(port, "protocol")
        if protocol and protocol not in PROTOCOLS:
            yield SpecError(f"{place}.protocol", "is not known", protocol, did_you_mean(protocol[:100], PROTOCOLS))
        name = text_of(port, "name")
        if name and (problem := names.port_name_problem(name)):
            yield SpecError(f"{place}.name", problem, name)
        elif name and name in seen:
            yield SpecError(f"{place}.name", "is the name of another port of this container", name)
        seen.add(name)


def _mounts(container: JsonObject, where: str, volumes: set[str]) -> Iterator[SpecError]:
    seen: set[str] = set()
    for index, mount in dicts_of(container, "volumeMounts"):
        place = f"{where}.volumeMounts[{index}]"
        name, at = text_of(mount, "name"), text_of(mount, "mountPath")
        if name not in volumes:
            known = sorted(filter(None, volumes))[:100]
            yield SpecError(f"{place}.name", "is not a volume of this pod", name, did_you_mean(name[:100], known))
        if not at:
            yield SpecError(f"{place}.mountPath", "is missing")
        elif ":" in at:
            yield SpecError(f"{place}.mountPath", "must not contain ':'", at)
        elif at in seen:
            yield SpecError(f"{place}.mountPath", "is mounted already", at)
        seen.add(at)


def _whole_cpus(task: JsonObject, path: str) -> Iterator[SpecError]:
    """A topology policy binds whole cores: every container asks for whole cpus, as limit and as request."""
    if text_of(task, "topologyPolicy") in ("", "none"):
        return
    for part in ("initContainers", "containers"):
        for index, container in dicts_of(dict_of(task, "template", "spec"), part):
            limits = dict_of(container, "resources", "limits")
            requests = dict_of(container, "resources", "requests") or limits
            cpu = read_quantity(requests.get("cpu"), "")[0]
            if (
                cpu is None
                or not cpu
                or cpu.denominator != 1
                or any(
                    read_quantity(limits.get(name), "")[0] != read_quantity(requests.get(name, limits.get(name)), "")[0]
                    or limits.get(name) is None
                    for name in ("cpu", "memory")
                )
            ):
                yield SpecError(
                    f"{path}.spec.{part}[{index}].resources",
                    "must have equal requests and limits of cpu and memory, with whole cpus, for a topologyPolicy",
                )
