"""Which cluster is meant: one that is named, the one open LocalCluster, or the kubeconfig's current context."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from flowbatch.errors import FlowbatchError
from flowbatch_dsl import guard

if TYPE_CHECKING:
    from flowbatch.kube.client import Client


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster to talk to: a kubeconfig file (None: the usual places) and a context in it (None: the current one)."""

    kubeconfig: str | None = None
    context: str | None = None
    #: What people call it.
    title: str = ""
    #: Whether nobody named it: the first verb then says which one it is.
    implicit: bool = False

    def __str__(self) -> str:
        where = self.kubeconfig or "the usual kubeconfig"
        return self.title or f"{self.context or 'the current context'} of {where}"


class HasCluster(Protocol):
    """Anything that stands for a cluster; `LocalCluster` does."""

    @property
    def cluster(self) -> Cluster:
        """The cluster it stands for."""
        ...


ClusterLike = Cluster | HasCluster | str | os.PathLike[str]

#: Every LocalCluster that is open in this process, oldest first.
OPEN: list[Cluster] = []


def resolve(cluster: ClusterLike | None) -> Cluster:
    """The cluster that is meant. Without one, says on stderr which it takes. Raises FlowbatchError if unclear."""
    guard.check("asks for a cluster")
    if isinstance(cluster, Cluster):
        return cluster
    if isinstance(cluster, (str, os.PathLike)):
        return Cluster(kubeconfig=os.fspath(cluster))
    if cluster is not None:
        return cluster.cluster
    if len(OPEN) > 1:
        raise FlowbatchError(f"{len(OPEN)} local clusters are open: say which, as in submit(here)")
    if not OPEN:
        return Cluster(implicit=True)
    _announce(str(OPEN[0]))
    return OPEN[0]


#: What was announced already: once is news, twice is noise.
_ANNOUNCED: set[str] = set()


def _announce(where: str) -> None:
    if where not in _ANNOUNCED:
        _ANNOUNCED.add(where)
        print(f"flowbatch: using {where}", file=sys.stderr)


@contextlib.asynccontextmanager
async def connect(cluster: Cluster) -> "AsyncIterator[Client]":
    """A client for as long as one verb needs it: handles hold no connection, so nothing is left to close."""
    import anyio

    from flowbatch.kube.client import Client
    from flowbatch.kube.config import load_config

    config = await load_config(cluster.kubeconfig or _running(), cluster.context)
    if cluster.implicit:
        _announce(f"the cluster at {config.server}")
    client = Client(config, component="dsl")
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):  # a verb that is cut short closes its connections all the same
            await client.close()


def _running() -> str | None:
    """The kubeconfig of a `flowbatch up` on this machine, where nothing else says which cluster is meant."""
    from flowbatch.local.place import running_kubeconfig

    named = os.environ.get("KUBECONFIG") or "KUBERNETES_SERVICE_HOST" in os.environ
    if named or (Path.home() / ".kube" / "config").exists():
        return None
    found = running_kubeconfig()
    return str(found) if found else None
