"""The `api` under test: the embedded server, or a real kube-apiserver where its url and token are given.

Semantic tests use `api` and `ns` only, so they run unchanged against FLOWBATCH_API_URL with FLOWBATCH_API_TOKEN.
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from flowbatch.embedded.apiserver import ApiServer


class Answer:
    """A reply, read."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def reason(self) -> str:
        return self.json.get("reason", "")

    @property
    def fields(self) -> set[str]:
        return {cause.get("field") for cause in self.json["details"]["causes"]}


class Api:
    """A small aiohttp wrapper: paths in, answers out."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"}, connector=aiohttp.TCPConnector(ssl=False)
        )

    async def close(self) -> None:
        await self.session.close()

    async def call(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json", **options: Any
    ) -> Answer:
        params = options.pop("params", {})
        headers = {"Content-Type": content, **options.pop("headers", {})}
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        async with self.session.request(method, self.url + path, data=data, params=params, headers=headers) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def get(self, path: str, **params: str) -> Answer:
        return await self.call("GET", path, params=params)

    async def post(self, path: str, body: Any, **params: str) -> Answer:
        return await self.call("POST", path, body, params=params)

    async def put(self, path: str, body: Any, **params: str) -> Answer:
        return await self.call("PUT", path, body, params=params)

    async def delete(self, path: str, body: Any = None, **params: str) -> Answer:
        return await self.call("DELETE", path, body, params=params)

    async def merge(self, path: str, body: Any, **params: str) -> Answer:
        return await self.call("PATCH", path, body, params=params, content="application/merge-patch+json")

    async def strategic(self, path: str, body: Any, **params: str) -> Answer:
        return await self.call("PATCH", path, body, params=params, content="application/strategic-merge-patch+json")

    async def json_patch(self, path: str, body: Any, **params: str) -> Answer:
        return await self.call("PATCH", path, body, params=params, content="application/json-patch+json")

    @asynccontextmanager
    async def watch(self, path: str, **params: str) -> AsyncIterator["Events"]:
        async with self.session.get(self.url + path, params={"watch": "1", **params}) as reply:
            yield Events(reply)


class Events:
    """The events of a watch, one by one."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self.status = reply.status
        self._reply = reply

    async def next(self, timeout_s: float = 5.0) -> Any:
        import asyncio

        async with asyncio.timeout(timeout_s):
            line = await self._reply.content.readline()
        return orjson.loads(line) if line else None

    async def kinds(self, count: int) -> list[tuple[str, str]]:
        found = [await self.next() for _ in range(count)]
        return [(each["type"], each["object"]["metadata"].get("name", "")) for each in found]

    async def quiet(self, seconds: float = 0.2) -> bool:
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer(tls=False) as server:
        yield server


@pytest.fixture
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    url = os.environ.get("FLOWBATCH_API_URL")
    if url:
        api = Api(url, os.environ["FLOWBATCH_API_TOKEN"])
        yield api
        await api.close()
        return
    async with ApiServer(tls=False) as server:
        api = Api(server.url, server.token)
        yield api
        await api.close()


@pytest.fixture
async def connect() -> AsyncIterator[Any]:
    """Connects to a server that the test made itself."""
    made: list[Api] = []

    def to(server: ApiServer) -> Api:
        made.append(Api(server.url, server.token))
        return made[-1]

    yield to
    for each in made:
        await each.close()


@pytest.fixture
async def ns(api: Api) -> AsyncIterator[str]:
    """A fresh namespace."""
    name = f"t-{secrets.token_hex(4)}"
    assert (await api.post("/api/v1/namespaces", {"metadata": {"name": name}})).status == 201
    yield name
    await api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def config_maps(ns: str) -> str:
    return f"/api/v1/namespaces/{ns}/configmaps"


@pytest.fixture
def pods(ns: str) -> str:
    return f"/api/v1/namespaces/{ns}/pods"


@pytest.fixture
def make_pod() -> Any:
    def make(name: str = "p", **spec: Any) -> dict[str, Any]:
        containers = [{"name": "c", "image": "example.test/image:1"}]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": containers, **spec},
        }

    return make


def _widget_crd(plural: str, version_extra: dict[str, Any] | None = None) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1, "maximum": 10},
                    "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                    "parts": {"type": "array", "maxItems": 2, "items": {"type": "string", "pattern": "^[a-z]+$"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "limit": {"x-kubernetes-int-or-string": True},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "maybe": {"type": "string", "nullable": True},
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    group = f"{plural}.flowbatch.test"
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
        },
        "additionalPrinterColumns": columns,
    }
    names = {"plural": plural, "singular": plural[:-1], "kind": plural[:-1].capitalize(), "shortNames": [plural[:4]]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [{**version, **(version_extra or {})}],
        },
    }


class Widgets:
    """A freshly defined custom kind."""

    def __init__(self, definition: dict[str, Any], ns: str) -> None:
        self.definition = definition
        self.group = definition["spec"]["group"]
        self.kind = definition["spec"]["names"]["kind"]
        self.plural = definition["spec"]["names"]["plural"]
        self.path = f"/apis/{self.group}/v1/namespaces/{ns}/{self.plural}"
        self.crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"

    def make(self, name: str = "w", **spec: Any) -> dict[str, Any]:
        body = {"apiVersion": f"{self.group}/v1", "kind": self.kind, "metadata": {"name": name}}
        return {**body, "spec": {"size": 1, **spec}}


@pytest.fixture
async def widgets(api: Api, ns: str) -> AsyncIterator[Widgets]:
    import asyncio

    plural = "w" + secrets.token_hex(3).translate(str.maketrans("0123456789", "ghijklmnop")) + "s"
    widgets = Widgets(_widget_crd(plural), ns)
    answer = await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets.definition)
    assert answer.status == 201, answer.body
    for _ in range(100):
        # A real API server needs a moment to establish a kind.
        if (await api.get(widgets.path)).status == 200:
            break
        await asyncio.sleep(0.1)
    yield widgets
    await api.delete(widgets.crd)
