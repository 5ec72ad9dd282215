"""The flags every verb shares, with kubectl's names and manners."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Output = Literal["table", "wide", "json", "yaml", "name"]
#: A file argument; `-` alone is standard input, as everywhere.
FileArgument = Annotated[str, Parameter(allow_leading_hyphen=True)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Which cluster, and as whom."""

    #: The kubeconfig file; else $KUBECONFIG, ~/.kube/config, the pod's own account, a running `flowbatch up`.
    kubeconfig: Annotated[Path | None, Parameter(help="Path of the kubeconfig file.")] = None
    context: Annotated[str | None, Parameter(help="Name of the kubeconfig context.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NamespaceOptions(ClusterOptions):
    """Which namespace."""

    namespace: Annotated[str | None, Parameter(name=["--namespace", "-n"], help="Namespace; else the context's.")] = (
        None
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListOptions(NamespaceOptions):
    """Which of the objects, and how they are printed."""

    all_namespaces: Annotated[
        bool, Parameter(name=["--all-namespaces", "-A"], negative="", help="Objects of every namespace.")
    ] = False
    selector: Annotated[str, Parameter(name=["--selector", "-l"], help="Label selector, e.g. app=train.")] = ""
    output: Annotated[Output, Parameter(name=["--output", "-o"], help="How to print.")] = "table"
    no_headers: Annotated[bool, Parameter(negative="", help="Leave the header line out.")] = False
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="", help="Go on printing changes.")] = False
