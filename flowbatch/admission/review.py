"""AdmissionReview v1: the question a kube-apiserver asks of a webhook, and its answer; both as JSON.

A refusal lists every problem, as the API server's own do: code 422, one cause each, and all of them in the message,
which is what kubectl shows.
"""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from flowbatch.admission.judge import problems, remarks
from flowbatch.admission.mutate import mutated
from flowbatch.admission.patch import json_patch
from flowbatch.admission.resource_groups import ResourceGroup
from flowbatch.admission.world import World, name_of
from flowbatch.api.meta import JsonObject
from flowbatch.errors import FlowbatchError, SpecError
from flowbatch.workload.rules.reading import dict_of, text_of

API_VERSION, KIND = "admission.k8s.io/v1", "AdmissionReview"
#: What one message may be long; what is beyond is counted. kubectl prints messages whole.
MESSAGE_CHARS = 16_000
MOST_WARNINGS, WARNING_CHARS = 10, 200

_encode = msgspec.json.Encoder().encode


class NotAReview(FlowbatchError):
    """The body asks nothing that can be answered: HTTP 400."""


class Question(msgspec.Struct, frozen=True):
    """One write that waits for an answer."""

    uid: str
    api_version: str
    kind: str
    operation: str
    old: JsonObject | None
    new: JsonObject | None


def read_review(body: bytes) -> Question:
    """The question in a request's body. Raises NotAReview, whatever the body is."""
    try:
        review = msgspec.json.decode(body)
    except (ValueError, RecursionError) as problem:  # msgspec's own, and a name that is no UTF-8
        raise NotAReview(f"the body is no JSON: {problem}") from None
    request = dict_of(review, "request")
    if (text_of(review, "apiVersion"), text_of(review, "kind")) != (API_VERSION, KIND) or not request:
        raise NotAReview(f"expected {KIND} of {API_VERSION} with a request")
    group, version = text_of(request, "kind", "group"), text_of(request, "kind", "version")
    uid, kind = text_of(request, "uid"), text_of(request, "kind", "kind")
    if not uid or not kind:
        raise NotAReview("request.uid and request.kind.kind are needed")
    operation = text_of(request, "operation")
    named = text_of(request, "namespace")
    return Question(
        uid,
        f"{group}/{version}" if group else version,
        kind,
        operation,
        _object(request.get("oldObject"), named),
        None if operation == "DELETE" else _object(request.get("object"), named),
    )


def _object(value: Any, namespace: str) -> JsonObject | None:
    """An object with its namespace, which the server knows before the object does."""
    if not isinstance(value, dict):
        return None
    metadata = value.get("metadata")
    if namespace and isinstance(metadata, dict) and not metadata.get("namespace"):
        return {**value, "metadata": {**metadata, "namespace": namespace}}
    return value


def mutation(question: Question, world: World, groups: Sequence[ResourceGroup] = ()) -> JsonObject:
    """The answer of the mutating webhook: always yes, with what is to be filled in."""
    if question.new is None or question.operation not in ("CREATE", "UPDATE"):
        return _answer(question.uid, {"allowed": True})
    full = mutated(question.api_version, question.kind, question.old, question.new, world, groups)
    steps = json_patch(question.new, full)
    if not steps:
        return _answer(question.uid, {"allowed": True})
    patch = base64.b64encode(_encode(steps)).decode()
    return _answer(question.uid, {"allowed": True, "patchType": "JSONPatch", "patch": patch})


def verdict(question: Question, world: World) -> tuple[JsonObject, list[SpecError]]:
    """The answer of the validating webhook, and what it refuses."""
    found = problems(question.api_version, question.kind, question.old, question.new, world)
    if not found:
        warnings = [_brief(each) for each in remarks(question.api_version, question.kind, question.new, world)]
        return _answer(
            question.uid, {"allowed": True, **({"warnings": warnings[:MOST_WARNINGS]} if warnings else {})}
        ), []
    subject = f"{question.kind} {name_of(question.new or question.old)}".strip()
    status = {
        "status": "Failure",
        "reason": "Invalid",
        "code": 422,
        "message": _message(subject, found),
        "details": _details(question, found),
    }
    return _answer(question.uid, {"allowed": False, "status": status}), found


def _details(question: Question, found: Sequence[SpecError]) -> JsonObject:
    """What kubectl prints: the object, and one line for each cause."""
    name, group = name_of(question.new or question.old), question.api_version.rpartition("/")[0]
    causes = [_cause(each) for each in found]
    return {"name": name, "group": group, "kind": question.kind, "causes": causes}


def _brief(remark: SpecError) -> str:
    """The API server cuts warnings that are long, and drops them where they are many."""
    text = str(remark)
    return text if len(text) <= WARNING_CHARS else text[: WARNING_CHARS - 1] + "…"


def _message(subject: str, found: Sequence[SpecError]) -> str:
    lines = [str(each) for each in found]
    text = f"{subject}: {'; '.join(lines)}"
    return text if len(text) <= MESSAGE_CHARS else f"{text[:MESSAGE_CHARS]}… ({len(found)} problems in all)"


def _cause(problem: SpecError) -> JsonObject:
    return {
        "reason": "FieldValueInvalid",
        "message": str(problem).removeprefix(f"{problem.path}: "),
        "field": problem.path,
    }


def _answer(uid: str, response: JsonObject) -> JsonObject:
    return {"apiVersion": API_VERSION, "kind": KIND, "response": {"uid": uid, **response}}
