"""The public face for job authors: typed, frozen values that describe jobs, and handles on running ones.

Importing it costs little: specs need msgspec and nothing else; everything that talks to a cluster is loaded when a
handle or a `LocalCluster` is first asked for.
"""

from typing import TYPE_CHECKING, Any

from flowbatch.workload.vocabulary import Action, Event
from flowbatch_dsl.data import Fetch, Store, Workspace
from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On, Retry
from flowbatch_dsl.recipes.ddp import ddp
from flowbatch_dsl.recipes.jax import jax
from flowbatch_dsl.recipes.mpi import mpi
from flowbatch_dsl.recipes.ps import ps
from flowbatch_dsl.recipes.ray import ray
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import Task

if TYPE_CHECKING:
    from flowbatch.errors import SpecError, SpecErrors
    from flowbatch_dsl.async_run import AsyncRun
    from flowbatch_dsl.clusters import Cluster
    from flowbatch_dsl.failures import FlowFailed, JobExists, JobFailed, JobGone
    from flowbatch_dsl.local import LocalCluster
    from flowbatch_dsl.recipes.sweep import sweep
    from flowbatch_dsl.report import Problem, Report
    from flowbatch_dsl.run import Run
    from flowbatch_dsl.views import Change, LogLine, PodView, Status
    from flowbatch_dsl.workflows.async_run import AsyncFlowRun
    from flowbatch_dsl.workflows.conditions import when
    from flowbatch_dsl.workflows.flow import BoundFlow, Flow, flow
    from flowbatch_dsl.workflows.gangs import gang
    from flowbatch_dsl.workflows.graph import Graph
    from flowbatch_dsl.workflows.node import Each, Node, Output, When
    from flowbatch_dsl.workflows.promise import PromiseError
    from flowbatch_dsl.workflows.run import FlowRun
    from flowbatch_dsl.workflows.step import Step, step
    from flowbatch_dsl.workflows.views import FlowChange, FlowStatus, StepView
    from flowbatch_dsl.workflows.workflow import Workflow

__all__ = [
    "Action",
    "AsyncFlowRun",
    "AsyncRun",
    "BoundFlow",
    "Change",
    "Cluster",
    "Each",
    "Event",
    "Fetch",
    "Flow",
    "FlowChange",
    "FlowFailed",
    "FlowRun",
    "FlowStatus",
    "Graph",
    "Job",
    "JobExists",
    "JobFailed",
    "JobGone",
    "LocalCluster",
    "LogLine",
    "Node",
    "On",
    "Output",
    "PodView",
    "Problem",
    "PromiseError",
    "Report",
    "Resources",
    "Retry",
    "Run",
    "SpecError",
    "SpecErrors",
    "Status",
    "Step",
    "StepView",
    "Store",
    "Task",
    "When",
    "Workflow",
    "Workspace",
    "ddp",
    "flow",
    "gang",
    "jax",
    "mpi",
    "ps",
    "ray",
    "step",
    "sweep",
    "when",
]

#: Names that are loaded when first used: they need more than specs do.
_LAZY = {
    "AsyncFlowRun": "flowbatch_dsl.workflows.async_run",
    "AsyncRun": "flowbatch_dsl.async_run",
    "BoundFlow": "flowbatch_dsl.workflows.flow",
    "Change": "flowbatch_dsl.views",
    "Cluster": "flowbatch_dsl.clusters",
    "Each": "flowbatch_dsl.workflows.node",
    "Flow": "flowbatch_dsl.workflows.flow",
    "FlowChange": "flowbatch_dsl.workflows.views",
    "FlowFailed": "flowbatch_dsl.failures",
    "FlowRun": "flowbatch_dsl.workflows.run",
    "FlowStatus": "flowbatch_dsl.workflows.views",
    "Graph": "flowbatch_dsl.workflows.graph",
    "JobExists": "flowbatch_dsl.failures",
    "JobFailed": "flowbatch_dsl.failures",
    "JobGone": "flowbatch_dsl.failures",
    "LocalCluster": "flowbatch_dsl.local",
    "LogLine": "flowbatch_dsl.views",
    "Node": "flowbatch_dsl.workflows.node",
    "Output": "flowbatch_dsl.workflows.node",
    "PodView": "flowbatch_dsl.views",
    "Problem": "flowbatch_dsl.report",
    "PromiseError": "flowbatch_dsl.workflows.promise",
    "Report": "flowbatch_dsl.report",
    "Run": "flowbatch_dsl.run",
    "SpecError": "flowbatch.errors",
    "SpecErrors": "flowbatch.errors",
    "Status": "flowbatch_dsl.views",
    "Step": "flowbatch_dsl.workflows.step",
    "StepView": "flowbatch_dsl.workflows.views",
    "When": "flowbatch_dsl.workflows.node",
    "Workflow": "flowbatch_dsl.workflows.workflow",
    "flow": "flowbatch_dsl.workflows.flow",
    "gang": "flowbatch_dsl.workflows.gangs",
    "step": "flowbatch_dsl.workflows.step",
    "sweep": "flowbatch_dsl.recipes.sweep",
    "when": "flowbatch_dsl.workflows.conditions",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
