"""Questions about access: until there is authorization, whoever has a token may do everything."""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.decoding import parse_object

ADMIN_GROUPS = ["system:masters", "system:authenticated"]


def answer(plural: str, body: bytes, content_type: str, user: str, tokens: dict[str, str]) -> JsonObject:
    """The review with its status filled in."""
    review = parse_object(body, content_type)
    status: JsonObject = {"allowed": True, "reason": "every token is an administrator's here"}
    if plural == "selfsubjectrulesreviews":
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        urls = {"verbs": ["*"], "nonResourceURLs": ["*"]}
        status = {"resourceRules": [everything], "nonResourceRules": [urls], "incomplete": False}
    elif plural == "selfsubjectreviews":
        status = {"userInfo": {"username": user, "groups": ADMIN_GROUPS}}
    elif plural == "tokenreviews":
        spec: Any = review.get("spec") or {}
        found = tokens.get(spec.get("token") or "")
        status = {"authenticated": found is not None}
        if found is not None:
            status["user"] = {"username": found, "groups": ADMIN_GROUPS}
    return {**review, "status": status}
