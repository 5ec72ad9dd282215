"""pods/{name}/log: passed on to the kubelet of the pod's node, exactly as a real API server does."""

import ssl
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.columns import read
from flowbatch.embedded.apiserver.refusals import Refusal, bad_request
from flowbatch.embedded.apiserver.rest import Rest

_PASSED = ("follow", "previous", "timestamps", "tailLines", "limitBytes", "sinceSeconds", "sinceTime")
_CHUNK_BYTES = 64 * 1024


class Logs:
    """Streams container logs from nodes; one client session for all of them."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close connections to nodes."""
        if self._session is not None:
            await self._session.close()

    async def stream(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """Answer a log request with the node's bytes, as they come."""
        pod = self._rest.entry(call).obj
        container = _container(call, pod)
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            # Kubernetes answers an empty log for a pod that is nowhere yet.
            return web.Response(status=204)
        url = _endpoint(self._rest, node_name)
        query = urlencode({name: call.params[name] for name in _PASSED if call.params.get(name)})
        path = f"/containerLogs/{call.namespace}/{call.name}/{container}"
        try:
            return await self._copy(request, f"{url}{path}?{query}" if query else url + path)
        except (aiohttp.ClientError, OSError) as error:
            raise Refusal(500, "InternalError", f'Get "{url}{path}": {error}') from error

    async def _copy(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._client().get(url, timeout=timeout) as upstream:
            if upstream.status >= 400:
                text = (await upstream.text()).strip()
                raise Refusal(
                    upstream.status, _REASONS.get(upstream.status, "InternalError"), text or "the node refused"
                )
            response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            return response

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Nodes have self-signed serving certificates; kube-apiserver does not verify them either unless told to.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connector = aiohttp.TCPConnector(ssl=context, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False, read_bufsize=_CHUNK_BYTES)
        return self._session


_REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}


def _container(call: Call, pod: JsonObject) -> str:
    """The container that is meant; only a pod with one may leave it out."""
    spec = pod["spec"]
    names = [each["name"] for each in spec.get("containers") or ()]
    initial = [each["name"] for each in spec.get("initContainers") or ()]
    asked = call.params.get("container")
    if asked:
        if asked not in names + initial:
            raise bad_request(f"container {asked} is not valid for pod {call.name}")
        return asked
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if default in names:
        return str(default)
    if len(names) != 1:
        choices = f"[{' '.join(names)}]"
        extra = f" or one of the init containers: [{' '.join(initial)}]" if initial else ""
        raise bad_request(f"a container name must be specified for pod {call.name}, choose one of: {choices}{extra}")
    return str(names[0])


def _endpoint(rest: Rest, name: str) -> str:
    """Where the node's kubelet listens, by its status."""
    resource = rest.registry.find("", "v1", "nodes")
    assert resource is not None
    entry = rest.collection(resource).entries.get(name)
    if entry is None:
        raise Refusal(404, "NotFound", f'nodes "{name}" not found', {"name": name, "kind": "nodes"})
    found = {each.get("type"): each.get("address") for each in read(entry.obj, "status.addresses", [])}
    address = found.get("InternalIP") or found.get("ExternalIP") or found.get("Hostname")
    port = read(entry.obj, "status.daemonEndpoints.kubeletEndpoint.Port", 0)
    if not address or not port:
        raise Refusal(500, "InternalError", f"no preferred addresses found; known addresses: {sorted(found)}")
    host = f"[{address}]" if ":" in address else address
    return f"https://{host}:{port}"
