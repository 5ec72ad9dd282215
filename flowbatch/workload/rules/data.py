"""Inputs and outputs: urls that can be reached, paths that can be mounted, and no two pods that write one place."""

import re
from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules import names
from flowbatch.workload.rules.reading import dict_of, dicts_of, replicas_of, task_name, text_of
from flowbatch.workload.vocabulary import OUTPUT_POLICIES

PLACES = ("index", "task", "job")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PLACE = re.compile(r"\{([^{}]*)\}")
_FIELDS = ("inputs", "outputs")


def check_data(manifest: JsonObject) -> Iterator[SpecError]:
    """`inputs` and `outputs` of the job and of each task."""
    spec = dict_of(manifest, "spec")
    yield from _one(spec, "spec")
    tasks = list(dicts_of(spec, "tasks"))
    for index, task in tasks:
        yield from _one(task, f"spec.tasks[{index}]")
        yield from _mounts(spec, task, index)
        yield from _outputs(spec, task, index, len(tasks))


def _one(holder: JsonObject, where: str) -> Iterator[SpecError]:
    seen: dict[str, str] = {}
    for field in _FIELDS:
        for index, item in dicts_of(holder, field):
            path, name = f"{where}.{field}[{index}]", text_of(item, "name")
            yield from names.named(f"{path}.name", name, names.label_problem(name))
            if name in seen:
                yield SpecError(f"{path}.name", f"is the name of {seen[name]} already", name)
            seen.setdefault(name, path)
            yield from _url(text_of(item, "url"), f"{path}.url", fetched=field == "inputs")
            yield from mount_problem(text_of(item, "path"), f"{path}.path")
            if (secret := text_of(item, "secretName")) and (problem := names.subdomain_problem(secret)):
                yield from names.named(f"{path}.secretName", secret, problem)
            yield from (_input if field == "inputs" else _output)(item, path)


def _url(url: str, path: str, *, fetched: bool) -> Iterator[SpecError]:
    if not url:
        yield SpecError(path, "is missing", None, "e.g. s3://bucket/key, https://host/file, file:///data/file")
        return
    if not _URL.fullmatch(url):
        yield SpecError(path, "is not a url", url, "e.g. s3://bucket/key, https://host/file, file:///data/file")
    elif url.startswith("file://") and not re.fullmatch(r"file:///[^/]+/.+", url):
        yield SpecError(path, "must be a path of the node below a folder", url, "e.g. file:///data/file")
    elif ".." in url.split("/"):
        yield SpecError(path, "must not go up", url)
    elif fetched and url.endswith("/") and url.startswith(("http://", "https://")):
        yield SpecError(path, "is a directory, which http cannot list", url, "name one file")
    for place in _PLACE.findall(url):
        if place not in PLACES:
            yield SpecError(
                path, f"has the unknown placeholder {{{place[:50]}}}", url, did_you_mean(place[:50], PLACES)
            )


def mount_problem(path: str, where: str) -> Iterator[SpecError]:
    """What keeps something from being mounted at `path`."""
    parts = path.strip("/").split("/")
    if not path:
        yield SpecError(where, "is missing", None, "e.g. /data/train")
    elif not path.startswith("/") or "" in parts or "." in parts or ".." in parts or ":" in path:
        yield SpecError(where, "must be an absolute path below /, without . and ..", path)


def _input(item: JsonObject, path: str) -> Iterator[SpecError]:
    digest = text_of(item, "digest")
    if digest and not _DIGEST.fullmatch(digest):
        yield SpecError(f"{path}.digest", "must be sha256: and 64 hexadecimal digits", digest)


def _output(item: JsonObject, path: str) -> Iterator[SpecError]:
    policy, place, url = (text_of(item, field) for field in ("policy", "path", "url"))
    if policy and policy not in OUTPUT_POLICIES:
        yield SpecError(f"{path}.policy", "is not known", policy, did_you_mean(policy[:100], OUTPUT_POLICIES))
    if place.startswith("/") and not place.endswith("/"):
        if "/" not in place.strip("/"):
            yield SpecError(f"{path}.path", "is a file in /, where nothing can be mounted", place, "e.g. /out/result")
        if url.endswith("/"):
            yield SpecError(
                f"{path}.url", "is a directory, and the path is a file", url, "name the file, or end both with /"
            )


def _mounts(spec: JsonObject, task: JsonObject, index: int) -> Iterator[SpecError]:
    """Nothing is mounted where something else is."""
    taken: dict[str, str] = {}
    for holder, where in ((task, f"spec.tasks[{index}]"), (spec, "spec")):
        for field in _FIELDS:
            for number, item in dicts_of(holder, field):
                path, place = text_of(item, "path"), f"{where}.{field}[{number}].path"
                folder = path.rstrip("/") if field == "inputs" or path.endswith("/") else path.rpartition("/")[0]
                if folder and folder in taken:
                    yield SpecError(place, f"is mounted for {taken[folder]} already", path, "take another folder")
                taken.setdefault(folder, place)


def _outputs(spec: JsonObject, task: JsonObject, index: int, tasks: int) -> Iterator[SpecError]:
    """Every pod stores to a place of its own, and its end can be noted."""
    found = [(f"spec.tasks[{index}].outputs[{number}]", item, 1) for number, item in dicts_of(task, "outputs")]
    found += [(f"spec.outputs[{number}]", item, tasks) for number, item in dicts_of(spec, "outputs")]
    for where, item, sharing in found:
        url = text_of(item, "url")
        if replicas_of(task) > 1 and "{index}" not in url:
            yield SpecError(f"{where}.url", f"is one place for {replicas_of(task)} pods", url, "put {index} into it")
        if sharing > 1 and "{task}" not in url:
            yield SpecError(f"{where}.url", f"is one place for {sharing} tasks", url, "put {task} into it")
    if found:
        for number, container in dicts_of(task, "template", "spec", "containers"):
            if not container.get("command"):
                yield SpecError(
                    f"spec.tasks[{index}].template.spec.containers[{number}].command",
                    f"is missing: with outputs, the end of task {task_name(index, task)}'s command must be seen",
                )
