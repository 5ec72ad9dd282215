"""Sweeps: one job for each combination of parameters, all of them one workflow."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import msgspec

from flowbatch.errors import SpecError, did_you_mean
from flowbatch_dsl.job import Job
from flowbatch_dsl.origin import caller
from flowbatch_dsl.workflows.graph import refusal
from flowbatch_dsl.workflows.node import End, Node, renamed
from flowbatch_dsl.workflows.workflow import Workflow

#: On each job: the parameters that made it, as JSON.
PARAMETERS_NOTE = "flowbatch.dev/parameters"
#: A trial that fails must not keep the next one of its lane from running.
ENDS: tuple[End, ...] = ("Completed", "Failed", "Skipped")


def sweep(
    name: str,
    make: Callable[..., Job],
    /,
    *,
    max_parallel: int | None = None,
    retries: int = 0,
    outputs: Sequence[str] = (),
    **axes: Sequence[Any],
) -> Workflow:
    """`sweep("grid", lambda lr, bs: ddp(f"t-{bs}", [...]), lr=[1e-4, 3e-4], bs=[32, 64], max_parallel=2)`.

    `make` is called once for each combination, in the order of the axes, the last one changing fastest. Jobs whose
    names are not all different are numbered. At most `max_parallel` run at once: each one follows a certain other one,
    however that ends. A failed job is made anew `retries` times. `outputs` are values that every job gives (keys of the
    JSON object in its first pod's termination message): `run.result()` has them by "STEP.OUTPUT".
    """
    _check(name, make, axes, max_parallel)
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    jobs = _told_apart([_noted(make(**point), point) for point in points])
    lane = max_parallel or len(jobs)
    nodes = [
        Node(
            job,
            after=[jobs[place - lane].name] if place >= lane else [],
            after_ends=ENDS if place >= lane else [],
            retries=retries,
            outputs=outputs,
        )
        for place, job in enumerate(jobs)
    ]
    return Workflow(name, nodes)


def _check(name: str, make: Callable[..., Job], axes: Mapping[str, Sequence[Any]], parallel: int | None) -> None:
    """Refuse axes that `make` does not take, or that are no lists, with the line of the user's file."""
    found = [SpecError(axis, "must be a list of values") for axis, values in axes.items() if not _is_list(values)]
    found += [SpecError(axis, "has no values") for axis, values in axes.items() if _is_list(values) and not len(values)]
    if not axes:
        found.append(SpecError("axes", "are missing", None, "name at least one: lr=[1e-4, 3e-4]"))
    if parallel is not None and parallel < 1:
        found.append(SpecError("max_parallel", "must be at least 1", parallel))
    found += _strange_axes(make, axes)
    if found:
        raise refusal([(problem, f'sweep("{name}")', caller()) for problem in found], name)


def _is_list(values: Any) -> bool:
    return not isinstance(values, (str, bytes, Mapping)) and hasattr(values, "__len__") and hasattr(values, "__iter__")


def _strange_axes(make: Callable[..., Job], axes: Mapping[str, Any]) -> list[SpecError]:
    from inspect import signature

    called = signature(make)
    try:
        called.bind(**axes)
    except TypeError as problem:
        unknown = [axis for axis in axes if axis not in called.parameters]
        hint = did_you_mean(unknown[0], called.parameters) if unknown and called.parameters else ""
        return [SpecError("axes", str(problem), None, hint)]
    return []


def _noted(job: Any, point: Mapping[str, Any]) -> Job:
    if not isinstance(job, Job):
        raise TypeError(f"a sweep is made of jobs, and {dict(point)} made {type(job).__name__}")
    note = msgspec.json.encode(point, enc_hook=str).decode()
    return job.but(annotations={**job.annotations, PARAMETERS_NOTE: note})


def _told_apart(jobs: Sequence[Job]) -> list[Job]:
    """The jobs under names that are all different."""
    if len({job.name for job in jobs}) == len(jobs):
        return list(jobs)
    return [renamed(job, name=f"{job.name}-{place}") for place, job in enumerate(jobs)]
