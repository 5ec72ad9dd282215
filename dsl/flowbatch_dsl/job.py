"""A job: tasks that run as one gang, in one queue, under one set of policies."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack

from msgspec.structs import force_setattr, replace

from flowbatch_dsl.chained import Chained
from flowbatch_dsl.data import Fetch, Store
from flowbatch_dsl.frozen import freeze, sequence
from flowbatch_dsl.origin import caller, remember
from flowbatch_dsl.policies import On, Retry
from flowbatch_dsl.task import Task, Words

if TYPE_CHECKING:
    from flowbatch.api.meta import JsonObject
    from flowbatch_dsl.async_run import AsyncRun
    from flowbatch_dsl.clusters import ClusterLike
    from flowbatch_dsl.report import Report
    from flowbatch_dsl.run import Run

Reserve = Literal["", "All", "Peak", "Phase"]
#: Names of job plugins, or names with their flags.
Plugins = Words | Mapping[str, Words]


class JobChanges(TypedDict, total=False):
    """What `Job.but` may change: every field of a Job."""

    name: str
    tasks: Sequence[Task]
    namespace: str
    queue: str
    min_available: int | None
    plugins: Plugins
    on: Sequence[On]
    retries: int | None
    retry: Retry | None
    inputs: Sequence[Fetch]
    outputs: Sequence[Store]
    priority: str
    ttl_s: int | None
    suspended_ttl_s: int | None
    deadline_s: int | None
    reserve: Reserve
    min_success: int | None
    scheduler: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    extra: Mapping[str, Any]


class _Named(Chained, frozen=True):
    name: str


class Job(_Named, frozen=True, kw_only=True, dict=True):
    """`Job("lab", queue="ads", tasks=[Task(...), ...])`: a frozen value; nothing happens until `submit()`.

    `min_available` is the size of the gang: so many pods start together or none does (all of them, if not given).
    `plugins` are Volcano's job plugins (svc, ssh, env, mpi, tensorflow, pytorch), by name or with their flags.
    `retries` is maxRetry: the restart that reaches it fails the job instead (3, if not given); `retry` says how pods
    are tried again. `priority` names a PriorityClass. `ttl_s`: delete so many seconds after the end, `suspended_ttl_s`:
    of a suspension. `deadline_s`: fail once it has run so long. `min_success`: done once so many pods succeeded.
    `reserve`: for which tasks that wait `after` others room is held from the start: "All" (if not given), "Peak" (as
    many as run at the same time), "Phase" (none). `inputs` and `outputs` are those of every task.

    `extra` is the way to everything else: a partial Job manifest, merged (strategically) over what the other fields
    make; what it says about a field that Job or Task has is moved into that field.
    """

    tasks: Sequence[Task] = ()
    namespace: str = ""
    queue: str = "default"
    min_available: int | None = None
    plugins: Plugins = {}
    on: Sequence[On] = ()
    retries: int | None = None
    retry: Retry | None = None
    inputs: Sequence[Fetch] = ()
    outputs: Sequence[Store] = ()
    priority: str = ""
    ttl_s: int | None = None
    suspended_ttl_s: int | None = None
    deadline_s: int | None = None
    reserve: Reserve = ""
    min_success: int | None = None
    scheduler: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    extra: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        remember(self, caller())
        if self.retry == Retry():
            force_setattr(self, "retry", None)  # it says nothing
        for field in ("tasks", "on", "inputs", "outputs"):
            force_setattr(self, field, sequence(getattr(self, field), f"Job.{field}"))
        if not isinstance(self.plugins, Mapping):
            force_setattr(self, "plugins", dict.fromkeys(sequence(self.plugins, "Job.plugins"), ()))
        for field in ("plugins", "labels", "annotations", "extra"):
            force_setattr(self, field, freeze(getattr(self, field)))
        if self.extra:
            from flowbatch_dsl.reading import settle_job  # only where needed: it compiles

            settle_job(self)

    def but(self, **changes: Unpack[JobChanges]) -> Self:
        """A copy with these fields changed; the original never changes."""
        return replace(self, **changes)

    def manifests(self) -> "list[JsonObject]":
        """What `submit` would create, as plain JSON objects."""
        from flowbatch_dsl.manifest import job_manifest

        return [job_manifest(self)]

    def validate(self) -> "Report":
        """Every problem, with its path, the line of your file and what to do about it. Needs no cluster."""
        from flowbatch_dsl.report import check

        return check(self)

    def to_yaml(self) -> str:
        """The job as Kubernetes YAML, for `kubectl apply -f -` and for `from_yaml`."""
        from flowbatch_dsl.manifest import job_manifest
        from flowbatch_dsl.yamltext import dump

        return dump(job_manifest(self))

    @classmethod
    def from_yaml(cls, text: str, *, file: str = "<yaml>") -> "Job":
        """The job that `text` describes; whatever Job and Task have no field for is in `extra` and `Task.pod`.

        `file` is only shown in problems. Raises SpecErrors, with every path, for what cannot be kept.
        """
        from flowbatch_dsl.reading import read_job
        from flowbatch_dsl.yamltext import load

        return read_job(load(text, file))

    def submit(self, cluster: "ClusterLike | None" = None) -> "Run":
        """Create the job and return a handle on it. Blocks; works in scripts, notebooks and threads.

        `cluster` is a LocalCluster, a Cluster or a kubeconfig path; without it, the one open LocalCluster, else the
        kubeconfig's current context. Raises SpecErrors, and creates nothing, if the job has problems.
        """
        from flowbatch_dsl.run import submit

        return submit(self, cluster)

    async def asubmit(self, cluster: "ClusterLike | None" = None) -> "AsyncRun":
        """`submit` for async code: the handle has the same verbs, to be awaited."""
        from flowbatch_dsl.async_run import submit

        return await submit(self, cluster)

    def __str__(self) -> str:
        from flowbatch_dsl.display import job_text

        return job_text(self)

    def __rich__(self) -> str:
        from flowbatch_dsl.display import escape_markup, job_text

        return escape_markup(job_text(self))

    def _repr_html_(self) -> str:
        from flowbatch_dsl.display import job_html

        return job_html(self)
