"""Every request of a program, counted by verb, resource and answer."""

from functools import lru_cache

from prometheus_client import Counter, Histogram

from flowbatch.kube.client import Client
from flowbatch.kube.request import Request
from flowbatch.metrics import API_REQUESTS, API_SECONDS


def count_requests(client: Client) -> None:
    """Let the client report to the metrics, unless somebody listens already."""
    if client.on_reply is None:
        client.on_reply = _count


def _count(request: Request, status: int, seconds: float) -> None:
    counter, histogram = _children(verb_of(request), resource_of(request.path), status)
    counter.inc()
    histogram.observe(seconds)


@lru_cache(maxsize=1024)
def _children(verb: str, resource: str, status: int) -> tuple[Counter, Histogram]:
    # Finding a metric by its labels costs more than adding to it.
    return API_REQUESTS.labels(verb, resource, str(status)), API_SECONDS.labels(verb)


def verb_of(request: Request) -> str:
    """Kubernetes' word for what is asked, watches told apart."""
    if request.method == "GET" and ("watch", "true") in request.params:
        return "watch"
    return request.method.lower()


def resource_of(path: str) -> str:
    """`pods/binding` for a pod's binding: the plural and the subresource, never a name."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) >= 3 and rest[0] == "namespaces":
        rest = rest[2:]
    return "/".join(rest[::2][:2]) or "other"
