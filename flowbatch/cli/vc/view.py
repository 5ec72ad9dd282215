"""`vcctl job view`: a job line by line, and its Events. The lines and their order are Volcano's."""

import json
from collections.abc import Iterator
from typing import Any

from flowbatch.api.kinds import EVENT, JOB
from flowbatch.api.meta import JsonObject
from flowbatch.cli.output import age
from flowbatch.cli.vc.options import Cluster, connect
from flowbatch.workload.rules.reading import dict_of, dicts_of, list_of, text_of, whole_of

#: Counts in the status that are shown where they are more than nothing.
_COUNTS = (
    ("Succeeded", "succeeded"),
    ("Pending", "pending"),
    ("Running", "running"),
    ("Failed", "failed"),
    ("Terminating", "terminating"),
    ("Unknown", "unknown"),
    ("RetryCount", "retryCount"),
    ("Min Available", "minAvailable"),
    ("Version", "version"),
)
_EVENT_WIDTHS = (15, 40, 30, 40, 0)


async def show_job(name: str, namespace: str, cluster: Cluster | None) -> int:
    """Print one job and what happened to it."""
    async with connect(cluster) as client:
        job = await client.get_json(JOB, name, namespace)
        events = await client.list_json(EVENT, namespace, field_selector=f"involvedObject.name={name}")
    about = [each for each in events if text_of(each, "involvedObject", "kind") == JOB.kind]
    for line in (*_lines(job), *_events(about)):
        print(line.rstrip())
    return 0


def _lines(job: JsonObject) -> Iterator[str]:
    yield from _pairs(
        0, [("Name", text_of(job, "metadata", "name")), ("Namespace", text_of(job, "metadata", "namespace"))]
    )
    for title, field in (("Labels", "labels"), ("Annotations", "annotations")):
        held = dict_of(job, "metadata", field)
        yield _line(0, title, json.dumps(held, sort_keys=True, separators=(",", ":")) if held else "<none>")
    yield from _pairs(0, [("API Version", job.get("apiVersion")), ("Kind", job.get("kind"))])
    yield "Metadata:"
    titles = ("creationTimestamp", "generateName", "generation", "resourceVersion", "selfLink", "uid")
    words = ("Creation Timestamp", "Generate Name", "Generation", "Resource Version", "Self Link", "UID")
    held = dict_of(job, "metadata")
    yield from _pairs(1, [(word, held.get(title, "")) for word, title in zip(words, titles, strict=True)])
    yield from _spec(dict_of(job, "spec"))
    yield from _status(dict_of(job, "status"))


def _spec(spec: JsonObject) -> Iterator[str]:
    yield "Spec:"
    yield _line(1, "Min Available", whole_of(spec, "minAvailable") or 0)
    yield _line(1, "Plugins")
    for plugin, arguments in sorted(dict_of(spec, "plugins").items()):
        yield _line(2, str(plugin).capitalize(), f"[{' '.join(map(str, arguments or ()))}]")
    yield _line(1, "Scheduler Name", text_of(spec, "schedulerName"))
    yield _line(1, "Tasks")
    for _, task in dicts_of(spec, "tasks"):
        yield from _pairs(2, [("Name", text_of(task, "name")), ("Replicas", whole_of(task, "replicas") or 0)])
        yield _line(2, "Template")
        pod = dict_of(task, "template", "spec")
        yield _line(3, "Spec")
        yield _line(4, "Containers")
        for _, container in dicts_of(pod, "containers"):
            yield from _container(container)
        yield _line(4, "Image Pull Secrets")
        yield from (_line(5, "Name", text_of(secret, "name")) for _, secret in dicts_of(pod, "imagePullSecrets"))
        yield _line(4, "Restart Policy", text_of(pod, "restartPolicy"))


def _container(container: JsonObject) -> Iterator[str]:
    yield _line(5, "Command")
    yield from (_line(6, str(word), None) for word in list_of(container, "command"))
    yield from _pairs(5, [("Image", text_of(container, "image")), ("Name", text_of(container, "name"))])
    yield _line(5, "Ports")
    for _, port in dicts_of(container, "ports"):
        yield from _pairs(6, [("Container Port", port.get("containerPort")), ("Name", text_of(port, "name"))])
    yield _line(5, "Resources")
    for title, part in (("Limits", "limits"), ("Requests", "requests")):
        held = dict_of(container, "resources", part)
        yield _line(6, title)
        yield from _pairs(7, [("Cpu", held.get("cpu", 0)), ("Memory", held.get("memory", 0))])
    yield _line(6, "Working Dir", text_of(container, "workingDir"))


def _status(status: JsonObject) -> Iterator[str]:
    yield "Status:"
    yield from (_line(1, title, status[field]) for title, field in _COUNTS if status.get(field))
    yield _line(1, "State")
    yield _line(2, "Phase", text_of(status, "state", "phase"))
    held = dict_of(status, "controlledResources")
    if held:
        yield _line(1, "Controlled Resources")
        yield from (_line(2, str(key), value) for key, value in sorted(held.items()))
    if list_of(status, "conditions"):
        yield _line(1, "Conditions")
        yield "    Status\tTransitionTime"
        for _, each in dicts_of(status, "conditions"):
            yield f"    {text_of(each, 'status')}\t{text_of(each, 'lastTransitionTime')}"


def _events(events: list[JsonObject]) -> Iterator[str]:
    if not events:
        yield "Events: \t<none>"
        return
    yield "Events:"
    yield _cells("Type", "Reason", "Age", "Form", "Message")
    yield _cells(*(["-------"] * 5))
    for each in events:
        since, count = age(text_of(each, "firstTimestamp")), whole_of(each, "count") or 1
        if count > 1:
            since = f"{age(text_of(each, 'lastTimestamp'))} (x{count} over {since})"
        component = text_of(each, "source", "component") or text_of(each, "reportingComponent")
        yield _cells(text_of(each, "type"), text_of(each, "reason"), since, component, text_of(each, "message").strip())


def _cells(*cells: str) -> str:
    return "\t".join(cell.ljust(width) for cell, width in zip(cells, _EVENT_WIDTHS, strict=True))


def _pairs(level: int, pairs: list[tuple[str, Any]]) -> Iterator[str]:
    """Lines whose values stand below each other."""
    width = max(len(title) for title, _ in pairs) + 1
    yield from (f"{'  ' * level}{f'{title}:'.ljust(width)}\t{value}" for title, value in pairs)


def _line(level: int, title: str, value: Any = "") -> str:
    """One line; a value of None is a line without a colon."""
    return f"{'  ' * level}{title}" + ("" if value is None else f":\t{value}")
