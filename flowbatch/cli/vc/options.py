"""The flags that all of vcctl's verbs share, and the cluster they lead to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flowbatch.cli import Unreachable
from flowbatch.cli.session import find_config
from flowbatch.errors import SpecError
from flowbatch.kube.client import Client
from flowbatch.kube.errors import TransportError

#: vcctl's -n and -N: the first is a namespace where the second is a name, and the relatives have it the other way.
Namespace = Annotated[str, Parameter(name=["--namespace", "-n"], help="the namespace")]
Name = Annotated[str, Parameter(name=["--name", "-N"], help="the name")]
ShortNamespace = Annotated[str, Parameter(name=["--namespace", "-N"], help="the namespace")]
ShortName = Annotated[str, Parameter(name=["--name", "-n"], help="the name")]
Everywhere = Annotated[bool, Parameter(name="--all-namespaces", negative="", help="list in all namespaces")]
Scheduler = Annotated[str, Parameter(name=["--scheduler", "-S"], help="only jobs of this scheduler")]
Fuzzy = Annotated[str, Parameter(name="--selector", help="fuzzy matching jobName")]
File = Annotated[str, Parameter(name=["--filename", "--file", "-f"], help="the path of a YAML file")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Which cluster."""

    master: Annotated[str, Parameter(name=["--master", "-s"], help="the address of apiserver")] = ""
    kubeconfig: Annotated[Path | None, Parameter(name=["--kubeconfig", "-k"], help="path of the kubeconfig")] = None


@asynccontextmanager
async def connect(cluster: Cluster | None) -> AsyncIterator[Client]:
    """A client for the time of one command. Raises Unreachable."""
    chosen = cluster or Cluster()
    config = await find_config(chosen.kubeconfig, None)
    if chosen.master:
        server = chosen.master if "://" in chosen.master else f"https://{chosen.master}"
        config = replace(config, server=server.rstrip("/"), socket="")
    async with Client(config, component="cli") as client:
        try:
            yield client
        except TransportError as error:
            raise Unreachable(f"cannot reach {config.server}: {error}") from error


def needed(name: str, what: str, flag: str = "--name") -> str:
    """`name`, which must be given. Raises SpecError."""
    if not name:
        raise SpecError(flag, f"is needed: the name of the {what}")
    return name
