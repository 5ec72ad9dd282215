"""A connection for the time of one command: find the cluster, say which when none answers."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio

from flowbatch.cli import Unreachable, heed_interrupts
from flowbatch.cli.options import ClusterOptions
from flowbatch.errors import SpecError
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig, load_config
from flowbatch.kube.errors import ConfigError, TransportError
from flowbatch.local.place import running_kubeconfig

T = TypeVar("T")
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Session:
    """A client and the namespace that commands mean when they name none."""

    def __init__(self, client: Client, config: ClusterConfig, namespace: str | None) -> None:
        self.client = client
        self.config = config
        self.namespace = namespace or config.namespace or "default"


@asynccontextmanager
async def connect(options: ClusterOptions) -> AsyncIterator[Session]:
    """Yield a session; raises Unreachable with the address tried and what to do."""
    config = await find_config(options.kubeconfig, options.context)
    namespace = getattr(options, "namespace", None)
    if namespace is not None and not NAMESPACE.fullmatch(namespace):
        raise SpecError("--namespace", "is not a name of a namespace: expected a-z, 0-9 and -, 63 at most", namespace)
    async with Client(config, component="cli") as client:
        try:
            yield Session(client, config, namespace)
        except TransportError as error:
            raise Unreachable(f"cannot reach {config.server}: {error}\nstart a cluster with: flowbatch up") from error


async def find_config(kubeconfig: Path | None, context: str | None) -> ClusterConfig:
    """The flag, $KUBECONFIG, ~/.kube/config, the pod's account, else a `flowbatch up` that runs on this machine."""
    if kubeconfig is None and not _configured():
        kubeconfig = running_kubeconfig()
        if kubeconfig is None:
            raise Unreachable(
                "no cluster: no kubeconfig here, and no `flowbatch up` is running\nstart one: flowbatch up"
            )
    try:
        return await load_config(kubeconfig, context)
    except ConfigError as error:
        raise Unreachable(str(error)) from error


def _configured() -> bool:
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    return in_cluster or bool(os.environ.get("KUBECONFIG")) or (Path.home() / ".kube" / "config").exists()


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run one command's coroutine on a loop of its own."""
    uvloop = _has_uvloop()
    heed_interrupts()
    return anyio.run(work, backend_options={"use_uvloop": uvloop})


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True
