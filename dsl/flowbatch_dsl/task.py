"""One role of a job: so many equal pods that run one command."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, TypedDict, Unpack

import msgspec
from msgspec.structs import force_setattr, replace

from flowbatch_dsl.data import Fetch, Store
from flowbatch_dsl.frozen import freeze, sequence
from flowbatch_dsl.origin import caller, remember
from flowbatch_dsl.policies import On, Retry
from flowbatch_dsl.resources import Resources

#: The image of a task that names none; local nodes do not pull images, they run this machine's files.
DEFAULT_IMAGE = "python:3"
#: The name of the container that runs the command.
MAIN = "main"

Words = list[str] | tuple[str, ...]
Restart = Literal["", "Never", "OnFailure", "Always"]
AfterStatus = Literal["", "Running", "Ready", "Succeeded"]


class TaskChanges(TypedDict, total=False):
    """What `Task.but` may change: every field of a Task."""

    name: str
    command: Words
    replicas: int
    min: int | None
    image: str
    resources: Resources
    env: Mapping[str, str]
    workdir: str
    after: Words
    iteration: Literal["", "any", "all"]
    after_status: AfterStatus
    on: Sequence[On]
    retry: Retry | None
    inputs: Sequence[Fetch]
    outputs: Sequence[Store]
    retries: int | None
    restart: Restart
    container: str
    pod: Mapping[str, Any]


class _Headed(msgspec.Struct, frozen=True):
    name: str
    command: Words = ()


class Task(_Headed, frozen=True, kw_only=True, dict=True):
    """`Task("worker", ["python", "train.py"], replicas=8)`: a frozen value; `but(...)` makes changed copies.

    `min` is how many pods must fit for the task to start (all of them, if not given). `after` names tasks that must
    run, or have succeeded, before this one starts; with `iteration="any"` one of them is enough, with
    `after_status="Succeeded"` they must have ended well, with "Running" they need not be ready. `retries` bounds
    restarts of containers in place, which happen only with `restart="OnFailure"` or "Always". `retry` says how pods
    that a policy restarts are tried again, in place of the job's. `inputs` are fetched before each pod's containers
    start, `outputs` stored when they have ended, beside the job's.

    `pod` is the way to everything else: a pod template in Kubernetes' own words, merged (strategically) over what the
    other fields make. What it says about a field that Task has is moved into that field, so that equal tasks compare
    equal however they were written. The main container is called "main" unless `container` says otherwise.
    """

    replicas: int = 1
    min: int | None = None
    image: str = DEFAULT_IMAGE
    resources: Resources = Resources()
    env: Mapping[str, str] = {}
    workdir: str = ""
    after: Words = ()
    iteration: Literal["", "any", "all"] = ""
    after_status: AfterStatus = ""
    on: Sequence[On] = ()
    retry: Retry | None = None
    inputs: Sequence[Fetch] = ()
    outputs: Sequence[Store] = ()
    retries: int | None = None
    restart: Restart = "Never"
    container: str = MAIN
    pod: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        remember(self, caller())
        if self.retry == Retry():
            force_setattr(self, "retry", None)  # it says nothing
        for field in ("command", "after", "on", "inputs", "outputs"):
            force_setattr(self, field, sequence(getattr(self, field), f"Task.{field}"))
        for field in ("env", "pod"):
            force_setattr(self, field, freeze(getattr(self, field)))
        if self.pod:
            from flowbatch_dsl.reading import settle_task  # only where needed: it compiles

            settle_task(self)

    def but(self, **changes: Unpack[TaskChanges]) -> Self:
        """A copy with these fields changed."""
        return replace(self, **changes)
