"""A workflow: jobs with edges between them, as one frozen value that compiles to JobTemplates and a JobFlow."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack

import msgspec
from msgspec.structs import force_setattr, replace

from flowbatch_dsl.chained import Links
from flowbatch_dsl.data import Workspace
from flowbatch_dsl.frozen import freeze, sequence
from flowbatch_dsl.origin import Origin, caller, origin_of, remember
from flowbatch_dsl.workflows.graph import Graph, graph_of
from flowbatch_dsl.workflows.node import Node
from flowbatch_dsl.workflows.settling import settled

if TYPE_CHECKING:
    from flowbatch.api.meta import JsonObject
    from flowbatch_dsl.clusters import ClusterLike
    from flowbatch_dsl.report import Report
    from flowbatch_dsl.workflows.async_run import AsyncFlowRun
    from flowbatch_dsl.workflows.run import FlowRun


class WorkflowChanges(TypedDict, total=False):
    """What `Workflow.but` may change: every field of a Workflow."""

    name: str
    graph: Links
    namespace: str
    retain: Literal["retain", "delete"]
    suspend: bool
    workspace: Workspace | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    objects: Sequence[Mapping[str, Any]]
    extra: Mapping[str, Any]


class _Headed(msgspec.Struct, frozen=True):
    name: str
    graph: Links


class Workflow(_Headed, frozen=True, kw_only=True, dict=True):
    """`Workflow("nightly", hpl >> [ctr, llama] >> rl)`: a frozen value; nothing happens until `submit()`.

    `graph` is what `>>` makes of jobs and Nodes, or a list of such graphs side by side; `steps` are its nodes. Each
    step's job runs as "NAME-STEP". `retain="delete"` removes the jobs once all of them completed. A workflow that is
    made with `suspend=True` starts when it is resumed. `workspace` is a volume that all of its jobs share. `objects`
    are further manifests that are created with it.

    `extra` is the way to everything else: a partial JobFlow manifest, merged over what the other fields make. A graph
    that could never run is refused here, when it is built: SpecErrors, with the line of your file.
    """

    namespace: str = ""
    retain: Literal["retain", "delete"] = "retain"
    suspend: bool = False
    workspace: Workspace | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    objects: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        remember(self, caller())
        force_setattr(self, "objects", freeze(sequence(self.objects, "Workflow.objects")))
        for field in ("labels", "annotations", "extra"):
            force_setattr(self, field, freeze(getattr(self, field)))
        nodes = settled(self.name, self.namespace, graph_of(self.graph).nodes, origin_of(self))
        force_setattr(self, "graph", Graph(nodes))

    @property
    def steps(self) -> tuple[Node, ...]:
        """The nodes of the graph, each with the names of those that it comes after."""
        return graph_of(self.graph).nodes

    @property
    def parts(self) -> tuple[object, ...]:
        """The jobs in it: `flowbatch run FILE.py` does not run them on their own."""
        return tuple(node.job for node in self.steps)

    def but(self, **changes: Unpack[WorkflowChanges]) -> Self:
        """A copy with these fields changed; the original never changes."""
        return replace(self, **changes)

    def manifests(self) -> "list[JsonObject]":
        """What `submit` would create, as plain JSON objects: JobTemplates first, the JobFlow last."""
        from flowbatch_dsl.workflows.manifest import workflow_manifests

        return workflow_manifests(self)

    def submission(self) -> "list[JsonObject]":
        """The same, for pods that may start in another directory than this one."""
        from flowbatch_dsl.workflows.manifest import submission_manifests

        return submission_manifests(self)

    def validate(self) -> "Report":
        """Every problem, with its path, the line of your file and what to do about it. Needs no cluster."""
        from flowbatch_dsl.workflows.verdict import check

        return check(self)

    def to_yaml(self) -> str:
        """The workflow as Kubernetes YAML, for `kubectl apply -f -` and for `from_yaml`."""
        from flowbatch_dsl.yamltext import dump

        return "---\n".join(dump(manifest) for manifest in self.manifests())

    @classmethod
    def from_yaml(cls, text: str, *, file: str = "<yaml>") -> "Workflow":
        """The workflow that `text` describes: one JobFlow, the JobTemplates that it names, and what goes with them.

        `file` is only shown in problems. Raises SpecErrors, with every path, for what cannot be kept.
        """
        from flowbatch_dsl.workflows.reading import read_workflow
        from flowbatch_dsl.yamltext import load_all

        return read_workflow(load_all(text, file), file)

    def submit(self, cluster: "ClusterLike | None" = None) -> "FlowRun[Any]":
        """Create the workflow and return a handle on it. Blocks; works in scripts, notebooks and threads.

        Raises SpecErrors, and creates nothing, if the workflow has problems, and JobExists if it is there already.
        """
        from flowbatch_dsl.workflows.run import submit

        return submit(self, cluster)

    async def asubmit(self, cluster: "ClusterLike | None" = None) -> "AsyncFlowRun[Any]":
        """`submit` for async code: the handle has the same verbs, to be awaited."""
        from flowbatch_dsl.workflows.async_run import submit

        return await submit(self, cluster)

    def __str__(self) -> str:
        from flowbatch_dsl.workflows.display import workflow_text

        return workflow_text(self)

    def __rich__(self) -> str:
        from flowbatch_dsl.display import escape_markup
        from flowbatch_dsl.workflows.display import workflow_text

        return escape_markup(workflow_text(self))

    def _repr_html_(self) -> str:
        from flowbatch_dsl.workflows.display import workflow_html

        return workflow_html(self)


def placed(workflow: Workflow, origin: Origin | None) -> Workflow:
    """`workflow`, remembering `origin` as the place where it was written."""
    remember(workflow, origin)
    return workflow
