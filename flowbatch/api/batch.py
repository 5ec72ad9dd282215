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


class DependsOn(Wire, frozen=True, kw_only=True):
    """Tasks that must run (or have succeeded) before this one starts; `iteration` is any or all."""

    name: tuple[str, ...] = ()
    iteration: str = ""


class PartitionPolicy(Wire, frozen=True, kw_only=True):
    """A task cut into equal partitions, each a gang of its own."""

    total_partitions: int = 0
    partition_size: int = 0
    min_partitions: int = 0
    network_topology: NetworkTopologySpec | None = None


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


class Job(Wire, frozen=True, kw_only=True):
    """batch.volcano.sh/v1alpha1 Job."""

    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()
