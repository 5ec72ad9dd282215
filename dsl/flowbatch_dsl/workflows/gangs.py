"""A whole job as a step of a flow: what needs many pods at once is written as a Job, and called as `gang(job)`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, overload

from flowbatch.workload.flow.values import unexpanded
from flowbatch_dsl.job import Job
from flowbatch_dsl.workflows.building import current, refuse
from flowbatch_dsl.workflows.node import Node, renamed
from flowbatch_dsl.workflows.promise import Promise, is_optional, source_of, step_of
from flowbatch_dsl.workflows.values import ValueRefused, encoded, plain

R = TypeVar("R")


@overload
def gang(job: Job, *after: object, inputs: Mapping[str, object] | None = None, retries: int = 0) -> None: ...
@overload
def gang(
    job: Job,
    *after: object,
    inputs: Mapping[str, object] | None = None,
    retries: int = 0,
    output: str,
    local: Callable[[], R],
) -> R: ...
def gang(
    job: Job,
    *after: object,
    inputs: Mapping[str, object] | None = None,
    retries: int = 0,
    output: str = "",
    local: Callable[[], Any] | None = None,
) -> Any:
    """`gang(mpi("hpl", [...]), data)`: in a flow that is built, `job` runs as a step, after the results it is given.

    `inputs` are environment variables of every container, as JSON: values, or results of other steps. `output` names a
    key of the JSON object in the first pod's termination message: that is the value of the call. In plain Python no job
    is run: `local` then gives the value, for tests; without an output, the call does nothing.
    """
    builder = current()
    if builder is None:
        return local() if local is not None else None
    values = dict(inputs or {})
    promises = {name: value for name, value in values.items() if isinstance(value, Promise)}
    earlier = [each for each in after if isinstance(each, Promise)]
    for promise in (*promises.values(), *earlier):
        builder.own(promise)
    node = Node(
        _with_env(job, {name: _known(value) for name, value in values.items() if not _is_sure(value)}),
        name=builder.name(job.name),
        after=[step_of(promise) for promise in earlier],
        inputs={name: source_of(promise) for name, promise in promises.items()},
        outputs=[output] if output else [],
        retries=retries,
    )
    return cast("Any", builder.add(node, [*promises.values(), *earlier], output))


def _is_sure(value: object) -> bool:
    """Whether the value is going to come from another step."""
    return isinstance(value, Promise) and not is_optional(value)


def _known(value: object) -> object:
    """The value as it is known now; None stands in for one that a step may owe because it was skipped."""
    return None if isinstance(value, Promise) else value


def _with_env(job: Job, values: Mapping[str, object]) -> Job:
    """`job` with values that are there already in the environment of every task."""
    if not values:
        return job
    try:
        env = {name: unexpanded(encoded(plain(value)).decode()) for name, value in values.items()}
    except ValueRefused as problem:
        refuse(f'gang("{job.name}")', "inputs", f"a value {problem}")
    changed = job.but(tasks=[task.but(env={**task.env, **env}) for task in job.tasks])
    return renamed(changed, name=job.name)
