"""One step of a workflow: a job, and what has to be before, around and after it.

Edges, retries and conditions belong to the workflow, never to the job: one Job can stand in many workflows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, TypedDict, Unpack

import msgspec
from msgspec.structs import force_setattr, replace

from flowbatch_dsl.chained import Chained
from flowbatch_dsl.frozen import freeze, sequence
from flowbatch_dsl.job import Job
from flowbatch_dsl.origin import caller, origin_of, remember
from flowbatch_dsl.task import Words

#: How a step may have ended.
End = Literal["Completed", "Failed", "Skipped"]
Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
#: What conditions compare with.
Scalar = str | int | float | bool


class When(msgspec.Struct, frozen=True):
    """`When("tune.loss", "Lt", [0.5])`: a condition on what an earlier step gave, in Kubernetes' selector words.

    In and NotIn compare text (a number by its JSON text), Gt and Lt one number; Exists is about there being a value.
    """

    source: str
    operator: Operator
    values: Sequence[Scalar] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "values", tuple(map(text_of, sequence(self.values, "When.values"))))


class Each(msgspec.Struct, frozen=True):
    """`Each([1, 2, 3])` or `Each(source="prep.shards")`: one job for each item of a list.

    The pods find their item, as JSON, in the environment variable FLOWBATCH_ITEM, and its place in the list in
    FLOWBATCH_ITEM_INDEX. At most `max_parallel` of the jobs run at once (all of them, if not given).
    """

    items: Sequence[Any] = ()
    source: str = ""
    max_parallel: int | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "items", freeze(sequence(self.items, "Each.items")))


class Output(msgspec.Struct, frozen=True):
    """`Output("loss")`: a value that the step gives to others.

    The termination message of one pod (of `task`, else of the first one) is a JSON object; its key `name` is the value.
    """

    name: str
    task: str = ""
    index: int = 0


class NodeChanges(TypedDict, total=False):
    """What `Node.but` may change: every field of a Node."""

    job: Job
    name: str
    after: Words
    after_ends: Sequence[End]
    retries: int
    backoff_s: int | None
    max_backoff_s: int | None
    when: Sequence[When]
    each: Each | Sequence[Any] | None
    inputs: Mapping[str, str]
    outputs: Sequence[Output | str]
    extra: Mapping[str, Any]


class _Headed(Chained, frozen=True):
    job: Job


class Node(_Headed, frozen=True, kw_only=True, dict=True):
    """`Node(job, after=["prep"], retries=2)`: a job's place in a workflow, where a plain Job says too little.

    `name` renames the job for this workflow. `after` are names of steps that must have ended, as `>>` says it too;
    `after_ends` which ends will do (Completed only, if not given; a clean-up step takes all three). `when` are
    conditions that must all hold, else the step is skipped. `each` makes one job for each item of a list. `inputs`
    names environment variables and the values ("STEP.OUTPUT", as JSON) that they get; `outputs` are the values that
    this step gives. A job that failed is made anew `retries` times, after `backoff_s` seconds, then twice as many, at
    most `max_backoff_s`.

    `extra` is the way to everything else: a partial entry of JobFlow's `spec.flows` (probes, patches), laid over what
    the other fields make.
    """

    name: str = ""
    after: Words = ()
    after_ends: Sequence[End] = ()
    retries: int = 0
    backoff_s: int | None = None
    max_backoff_s: int | None = None
    when: Sequence[When] = ()
    each: Each | Sequence[Any] | None = None
    inputs: Mapping[str, str] = {}
    outputs: Sequence[Output | str] = ()
    extra: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        remember(self, caller())
        for field in ("after", "after_ends", "when", "outputs"):
            force_setattr(self, field, sequence(getattr(self, field), f"Node.{field}"))
        for field in ("inputs", "extra"):
            force_setattr(self, field, freeze(getattr(self, field)))
        force_setattr(self, "outputs", tuple(Output(o) if isinstance(o, str) else o for o in self.outputs))
        if self.each is not None and not isinstance(self.each, Each):
            force_setattr(self, "each", Each(sequence(self.each, "Node.each")))
        if self.name and self.name != self.job.name:
            force_setattr(self, "job", renamed(self.job, name=self.name))
        force_setattr(self, "name", self.job.name)

    def but(self, **changes: Unpack[NodeChanges]) -> Self:
        """A copy with these fields changed."""
        if "job" in changes and "name" not in changes:
            changes["name"] = ""
        return replace(self, **changes)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every "STEP.OUTPUT" that this step needs, in the order of its fields."""
        each = (self.each.source,) if isinstance(self.each, Each) and self.each.source else ()
        return (*self.inputs.values(), *(condition.source for condition in self.when), *each)


def renamed(job: Job, **changes: str) -> Job:
    """A copy of `job` that remembers where the original was written."""
    copy = replace(job, **changes)
    remember(copy, origin_of(job))
    return copy


def text_of(value: Scalar) -> str:
    """`value` as conditions compare it: text as it is, everything else as its JSON text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
