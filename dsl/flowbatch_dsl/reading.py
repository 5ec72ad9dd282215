"""Manifests to specs: every wire field finds its DSL field, or is kept in `Task.pod` or `Job.extra`.

Nothing can be dropped: what the typed fields do not account for is *computed*, as the difference between the manifest
and what those fields make of themselves. The same code settles a spec that was built with `pod` or `extra`, so that
equal specs compare equal and a round trip through YAML changes nothing.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import force_setattr

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch_dsl.data import Fetch, Store
from flowbatch_dsl.frozen import freeze
from flowbatch_dsl.job import Job
from flowbatch_dsl.manifest import API_VERSION, KIND, SHM, SHM_PATH, job_manifest, plain_job, plain_template
from flowbatch_dsl.origin import Origin, remember
from flowbatch_dsl.policies import On, Retry
from flowbatch_dsl.resources import GPU, Resources, exact
from flowbatch_dsl.strategic import difference, identical, without_nulls
from flowbatch_dsl.task import Task
from flowbatch_dsl.yamltext import Document

T = TypeVar("T")
#: Written by the cluster, never by people: a job that carries them could not be created again.
_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
_POLICY_FIELDS = {"event", "events", "exitCode", "action", "timeout"}


def read_job(document: Document) -> Job:
    """The job in `document`, each part remembering its line. Raises SpecErrors for what no Job can hold."""
    manifest = normal(document.value)
    if problems := unreadable(manifest):
        raise SpecErrors(problems, document.file)
    job = Job(**job_fields(manifest, {}))
    remember(job, Origin(document.file, document.lines.get("", 1), document.lines))
    for index, task in enumerate(job.tasks):
        remember(task, Origin(document.file, document.lines.get(f"spec.tasks[{index}]", 1)))
    return job


def unreadable(manifest: Any) -> list[SpecError]:
    """Why `manifest` is no job at all, or what in it only a cluster may write."""
    if not isinstance(manifest, dict):
        return [SpecError("", "is not a Kubernetes object", manifest, "expected apiVersion, kind, metadata, spec")]
    problems = [
        SpecError(field, f"must be {wanted}", manifest.get(field), did_you_mean(str(manifest.get(field)), [wanted]))
        for field, wanted in (("apiVersion", API_VERSION), ("kind", KIND))
        if manifest.get(field) != wanted
    ]
    problems += [
        SpecError(field, "must be a map", manifest[field])
        for field in ("metadata", "spec")
        if not isinstance(manifest.get(field, {}), dict)
    ]
    metadata = manifest.get("metadata")
    written = [f"metadata.{field}" for field in _SERVER_FIELDS if isinstance(metadata, dict) and field in metadata]
    written += ["status"] if "status" in manifest else []
    return problems + [SpecError(path, "is written by the cluster", None, "remove it") for path in written]


def settle_job(job: Job) -> None:
    """Move what `job.extra` says about typed fields into those fields."""
    fields = job_fields(normal(job_manifest(job)), {task.name: task for task in job.tasks})
    for field, value in fields.items():
        force_setattr(job, field, freeze(value))


def settle_task(task: Task) -> None:
    """Move what `task.pod` says about typed fields into those fields."""
    from flowbatch_dsl.manifest import task_manifest

    template = normal(task_manifest(task))["template"]
    fields = {**template_fields(template), "pod": {}}
    for field, value in fields.items():
        force_setattr(task, field, freeze(value))
    force_setattr(task, "pod", freeze(difference(normal(plain_template(task)), template)))


def job_fields(manifest: JsonObject, known: dict[str, Task]) -> dict[str, Any]:
    """Arguments of the Job that `manifest` describes, `extra` among them. Tasks equal to `known` ones are reused."""
    metadata, spec = manifest.get("metadata", {}), manifest.get("spec", {})
    tasks = [_task(item) for item in _list_of(dict, spec.get("tasks"))]
    fields: dict[str, Any] = {
        "name": _one(str, metadata, "name", ""),
        "namespace": _one(str, metadata, "namespace", ""),
        "labels": _map_of(str, metadata.get("labels")),
        "annotations": _map_of(str, metadata.get("annotations")),
        "scheduler": _one(str, spec, "schedulerName", ""),
        "queue": _one(str, spec, "queue", ""),
        "priority": _one(str, spec, "priorityClassName", ""),
        "min_available": _one(int, spec, "minAvailable", None),
        "min_success": _one(int, spec, "minSuccess", None),
        "retries": _one(int, spec, "maxRetry", None),
        "ttl_s": _one(int, spec, "ttlSecondsAfterFinished", None),
        "suspended_ttl_s": _one(int, spec, "ttlSecondsAfterSuspended", None),
        "deadline_s": _one(int, spec, "activeDeadlineSeconds", None),
        "reserve": _one(str, spec, "reservationPolicy", ""),
        "retry": _retry(spec.get("retry")),
        "inputs": _inputs(spec.get("inputs")),
        "outputs": _outputs(spec.get("outputs")),
        "plugins": _plugins(spec.get("plugins")),
        "on": _policies(spec.get("policies")),
        "tasks": [known[task.name] if known.get(task.name) == task else task for task in tasks],
    }
    return {**fields, "extra": difference(normal(plain_job(Job(**fields))), manifest)}


def _task(item: JsonObject) -> Task:
    """One entry of `spec.tasks`; what Task has no field for shows up as a difference of the whole job."""
    template = item.get("template")
    depends_on = item.get("dependsOn")
    depends_on = depends_on if isinstance(depends_on, dict) else {}
    fields = template_fields(template if isinstance(template, dict) else {})
    task = Task(
        name=_one(str, item, "name", ""),
        replicas=_one(int, item, "replicas", 0),
        min=_one(int, item, "minAvailable", None),
        retries=_one(int, item, "maxRetry", None),
        after=_list_of(str, depends_on.get("name")),
        iteration=_one(str, depends_on, "iteration", ""),
        after_status=_one(str, depends_on, "status", ""),
        retry=_retry(item.get("retry")),
        inputs=_inputs(item.get("inputs")),
        outputs=_outputs(item.get("outputs")),
        on=_policies(item.get("policies")),
        **fields,
    )
    rest = difference(normal(plain_template(task)), template) if isinstance(template, dict) else {}
    return task.but(pod=rest) if rest else task


def template_fields(template: JsonObject) -> dict[str, Any]:
    """Arguments of the Task whose pods `template` describes, as far as Task has fields for it."""
    spec = template.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    containers = _list_of(dict, spec.get("containers"))
    main = containers[0] if containers else {}
    return {
        "restart": _one(str, spec, "restartPolicy", ""),
        "container": _one(str, main, "name", ""),
        "image": _one(str, main, "image", ""),
        "command": _list_of(str, main.get("command")),
        "workdir": _one(str, main, "workingDir", ""),
        "env": _env(main.get("env")),
        "resources": _resources(main, spec.get("volumes")),
    }


def _env(entries: Any) -> dict[str, str]:
    """The plain entries that come first; one that refers to something, and all after it, stay in `Task.pod`."""
    plain: dict[str, str] = {}
    for entry in _list_of(dict, entries):
        name, value = entry.get("name"), entry.get("value")
        if entry.keys() != {"name", "value"} or not isinstance(name, str) or not isinstance(value, str):
            break
        if name in plain:
            break
        plain[name] = value
    return plain


def _resources(container: JsonObject, volumes: Any) -> Resources:
    section = container.get("resources")
    requests = section.get("requests") if isinstance(section, dict) else None
    known = {k: v for k, v in requests.items() if isinstance(v, str)} if isinstance(requests, dict) else {}
    extra = {name: value for name, value in known.items() if name not in ("cpu", "memory", GPU)}
    shm = _shm(container.get("volumeMounts"), volumes)
    return Resources(cpu=known.get("cpu"), memory=known.get("memory"), gpu=known.get(GPU), extra=extra, shm=shm)


def _shm(mounts: Any, volumes: Any) -> str | None:
    """The size of memory at /dev/shm, where it is written as `Resources.shm` writes it."""
    mounts, volumes = _list_of(dict, mounts), _list_of(dict, volumes)
    if not mounts or not volumes or mounts[0] != {"name": SHM, "mountPath": SHM_PATH}:
        return None
    source = volumes[0].get("emptyDir")
    size = source.get("sizeLimit") if isinstance(source, dict) else None
    written = {"name": SHM, "emptyDir": {"medium": "Memory", "sizeLimit": size}}
    return size if isinstance(size, str) and volumes[0] == written else None


def _policies(items: Any) -> list[On]:
    """All policies, or none where one of them is not of a form that On has."""
    policies = [_on(item) for item in _list_of(dict, items)]
    return [] if None in policies else [on for on in policies if on is not None]


def _on(item: JsonObject) -> On | None:
    event: Any = item.get("event", "") if "events" not in item else item["events"]
    on = On(
        event if isinstance(event, str) else tuple(_list_of(str, event)),  # type: ignore[arg-type]  # rules judge it
        do=_one(str, item, "action", ""),
        exit_code=_one(int, item, "exitCode", None),
        after=_one(str, item, "timeout", None),
    )
    from flowbatch_dsl.manifest import policy

    return on if item.keys() <= _POLICY_FIELDS and identical(policy(on), item) else None


def _retry(value: Any) -> Retry | None:
    """The rules, or None where they say nothing or something that Retry has no field for."""
    if not isinstance(value, dict) or not value:
        return None
    rules = Retry(
        backoff_s=_one(int, value, "backoffSeconds", None),
        max_backoff_s=_one(int, value, "maxBackoffSeconds", None),
        avoid_failed_nodes=_one(bool, value, "avoidFailedNodes", False),
        memory_percent=_one(int, value, "memoryIncreasePercent", None),
        memory_limit=_one(str, value, "memoryLimit", None),
    )
    from flowbatch_dsl.manifest import retry

    return rules if identical(retry(rules), value) else None


def _inputs(value: Any) -> list[Fetch]:
    """The inputs, or none where one says something that Fetch has no field for."""
    from flowbatch_dsl.manifest import data_input

    def read(text: Callable[[str], str]) -> Fetch:
        return Fetch(text("url"), text("path"), digest=text("digest"), **_named(text))

    return _all_or_none(value, read, data_input)


def _outputs(value: Any) -> list[Store]:
    """The outputs, or none where one says something that Store has no field for."""
    from flowbatch_dsl.manifest import data_output

    def read(text: Callable[[str], str]) -> Store:
        policy: Any = text("policy")
        return Store(text("path"), text("url"), policy=policy, **_named(text))

    return _all_or_none(value, read, data_output)


def _named(text: Callable[[str], str]) -> dict[str, str]:
    return {"name": text("name"), "secret": text("secretName")}


def _all_or_none(value: Any, read: Callable[[Callable[[str], str]], T], write: Callable[[T], JsonObject]) -> list[T]:
    """What `read` makes of each item, if `write` makes the very items of it again."""

    def text_of(item: dict[str, Any]) -> Callable[[str], str]:
        return lambda field: _one(str, item, field, "")

    found = [read(text_of(item)) for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return found if identical([write(each) for each in found], value) else []


def _plugins(value: Any) -> dict[str, Any]:
    fits = isinstance(value, dict) and all(
        isinstance(flags, list) and all(isinstance(flag, str) for flag in flags) for flags in value.values()
    )
    return value if fits else {}


def _one(kind: type, holder: JsonObject, field: str, default: Any) -> Any:
    """`holder[field]` if it is of this kind (a bool is no int); else `default`, and the difference keeps it."""
    value = holder.get(field)
    return value if type(value) is kind else default


def _list_of(kind: type, value: Any) -> list[Any]:
    return value if isinstance(value, list) and all(type(item) is kind for item in value) else []


def _map_of(kind: type, value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) and all(type(item) is kind for item in value.values()) else {}


def normal(manifest: Any) -> Any:
    """`manifest` in the one spelling that is compared: no nulls, quantities as text, replicas always there."""
    manifest = without_nulls(manifest)
    spec = manifest.get("spec") if isinstance(manifest, dict) else None
    for task in _list_of(dict, spec.get("tasks")) if isinstance(spec, dict) else []:
        task.setdefault("replicas", 0)
    for holder in _quantity_holders(manifest):
        for name, value in holder.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                holder[name] = exact(value) if isinstance(value, int) else repr(value)
    return manifest


def _quantity_holders(value: Any) -> list[JsonObject]:
    """Every `requests` and `limits` map inside a `resources` map."""
    found: list[JsonObject] = []
    queue = [value]
    while queue:
        item = queue.pop()
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        queue.extend(inner)
        resources = item.get("resources") if isinstance(item, dict) else None
        if isinstance(resources, dict):
            found += [part for part in (resources.get("requests"), resources.get("limits")) if isinstance(part, dict)]
    return found
