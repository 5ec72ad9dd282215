"""Manifests to workflows: one JobFlow with its JobTemplates; what no field holds stays in `Node.extra` and `extra`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch_dsl import manifest as jobs
from flowbatch_dsl.data import Workspace
from flowbatch_dsl.job import Job
from flowbatch_dsl.origin import Origin, remember
from flowbatch_dsl.reading import read_job
from flowbatch_dsl.strategic import difference, without_nulls
from flowbatch_dsl.workflows.manifest import API_VERSION, FLOW, TEMPLATE, plain_entry, plain_flow, workspace_manifest
from flowbatch_dsl.workflows.node import Each, End, Node, Operator, Output, When, renamed
from flowbatch_dsl.workflows.workflow import Workflow, placed
from flowbatch_dsl.yamltext import Document


def read_workflow(documents: Sequence[Document], file: str) -> Workflow:
    """The workflow in `documents`. Raises SpecErrors for what no Workflow can hold."""
    flows = [each for each in documents if _kind(each) == FLOW]
    if len(flows) != 1:
        there = ", ".join(_kind(each) or "no object" for each in documents) or "nothing"
        raise SpecErrors([SpecError("kind", f"expected one {FLOW}, found {len(flows)}: {there}")], file)
    flow = flows[0]
    value = without_nulls(flow.value)
    templates = dict(_templates(documents))
    entries = _entries(value, file)
    nodes = [_node(item, f"spec.flows[{i}]", templates, flow) for i, item in enumerate(entries)]
    if idle := templates.keys() - {item.get("jobTemplate") or item.get("name") for item in entries}:
        raise SpecErrors([SpecError(f"{TEMPLATE}/{name}", "is used by no step") for name in sorted(idle)], file)
    others = [each.value for each in documents if _kind(each) not in (FLOW, TEMPLATE)]
    return _workflow(value, nodes, others, Origin(file, flow.lines.get("", 1), flow.lines))


def _kind(document: Document) -> str:
    return str(document.value.get("kind", "")) if isinstance(document.value, dict) else ""


def _templates(documents: Sequence[Document]) -> Iterator[tuple[str, Job]]:
    """Each JobTemplate as the job that it makes, by its name."""
    for document in documents:
        if _kind(document) == TEMPLATE:
            _versioned(document)
            like = {**document.value, "apiVersion": jobs.API_VERSION, "kind": jobs.KIND}
            job = read_job(Document(like, document.file, document.lines))
            yield job.name, job


def _versioned(document: Document) -> None:
    version = document.value.get("apiVersion")
    if version != API_VERSION:
        problem = SpecError("apiVersion", f"must be {API_VERSION}", version, did_you_mean(str(version), [API_VERSION]))
        raise SpecErrors([problem], document.file)


def _entries(value: JsonObject, file: str) -> list[JsonObject]:
    spec = value.get("spec")
    entries = spec.get("flows") if isinstance(spec, dict) else None
    if value.get("apiVersion") != API_VERSION:
        raise SpecErrors([SpecError("apiVersion", f"must be {API_VERSION}", value.get("apiVersion"))], file)
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise SpecErrors([SpecError("spec.flows", "must be a list of maps", entries)], file)
    written = [f"metadata.{name}" for name in ("uid", "resourceVersion") if name in value.get("metadata", {})]
    written += ["status"] if "status" in value else []
    if written:
        raise SpecErrors([SpecError(path, "is written by the cluster", None, "remove it") for path in written], file)
    return entries


def _node(item: JsonObject, path: str, templates: Mapping[str, Job], flow: Document) -> Node:
    """One entry of `spec.flows` with the job of its template, remembering its line."""
    name, template = _as(str, item.get("name"), ""), _as(str, item.get("jobTemplate"), "")
    job = templates.get(template or name)
    if job is None:
        hint = did_you_mean(template or name, templates) if templates else f"add a {TEMPLATE} to the file"
        raise SpecErrors([SpecError(path, f"there is no {TEMPLATE} for it", template or name, hint)], flow.file)
    depends_on = _as(_DependsOn, item.get("dependsOn"), _DependsOn())
    each, retry = _as(_Each, item.get("forEach"), None), _as(_Retry, item.get("retry"), _Retry())
    node = Node(
        renamed(job, name=name),
        after=depends_on.targets,
        after_ends=depends_on.states,
        when=[When(c.source, c.operator, c.values) for c in _as(list[_Condition], item.get("when"), [])],
        each=Each(each.items, each.source, each.max_parallel) if each else None,
        inputs={each.name: each.source for each in _as(list[_Input], item.get("inputs"), [])},
        outputs=[Output(o.name, o.task, o.index) for o in _as(list[_Output], item.get("outputs"), [])],
        retries=retry.limit,
        backoff_s=retry.backoff_seconds,
        max_backoff_s=retry.max_backoff_seconds,
    )
    rest = difference(plain_entry(node, template or name), {"jobTemplate": name, **item})
    node = node.but(extra=rest) if rest else node
    remember(node, Origin(flow.file, flow.lines.get(path, 1)))
    return node


def _workflow(value: JsonObject, nodes: list[Node], others: list[Any], origin: Origin) -> Workflow:
    metadata, spec = _as(dict[str, Any], value.get("metadata"), {}), value["spec"]
    workflow = Workflow(
        _as(str, metadata.get("name"), ""),
        nodes,
        namespace=_as(str, metadata.get("namespace"), ""),
        labels=_as(dict[str, str], metadata.get("labels"), {}),
        annotations=_as(dict[str, str], metadata.get("annotations"), {}),
        retain="delete" if spec.get("jobRetainPolicy") == "delete" else "retain",
        suspend=spec.get("suspend") is True,
        workspace=_workspace(spec.get("workspace")),
        objects=others,
    )
    rest = difference(_without_entries(plain_flow(workflow)), _without_entries(value))
    return placed(workflow.but(extra=rest) if rest else workflow, origin)


def _workspace(value: Any) -> Workspace | None:
    """The workspace, or None where it says something that Workspace has no field for."""
    if not isinstance(value, dict):
        return None
    claim = _as(dict[str, Any], value.get("claim"), {})
    size = _as(dict[str, Any], _as(dict[str, Any], claim.get("resources"), {}).get("requests"), {}).get("storage")
    found = Workspace(
        _as(str, value.get("mountPath"), ""),
        size=_as(str, size, ""),
        storage_class=_as(str, claim.get("storageClassName"), ""),
        claim=_as(str, value.get("claimName"), ""),
        keep=value.get("retentionPolicy") == "Retain",
    )
    return found if workspace_manifest(found) == value else None


def _without_entries(value: JsonObject) -> JsonObject:
    """The JobFlow but for its steps, which nodes have read, and for what says nothing."""
    silent = {"flows": None, "jobRetainPolicy": "retain", "suspend": False}
    spec = {key: item for key, item in value["spec"].items() if key != "flows" and item != silent.get(key, _NOTHING)}
    return {**value, "spec": spec}


_NOTHING = object()


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A part of an entry in the only form that a field can hold; any other one is kept in `Node.extra`."""


class _DependsOn(msgspec.Struct, frozen=True):
    targets: tuple[str, ...] = ()
    states: tuple[End, ...] = ()


class _Condition(_Part, frozen=True):
    source: str = msgspec.field(name="from")
    operator: Operator
    values: tuple[str, ...] = ()


class _Each(_Part, frozen=True):
    items: tuple[Any, ...] = ()
    source: str = msgspec.field(name="from", default="")
    max_parallel: int | None = None


class _Input(_Part, frozen=True):
    name: str
    source: str = msgspec.field(name="from")


class _Output(_Part, frozen=True):
    name: str
    task: str = ""
    index: int = 0


class _Retry(_Part, frozen=True):
    limit: int = 0
    backoff_seconds: int | None = None
    max_backoff_seconds: int | None = None


def _as(kind: Any, value: Any, default: Any) -> Any:
    """`value` if it is of this kind, to the letter; else `default`, and the difference keeps it."""
    try:
        return default if value is None else msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return default
