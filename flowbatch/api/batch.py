"""batch.volcano.sh/v1alpha1 Job: Volcano's fields with Volcano's meaning, plus a few optional ones.

Fields that Volcano does not have carry `flowbatch` in their comment; on a cluster that serves Volcano's own CRD they
are refused by name (see `flowbatch.kube.schema`), never silently pruned.
"""

from datetime import datetime

from flowbatch.api.meta import JsonObject, ObjectMeta, Wire


class LifecyclePolicy(Wire, frozen=True, kw_only=True):
    """When `event` (or one of `events`, or `exit_code`) happens, do `action`, after `timeout` if there is one."""

    action: str = ""
    event: str = ""
    events: tuple[str, ...] = ()
    exit_code: int | None = None
    #: A Go duration ("10s", "1h30m").
    timeout: str | None = None


class NetworkTopologySpec(Wire, frozen=True, kw_only=True):
    """Which HyperNode tier must (hard) or should (soft) hold all members."""

    mode: str = "hard"
    highest_tier_allowed: int | None = None
    highest_tier_name: str | None = None


class RetryRules(Wire, frozen=True, kw_only=True):
    """flowbatch: how what a policy restarts is tried again; a task's rules stand in place of the job's.

    The n-th retry waits `backoff_seconds` times 2 to the n-1, at most `max_backoff_seconds`. New pods keep off nodes on
    which a pod of the job has failed. After an OOM kill the container asks for `memory_increase_percent` more, up to
    `memory_limit`, each time again.
    """

    backoff_seconds: int | None = None
    max_backoff_seconds: int | None = None
    avoid_failed_nodes: bool = False
    memory_increase_percent: int | None = None
    memory_limit: str | int | float | None = None


class DependsOn(Wire, frozen=True, kw_only=True):
    """Tasks that must run (or have succeeded) before this one starts; `iteration` is any or all."""

    name: tuple[str, ...] = ()
    iteration: str = ""
    #: flowbatch: how far they must have come: Running, Ready (Volcano's rule, the default) or Succeeded.
    status: str = ""


class PartitionPolicy(Wire, frozen=True, kw_only=True):
    """A task cut into equal partitions, each a gang of its own."""

    total_partitions: int = 0
    partition_size: int = 0
    min_partitions: int = 0
    network_topology: NetworkTopologySpec | None = None


class DataInput(Wire, frozen=True, kw_only=True):
    """flowbatch: something fetched from `url` to `path` before a pod's containers start; read-only there.

    `{index}`, `{task}` and `{job}` in the url are the pod's. A url that ends in `/` is a whole directory.
    `secret_name`: a Secret whose keys are the fetcher's environment. `digest` ("sha256:...") is what it must be.
    """

    name: str = ""
    url: str = ""
    path: str = ""
    digest: str = ""
    secret_name: str = ""


class DataOutput(Wire, frozen=True, kw_only=True):
    """flowbatch: what stands at `path` when the containers have ended is stored at `url`.

    A path that ends in `/` is a whole directory. `policy`: OnSuccess (the default) or Always.
    """

    name: str = ""
    path: str = ""
    url: str = ""
    policy: str = ""
    secret_name: str = ""


class TaskSpec(Wire, frozen=True, kw_only=True):
    """One role of a job: `replicas` pods made from `template` (a PodTemplateSpec, carried as plain JSON)."""

    name: str = ""
    replicas: int = 0
    min_available: int | None = None
    template: JsonObject = {}
    policies: tuple[LifecyclePolicy, ...] = ()
    topology_policy: str = ""
    max_retry: int | None = None
    depends_on: DependsOn | None = None
    partition_policy: PartitionPolicy | None = None
    #: flowbatch: in place of the job's.
    retry: RetryRules | None = None
    #: flowbatch: fetched before, stored after the containers of each pod; beside the job's.
    inputs: tuple[DataInput, ...] = ()
    outputs: tuple[DataOutput, ...] = ()


class VolumeSpec(Wire, frozen=True, kw_only=True):
    """A claim mounted into every container of every task: an existing one by name, or a new one from a spec."""

    mount_path: str = ""
    volume_claim_name: str = ""
    volume_claim: JsonObject | None = None


class JobSpec(Wire, frozen=True, kw_only=True):
    """batch.volcano.sh/v1alpha1 JobSpec."""

    scheduler_name: str = ""
    min_available: int | None = None
    tasks: tuple[TaskSpec, ...] = ()
    policies: tuple[LifecyclePolicy, ...] = ()
    plugins: dict[str, tuple[str, ...]] = {}
    queue: str = ""
    max_retry: int | None = None
    ttl_seconds_after_finished: int | None = None
    priority_class_name: str = ""
    min_success: int | None = None
    volumes: tuple[VolumeSpec, ...] = ()
    network_topology: NetworkTopologySpec | None = None
    running_estimate: str | None = None
    #: flowbatch: suspend as a level. Without it in the served schema, the annotation `flowbatch.dev/suspended`.
    suspend: bool = False
    #: flowbatch: how restarted pods are tried again, where the task does not say so itself.
    retry: RetryRules | None = None
    #: flowbatch: Failed when it has run so long, counted from its first Running and anew after a suspension.
    active_deadline_seconds: int | None = None
    #: flowbatch: deleted when it has been Aborted so long.
    ttl_seconds_after_suspended: int | None = None
    #: flowbatch: room held for tasks that a dependency holds back: All (the default), Peak or Phase.
    reservation_policy: str = ""
    #: flowbatch: fetched before, stored after the containers of every pod.
    inputs: tuple[DataInput, ...] = ()
    outputs: tuple[DataOutput, ...] = ()


class JobState(Wire, frozen=True, kw_only=True):
    """Where a job is in its life; `phase` is one of `flowbatch.workload.lifecycle.Phase`."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class JobCondition(Wire, frozen=True, kw_only=True):
    """One step of a job's history."""

    status: str = ""
    last_transition_time: datetime | None = None


class TaskState(Wire, frozen=True, kw_only=True):
    """How many pods of a task are in each pod phase."""

    phase: dict[str, int] = {}


class DataState(Wire, frozen=True, kw_only=True):
    """flowbatch: what became of one input or output. `state` is Fetched, Stored or Failed; `digest` is "sha256:..."."""

    name: str = ""
    task: str = ""
    index: int = 0
    url: str = ""
    state: str = ""
    bytes: int = 0
    digest: str = ""
    reason: str = ""
    message: str = ""


class JobStatus(Wire, frozen=True, kw_only=True):
    """batch.volcano.sh/v1alpha1 JobStatus."""

    state: JobState = JobState()
    min_available: int = 0
    task_status_count: dict[str, TaskState] = {}
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    terminating: int = 0
    unknown: int = 0
    #: Raised by each kill; pods of an older version are leftovers.
    version: int = 0
    retry_count: int = 0
    running_duration: str | None = None
    controlled_resources: dict[str, str] = {}
    conditions: tuple[JobCondition, ...] = ()
    #: flowbatch: inputs and outputs, one of all pods that have the same, by task, name and index.
    data: tuple[DataState, ...] = ()


class Job(Wire, frozen=True, kw_only=True):
    """batch.volcano.sh/v1alpha1 Job."""

    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()
