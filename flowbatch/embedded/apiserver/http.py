"""The HTTP face: authentication, routing, negotiation, Status bodies, and the one place where a Refusal is answered."""

from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qsl

import orjson
import yaml
from aiohttp import web

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver import discovery, injection, subresources
from flowbatch.embedded.apiserver.audit import Audit
from flowbatch.embedded.apiserver.call import Call, Outcome
from flowbatch.embedded.apiserver.listing import list_page
from flowbatch.embedded.apiserver.logs import Logs
from flowbatch.embedded.apiserver.negotiation import Answer, negotiate
from flowbatch.embedded.apiserver.openapi import Documents
from flowbatch.embedded.apiserver.refusals import Refusal, no_such_path, unauthorized
from flowbatch.embedded.apiserver.replies import JSON_HEADERS, refused, reply
from flowbatch.embedded.apiserver.rest import Rest
from flowbatch.embedded.apiserver.reviews import answer as review
from flowbatch.embedded.apiserver.routing import route
from flowbatch.embedded.apiserver.streaming import stream_watch
from flowbatch.embedded.apiserver.tables import partial, partial_list, table, table_render
from flowbatch.embedded.apiserver.watch import Render
from flowbatch.embedded.apiserver.watching import Watch
from flowbatch.embedded.faults import StoreRule

#: What we say we are; minor versions gate features in clients.
VERSION = "v1.36.1+flowbatch"
_HEALTH = ("/healthz", "/livez", "/readyz")

#: (user, call) -> why it is not allowed, or the empty string. The place for authorization.
Authorize = Callable[[str, Call], str]


class Handler:
    """Answers every request; one per server."""

    def __init__(
        self, rest: Rest, tokens: dict[str, str], now: Callable[[], datetime], *, rule: StoreRule | None = None
    ) -> None:
        self.rest = rest
        self.tokens = tokens
        self.now = now
        self.rule = rule
        self.audit = Audit()
        self.logs = Logs(rest)
        self.authorize: Authorize = lambda user, call: ""
        self.address = ""
        self._documents = Documents(rest.registry, VERSION)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The aiohttp handler: every Refusal becomes its Status here."""
        verb, resource = request.method.lower(), request.path
        response: web.StreamResponse
        try:
            path = request.path
            if path.startswith(_HEALTH):
                return web.Response(text="ok")
            user = self._user(request)
            params = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
            if not _is_resource(path):
                response = await self._other(request, path, params, user)
            else:
                call = route(self.rest.registry, request.method, path, params)
                call.user, call.user_agent = user, request.headers.get("User-Agent", "")
                verb, resource = call.verb, _shown(call)
                response = await self._call(request, call)
        except Refusal as refusal:
            response = refused(refusal)
        except injection.Drop:
            if request.transport is not None:
                request.transport.abort()
            response = web.Response(status=500)
        except ConnectionError:
            # Nobody is there to read an answer.
            response = web.Response(status=499)
        self.audit.count(verb, resource, request.headers.get("User-Agent", ""), response.status)
        return response

    def _user(self, request: web.BaseRequest) -> str:
        """The user that the bearer token names, or a 401."""
        header = request.headers.get("Authorization", "")
        user = self.tokens.get(header[7:].strip()) if header[:7].lower() == "bearer " else None
        if user is None:
            raise unauthorized()
        return user

    async def _call(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """One request for a resource."""
        answer = negotiate(request.headers.get("Accept", ""))
        why = self.authorize(call.user, call)
        if why:
            raise Refusal(403, "Forbidden", why)
        if call.verb not in ("get", "list", "watch"):
            call.body = await request.read()
            call.content_type = request.headers.get("Content-Type", "application/json")
        if self.rule is not None:
            faked = await injection.at_request(self.rule, call)
            if faked is not None:
                return faked
        if call.verb == "watch":
            watch = Watch(self.rest, call, self._render(call, answer))
            return await stream_watch(request, call, watch, injection.line_fault(self.rule, call))
        if call.subresource == "log":
            return await self.logs.stream(request, call)
        response = self._answer(call, answer)
        if self.rule is not None:
            return await injection.at_reply(self.rule, request, call, response)
        return response

    def _answer(self, call: Call, answer: Answer) -> web.Response:
        """The reply to everything that is not a stream."""
        if call.verb == "list":
            return web.Response(body=self._list(call, answer), headers=JSON_HEADERS)
        outcome = self._perform(call)
        data = self._encode(call, outcome, answer)
        headers = {"Content-Type": "application/yaml"} if answer.yaml else JSON_HEADERS
        response = web.Response(status=outcome.code, body=data, headers=headers)
        for text in call.warnings:
            response.headers.add("Warning", '299 - "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
        return response

    def _perform(self, call: Call) -> Outcome:
        rest, below = self.rest, call.subresource
        if below == "binding":
            return subresources.bind(rest, call)
        if below == "eviction":
            return subresources.evict(rest, call)
        if below == "finalize":
            return subresources.finalize_namespace(rest, call)
        if below == "scale":
            return subresources.get_scale(rest, call) if call.verb == "get" else subresources.write_scale(rest, call)
        verbs: Mapping[str, Callable[[Call], Outcome]] = {
            "get": rest.get,
            "create": rest.create,
            "update": rest.update,
            "patch": rest.patch,
            "delete": rest.delete,
            "deletecollection": rest.delete_collection,
        }
        return verbs[call.verb](call)

    def _encode(self, call: Call, outcome: Outcome, answer: Answer) -> bytes:
        obj: JsonObject = outcome.obj
        if outcome.shown and answer.form == "table":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            obj = table(call.resource, [obj], metadata, self.now(), call.params.get("includeObject", "Metadata"))
        elif outcome.shown and answer.form == "metadata":
            obj = partial(obj)
        elif outcome.data is not None and not answer.yaml:
            return outcome.data
        if answer.yaml:
            return yaml.safe_dump(obj, sort_keys=False).encode()
        return orjson.dumps(obj)

    def _list(self, call: Call, answer: Answer) -> bytes:
        """A list; stored bytes are joined as they are where the form allows."""
        page, resource = list_page(self.rest, call), call.resource
        if answer.form == "plain" and not answer.yaml and self.rest.stored_form(resource):
            head = orjson.dumps(
                {"kind": resource.list_name, "apiVersion": resource.api_version, "metadata": page.metadata}
            )
            return b'%s,"items":[%s]}' % (head[:-1], b",".join([entry.data for entry in page.entries]))
        objects = [self.rest.outward(resource, entry.obj) for entry in page.entries]
        if answer.form == "table":
            include = call.params.get("includeObject", "Metadata")
            return orjson.dumps(table(resource, objects, page.metadata, self.now(), include))
        if answer.form == "metadata":
            return orjson.dumps(partial_list(objects, page.metadata))
        body = {
            "kind": resource.list_name,
            "apiVersion": resource.api_version,
            "metadata": page.metadata,
            "items": objects,
        }
        return orjson.dumps(body)

    def _render(self, call: Call, answer: Answer) -> Render | None:
        if answer.form == "table":
            return table_render(call.resource, self.now, call.params.get("includeObject", "Metadata"))
        if answer.form == "metadata":
            return lambda kind, obj: partial(obj)
        return None

    # ── everything that is not a resource ──

    async def _other(
        self, request: web.BaseRequest, path: str, params: Mapping[str, str], user: str
    ) -> web.StreamResponse:
        parts = path.strip("/").split("/")
        if path.startswith("/openapi/v3"):
            return self._openapi(path.removeprefix("/openapi/v3").strip("/"))
        reviews = discovery.REVIEWS.get((parts[1], parts[2]), {}) if len(parts) == 4 and parts[0] == "apis" else {}
        if request.method == "POST" and parts[-1] in reviews:
            body, media = await request.read(), request.headers.get("Content-Type", "application/json")
            return reply(review(parts[-1], body, media, user, self.tokens), 201)
        if request.method not in ("GET", "HEAD"):
            raise no_such_path()
        answer = negotiate(request.headers.get("Accept", ""))
        found = self._document(parts, answer)
        if found is None:
            raise no_such_path()
        response = reply(found)
        if answer.form == "discovery" and len(parts) == 1:
            response.headers["Content-Type"] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        return response

    def _document(self, parts: list[str], answer: Answer) -> JsonObject | None:
        registry = self.rest.registry
        match parts:
            case ["version"]:
                return _version()
            case ["api"] | ["apis"] if answer.form == "discovery":
                return discovery.aggregated(registry, core=parts[0] == "api")
            case ["api"]:
                return discovery.api_versions(self.address)
            case ["apis"]:
                return discovery.group_list(registry)
            case ["apis", group]:
                return discovery.group(registry, group)
            case ["api", version]:
                return discovery.resource_list(registry, "", version)
            case ["apis", group, version]:
                return discovery.resource_list(registry, group, version)
            case [""]:
                return {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
        return None

    def _openapi(self, path: str) -> web.Response:
        if not path:
            return reply(self._documents.index())
        document = self._documents.document(path)
        if document is None:
            raise no_such_path()
        return web.Response(body=document, headers=JSON_HEADERS)


def _is_resource(path: str) -> bool:
    """Whether a path is below a group's version: an object, a collection or a subresource that is stored."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        return len(parts) > 2
    if parts[0] != "apis" or len(parts) < 4:
        return False
    return (parts[1], parts[2]) not in discovery.REVIEWS


def _shown(call: Call) -> str:
    return f"{call.resource.plural}/{call.subresource}" if call.subresource else call.resource.plural


def _version() -> JsonObject:
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "python",
    }
