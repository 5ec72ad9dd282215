"""Which cluster is meant: one that is named, the one open LocalCluster, or the kubeconfig's current context."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from flowbatch.errors import FlowbatchError

if TYPE_CHECKING:
    from flowbatch.kube.client import Client


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster to talk to: a kubeconfig file (None: the usual places) and a context in it (None: the current one)."""

    kubeconfig: str | None = None
    context: str | None = None
    #: What people call it.
    title: str = ""

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
    if isinstance(cluster, Cluster):
        return cluster
    if isinstance(cluster, (str, os.PathLike)):
        return Cluster(kubeconfig=os.fspath(cluster))
    if cluster is not None:
        return cluster.cluster
    if len(OPEN) > 1:
        raise FlowbatchError(f"{len(OPEN)} local clusters are open: say which, as in submit(here)")
    chosen = OPEN[0] if OPEN else Cluster()
    print(f"flowbatch: using {chosen}", file=sys.stderr)
    return chosen


@contextlib.asynccontextmanager
async def connect(cluster: Cluster) -> "AsyncIterator[Client]":
    """A client for as long as one verb needs it: handles hold no connection, so nothing is left to close."""
    import anyio

    from flowbatch.kube.client import Client
    from flowbatch.kube.config import load_config

    client = Client(await load_config(cluster.kubeconfig, cluster.context), component="dsl")
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):  # a verb that is cut short closes its connections all the same
            await client.close()
