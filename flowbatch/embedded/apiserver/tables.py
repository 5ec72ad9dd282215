"""Tables and bare metadata: the other forms that objects are shown in."""

from collections.abc import Callable, Sequence
from datetime import datetime

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.watch import Render


def partial(obj: JsonObject) -> JsonObject:
    """PartialObjectMetadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj.get("metadata") or {}}


def partial_list(objects: Sequence[JsonObject], metadata: JsonObject) -> JsonObject:
    """PartialObjectMetadataList."""
    items = [partial(each) for each in objects]
    return {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items}


def table(
    resource: Resource,
    objects: Sequence[JsonObject],
    metadata: JsonObject,
    now: datetime,
    include: str,
    *,
    headers: bool = True,
) -> JsonObject:
    """meta.k8s.io/v1 Table; `include` is None, Metadata or Object. A watch sends the headers once."""
    shown: Callable[[JsonObject], JsonObject | None] = {
        "None": lambda obj: None,
        "Object": lambda obj: obj,
    }.get(include, partial)
    rows = []
    for obj in objects:
        cells = [column.cell(obj, now) for column in resource.columns]
        rows.append({"cells": cells, "object": shown(obj)})
    columns = [column.definition for column in resource.columns] if headers else []
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }


def table_render(resource: Resource, now: Callable[[], datetime], include: str) -> Render:
    """Shows watch events as one-row tables, with headers in the first."""
    first = True

    def render(kind: str, obj: JsonObject) -> JsonObject:
        nonlocal first
        headers, first = first, False
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        rows = [] if kind == "BOOKMARK" else [obj]
        return table(resource, rows, metadata, now(), include, headers=headers)

    return render
