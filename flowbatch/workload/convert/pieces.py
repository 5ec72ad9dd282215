"""What all foreign jobs have in common: metadata, pod templates, retries, and references that a new name breaks."""

from collections.abc import Callable, Iterator
from typing import Any

from flowbatch.api.kinds import JOB
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import TASK_INDEX
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.workload.convert.fields import Fields
from flowbatch.workload.roles.pod import add_env, containers_of

_KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
_KUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
#: Written by servers and tools into every object.
_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_TOOLS = ("kubectl.kubernetes.io/", "batch.kubernetes.io/")
#: A pod's place in an Indexed Job, as the downward API spells it.
_COMPLETION_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_COMPLETION_LABEL = "metadata.labels['batch.kubernetes.io/job-completion-index']"
OWN_INDEX = f"metadata.annotations['{TASK_INDEX}']"


def job_manifest(fields: Fields, spec: JsonObject) -> JsonObject:
    """A Job with the original's name, labels and annotations, and the queue that Kueue would have used."""
    metadata, queue = _metadata(fields.inside("metadata"))
    whole = {**({"queue": queue} if queue else {}), **spec}
    return {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata, "spec": whole}


def _metadata(fields: Fields) -> tuple[JsonObject, str]:
    fields.skip(*_SERVER_FIELDS)
    fields.lose("ownerReferences", "belongs to whoever made the original: the Job is its own")
    fields.lose("finalizers")
    labels, annotations = fields.mapping("labels"), fields.mapping("annotations")
    queue = labels.pop(_KUEUE_QUEUE, "")
    if queue:
        fields.findings.lose(
            f"{fields.at('labels')}[{_KUEUE_QUEUE}]", f'is spec.queue now: a Queue "{queue}" must exist'
        )
    if labels.pop(_KUEUE_PRIORITY, ""):
        fields.findings.lose(f"{fields.at('labels')}[{_KUEUE_PRIORITY}]", "set spec.priorityClassName instead")
    annotations = {key: value for key, value in annotations.items() if not str(key).startswith(_TOOLS)}
    plain = {key: value for key in ("name", "generateName", "namespace") if (value := fields.text(key))}
    parts = {"labels": labels, "annotations": annotations}
    return {**plain, **{key: value for key, value in parts.items() if value}}, str(queue)


def pod_template(fields: Fields, key: str = "template", *, restart: str = "") -> JsonObject:
    """The pod template in a field, as a task takes it; `restart` is the restart policy where it names none."""
    template = fields.inside(key)
    metadata = template.inside("metadata")
    metadata.skip(*_SERVER_FIELDS, "name", "namespace", "generateName")
    kept = {name: value for name in ("labels", "annotations") if (value := metadata.mapping(name))}
    spec = template.mapping("spec")
    if misshapen := list(_misshapen(spec, template.at("spec"))):
        raise SpecErrors(misshapen)
    if spec.pop("schedulerName", "default-scheduler") != "default-scheduler":
        fields.findings.lose(f"{template.at('spec')}.schedulerName", "the Job's scheduler places its pods")
    if restart:
        spec.setdefault("restartPolicy", restart)
    each_text(spec, own_index)
    return {**({"metadata": kept} if kept else {}), "spec": spec}


def _misshapen(spec: JsonObject, path: str) -> Iterator[SpecError]:
    """What is no list of objects where one belongs: containers, and their variables, are written into."""
    for name in ("containers", "initContainers"):
        if not objects(spec.get(name)):
            yield SpecError(f"{path}.{name}", "must be a list of objects", spec[name])
            continue
        for index, container in enumerate(spec.get(name) or ()):
            if not objects(container.get("env")):
                yield SpecError(f"{path}.{name}[{index}].env", "must be a list of objects", container["env"])


def objects(value: object) -> bool:
    """Whether a value is a list of objects, or absent."""
    return value is None or (isinstance(value, list) and all(isinstance(each, dict) for each in value))


def own_index(text: str) -> str:
    """A reference to the place in an Indexed Job becomes one to the place in the task."""
    return OWN_INDEX if text in (_COMPLETION_INDEX, _COMPLETION_LABEL) else text


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Change every string inside `value`, in place where it can be."""
    pending = [value]
    while pending:
        inside = pending.pop()
        entries = inside.items() if isinstance(inside, dict) else enumerate(inside)
        for key, item in list(entries):
            if isinstance(item, str):
                inside[key] = change(item)
            elif isinstance(item, dict | list):
                pending.append(item)
    return value


def give_env(template: JsonObject, *variables: JsonObject) -> None:
    """Give every container of a template variables, unless it sets them itself."""
    for container in containers_of(template):
        add_env(container, *variables)


def field_variable(name: str, path: str = OWN_INDEX) -> JsonObject:
    """An environment variable out of the pod's own metadata: its place in the task, unless `path` says otherwise."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def priority_of(*templates: JsonObject) -> JsonObject:
    """The gang's priority is its pods', where they have one."""
    named = next((name for each in templates if (name := each["spec"].get("priorityClassName"))), "")
    return {"priorityClassName": named} if named else {}


def life(fields: Fields) -> JsonObject:
    """The fields about a job's end that both sides spell alike."""
    found: JsonObject = {}
    for key in ("ttlSecondsAfterFinished", "activeDeadlineSeconds"):
        if fields.has(key):
            found[key] = fields.whole(key, 0)
    if fields.truth("suspend"):
        found["suspend"] = True
    fields.lose("managedBy", "its other controller does not see the Job")
    return found


def max_retry(failures: int) -> int:
    """`maxRetry` for so many failures that are forgiven: the one that reaches maxRetry fails the job."""
    return failures + 1
