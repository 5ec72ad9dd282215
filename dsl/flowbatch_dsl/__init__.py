"""The public face for job authors: typed, frozen values that describe jobs, and handles on running ones.

Importing it costs little: specs need msgspec and nothing else; everything that talks to a cluster is loaded when a
handle or a `LocalCluster` is first asked for.
"""

from typing import TYPE_CHECKING, Any

from flowbatch.workload.vocabulary import Action, Event
from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On, Retry
from flowbatch_dsl.recipes.ddp import ddp
from flowbatch_dsl.recipes.mpi import mpi
from flowbatch_dsl.recipes.ps import ps
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import Task

if TYPE_CHECKING:
    from flowbatch.errors import SpecError, SpecErrors
    from flowbatch_dsl.async_run import AsyncRun
    from flowbatch_dsl.clusters import Cluster
    from flowbatch_dsl.failures import JobExists, JobFailed, JobGone
    from flowbatch_dsl.local import LocalCluster
    from flowbatch_dsl.report import Problem, Report
    from flowbatch_dsl.run import Run
    from flowbatch_dsl.views import Change, LogLine, PodView, Status

__all__ = [
    "Action",
    "AsyncRun",
    "Change",
    "Cluster",
    "Event",
    "Job",
    "JobExists",
    "JobFailed",
    "JobGone",
    "LocalCluster",
    "LogLine",
    "On",
    "PodView",
    "Problem",
    "Report",
    "Resources",
    "Retry",
    "Run",
    "SpecError",
    "SpecErrors",
    "Status",
    "Task",
    "ddp",
    "mpi",
    "ps",
]

#: Names that are loaded when first used: they need more than specs do.
_LAZY = {
    "AsyncRun": "flowbatch_dsl.async_run",
    "Change": "flowbatch_dsl.views",
    "Cluster": "flowbatch_dsl.clusters",
    "JobExists": "flowbatch_dsl.failures",
    "JobFailed": "flowbatch_dsl.failures",
    "JobGone": "flowbatch_dsl.failures",
    "LocalCluster": "flowbatch_dsl.local",
    "LogLine": "flowbatch_dsl.views",
    "PodView": "flowbatch_dsl.views",
    "Problem": "flowbatch_dsl.report",
    "Report": "flowbatch_dsl.report",
    "Run": "flowbatch_dsl.run",
    "SpecError": "flowbatch.errors",
    "SpecErrors": "flowbatch.errors",
    "Status": "flowbatch_dsl.views",
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
