"""What form of an answer a client accepts: plain JSON, a Table, bare metadata, discovery, or nothing we have."""

from functools import lru_cache
from typing import Literal, NamedTuple

from flowbatch.embedded.apiserver.refusals import not_acceptable

Form = Literal["plain", "table", "metadata", "discovery"]
_FORMS: dict[str, Form] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
    "APIGroupDiscoveryList": "discovery",
}
_JSON = ("application/json", "application/*", "*/*")
_GROUPS = ("meta.k8s.io", "apidiscovery.k8s.io")


class Answer(NamedTuple):
    """The negotiated form, and whether it is written as YAML."""

    form: Form = "plain"
    yaml: bool = False


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Answer:
    """The first acceptable form of an Accept header. Raises 406 for protobuf alone."""
    if not accept:
        return Answer()
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        options = dict(each.split("=", 1) for each in parameters if "=" in each)
        form = _form(options)
        if form is None:
            continue
        if media in _JSON:
            return Answer(form)
        if media == "application/yaml" and form == "plain":
            return Answer(form, yaml=True)
    raise not_acceptable("application/json, application/yaml")


def _form(options: dict[str, str]) -> Form | None:
    """The form that media type parameters ask for; None for one that we do not speak."""
    if "as" not in options:
        return "plain"
    form = _FORMS.get(options["as"])
    if form is None or options.get("g") not in _GROUPS:
        return None
    wanted = "v2" if form == "discovery" else "v1"
    return form if options.get("v") == wanted else None
