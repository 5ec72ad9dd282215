"""One decoded API request and its outcome: what the HTTP layer hands to the REST layer and gets back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.decoding import parse_body
from flowbatch.embedded.apiserver.refusals import bad_request
from flowbatch.embedded.apiserver.resources import Resource


@dataclass(slots=True)
class Call:
    """A request for one resource. `verb` is Kubernetes' word for it: get, list, watch, create, update, patch, ..."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = "application/json"
    user: str = ""
    user_agent: str = ""
    #: What `fieldValidation` is where the query does not say; for `install` and tests.
    warnings: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The store key of the named object."""
        return f"{self.namespace}/{self.name}" if self.resource.namespaced else self.name

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        return self._dry(self.params.get("dryRun"))

    def _dry(self, value: str | None) -> bool:
        if value not in (None, "", "All"):
            raise bad_request(f'invalid dryRun value {value!r}: only "All" is known')
        return value == "All"

    @property
    def field_validation(self) -> str:
        """Strict, Warn or Ignore."""
        mode = self.params.get("fieldValidation") or "Warn"
        if mode not in ("Strict", "Warn", "Ignore"):
            raise bad_request(f'invalid fieldValidation value {mode!r}: one of "Ignore", "Warn", "Strict"')
        return mode

    def flag(self, name: str) -> bool:
        """A boolean query parameter; present without a value counts as true, as in Kubernetes."""
        value = self.params.get(name)
        return value is not None and value.lower() not in ("false", "0")

    def number(self, name: str) -> int | None:
        """An integer query parameter."""
        text = self.params.get(name)
        if text in (None, ""):
            return None
        if not text.removeprefix("-").isdigit():
            raise bad_request(f"invalid value {text!r} for {name}: not an integer")
        return int(text)

    def delete_options(self) -> JsonObject:
        """DeleteOptions from the body, with the query on top."""
        options: Any = parse_body(self.body, self.content_type) if self.body.strip() else {}
        if not isinstance(options, dict):
            raise bad_request("DeleteOptions must be an object")
        grace = self.number("gracePeriodSeconds")
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if self.params.get("propagationPolicy"):
            options["propagationPolicy"] = self.params["propagationPolicy"]
        if "orphanDependents" in self.params:
            options["orphanDependents"] = self.flag("orphanDependents")
        options["dryRun"] = self._dry((options.get("dryRun") or [None])[0]) or self.dry_run
        return options


@dataclass(slots=True)
class Outcome:
    """What a call came to: the object to answer with, and its ready bytes where the store has them."""

    code: int
    obj: JsonObject
    data: bytes | None = None
    #: Whether `obj` is an object of the resource (and may be shown as a table or in another version).
    shown: bool = True
