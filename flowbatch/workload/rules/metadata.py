"""Labels and annotations of any object, and what it says it is."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.rules import names
from flowbatch.workload.rules.reading import dict_of, items_of, text_of

#: Kubernetes' bound on all annotations of an object together.
ANNOTATION_BYTES = 256 * 1024

_BUDGET_KEYS = ("volcano.sh/jdb-min-available", "volcano.sh/jdb-max-unavailable")


def check_type(manifest: JsonObject, api_version: str, kind: str) -> Iterator[SpecError]:
    """apiVersion and kind, where they are said."""
    for field, expected in (("apiVersion", api_version), ("kind", kind)):
        stated = manifest.get(field)
        if isinstance(stated, str) and stated != expected:
            yield SpecError(field, f"must be {expected}", stated)


def check_template_name(manifest: JsonObject) -> Iterator[SpecError]:
    """A name like any object's; what is made from a template has names of its own."""
    name, given = text_of(manifest, "metadata", "name"), text_of(manifest, "metadata", "generateName")
    if not name and not given:
        yield SpecError("metadata.name", "is missing")
    elif name:
        yield from names.named("metadata.name", name, names.subdomain_problem(name))


def check_metadata(holder: JsonObject, path: str) -> Iterator[SpecError]:
    """Labels and annotations at `path` of `holder`."""
    for key, value in items_of(holder, "metadata", "labels"):
        where = f"{path}.labels.{key[:100]}"
        if problem := names.label_key_problem(key):
            yield SpecError(where, problem)
        if isinstance(value, str) and (problem := names.label_value_problem(value)):
            yield SpecError(where, problem, value)
    yield from _annotations(dict_of(holder, "metadata", "annotations"), f"{path}.annotations")


def _annotations(annotations: JsonObject, path: str) -> Iterator[SpecError]:
    size = 0
    for key, value in items_of(annotations):
        if problem := names.label_key_problem(key.lower()):
            yield SpecError(f"{path}.{key[:100]}", problem)
        size += len(key) + (len(value) if isinstance(value, str) else 0)
    if size > ANNOTATION_BYTES:
        yield SpecError(path, f"hold {size} characters in all: at most {ANNOTATION_BYTES}")
    yield from disruption_budget(annotations, path)


def disruption_budget(annotations: JsonObject, path: str) -> Iterator[SpecError]:
    """Volcano's job disruption budget: one of two annotations, a count or a percentage."""
    said = [key for key in _BUDGET_KEYS if key in annotations]
    if len(said) > 1:
        yield SpecError(f"{path}.{said[1]}", f"must not be given beside {said[0]}")
    for key in said:
        value = annotations[key]
        if isinstance(value, str) and not _count_or_percentage(value):
            yield SpecError(f"{path}.{key}", "must be a whole number above 0, or 1% to 99%", value)


def _count_or_percentage(value: str) -> bool:
    digits = value.removesuffix("%")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return False
    return 0 < int(digits) < (100 if value.endswith("%") else 10**10)
