"""flow.volcano.sh/v1alpha1 JobFlow and JobTemplate: Volcano's fields, and what makes a flow of jobs a workflow.

Fields that Volcano does not have carry `flowbatch` in their comment; all of them are optional.
"""

from datetime import datetime
from typing import Any

from flowbatch.api.batch import JobSpec, TaskState
from flowbatch.api.meta import JsonObject, ObjectMeta, Wire


class HttpHeader(Wire, frozen=True, kw_only=True):
    """v1.HTTPHeader."""

    name: str = ""
    value: str = ""


class HttpGet(Wire, frozen=True, kw_only=True):
    """Every pod of the task answers a GET with a status from 200 to 399."""

    task_name: str = ""
    path: str = ""
    port: int = 0
    http_header: HttpHeader | None = None


class TcpSocket(Wire, frozen=True, kw_only=True):
    """Every pod of the task takes a connection."""

    task_name: str = ""
    port: int = 0


class TaskStatus(Wire, frozen=True, kw_only=True):
    """Every pod of the task is in this phase."""

    task_name: str = ""
    phase: str = ""


class Probe(Wire, frozen=True, kw_only=True):
    """What must be seen of the targets while they run; then they need not have ended."""

    http_get_list: tuple[HttpGet, ...] = ()
    tcp_socket_list: tuple[TcpSocket, ...] = ()
    task_status_list: tuple[TaskStatus, ...] = ()


class FlowDependsOn(Wire, frozen=True, kw_only=True):
    """The steps that a step waits for, and how they must have ended."""

    targets: tuple[str, ...] = ()
    probe: Probe | None = None
    #: flowbatch: which ends of the targets open the step: Completed, Failed, Skipped. Without any: Completed.
    states: tuple[str, ...] = ()


class FlowPatch(Wire, frozen=True, kw_only=True):
    """What this step changes in its template: lists of named things are merged by name, null takes away."""

    job_spec: JsonObject = {}


class StepRetry(Wire, frozen=True, kw_only=True):
    """flowbatch: run a step's job anew after it failed, `limit` times, each wait twice the one before."""

    limit: int = 0
    backoff_seconds: int = 0
    max_backoff_seconds: int | None = None


class StepCondition(Wire, frozen=True, kw_only=True):
    """flowbatch: what an output of an earlier step must be; operators as in a node selector."""

    #: STEP.OUTPUT
    from_: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class StepItems(Wire, frozen=True, kw_only=True):
    """flowbatch: one job for each of `items`, or of the list that an earlier step gives, `max_parallel` at once."""

    items: tuple[Any, ...] | None = None
    #: STEP.OUTPUT
    from_: str = ""
    max_parallel: int | None = None


class StepOutput(Wire, frozen=True, kw_only=True):
    """flowbatch: a key of the JSON object that one pod of the step leaves as its termination message."""

    name: str = ""
    #: The first task, if none is named.
    task: str = ""
    index: int = 0


class StepInput(Wire, frozen=True, kw_only=True):
    """flowbatch: an output of an earlier step, as JSON in an environment variable of every container."""

    name: str = ""
    #: STEP.OUTPUT
    from_: str = ""


class Flow(Wire, frozen=True, kw_only=True):
    """One step: a job made from a template when what it depends on has ended."""

    name: str = ""
    depends_on: FlowDependsOn | None = None
    patch: FlowPatch | None = None
    #: flowbatch: the JobTemplate; without it, the one of the step's own name.
    job_template: str = ""
    retry: StepRetry | None = None
    when: tuple[StepCondition, ...] = ()
    for_each: StepItems | None = None
    outputs: tuple[StepOutput, ...] = ()
    inputs: tuple[StepInput, ...] = ()


class FlowWorkspace(Wire, frozen=True, kw_only=True):
    """flowbatch: a volume that all jobs of the flow share, mounted into every container of theirs.

    A claim of `claim`'s spec is made with the flow, and deleted with it unless `retention_policy` is Retain; without
    `claim`, the one called `claim_name` is there already. A made one is called FLOW-workspace, if it has no name.
    """

    mount_path: str = ""
    claim_name: str = ""
    #: A PersistentVolumeClaimSpec, carried as plain JSON.
    claim: JsonObject | None = None
    #: Delete (the default) or Retain.
    retention_policy: str = ""


class JobFlowSpec(Wire, frozen=True, kw_only=True):
    """The steps, and what becomes of their jobs."""

    flows: tuple[Flow, ...] = ()
    #: retain or delete (once the flow has succeeded).
    job_retain_policy: str = ""
    #: flowbatch: no new steps, and the jobs that run are suspended.
    suspend: bool = False
    workspace: FlowWorkspace | None = None


class JobRunningHistory(Wire, frozen=True, kw_only=True):
    """From when to when a job was in a phase."""

    start_timestamp: datetime | None = None
    end_timestamp: datetime | None = None
    state: str = ""


class FlowJobStatus(Wire, frozen=True, kw_only=True):
    """One job of a flow, in Volcano's words."""

    name: str = ""
    state: str = ""
    start_timestamp: datetime | None = None
    end_timestamp: datetime | None = None
    restart_count: int = 0
    running_histories: tuple[JobRunningHistory, ...] = ()


class FlowCondition(Wire, frozen=True, kw_only=True):
    """The state of one job of a flow, by name, in Volcano's words."""

    phase: str = ""
    create_time: datetime | None = None
    running_duration: str | None = None
    task_status_count: dict[str, TaskState] = {}


class FlowState(Wire, frozen=True, kw_only=True):
    """Pending, Running, Succeed, Failed or Terminating."""

    phase: str = ""
    #: flowbatch: what keeps the flow from going on, or why it failed.
    reason: str = ""
    message: str = ""


class ItemCounts(Wire, frozen=True, kw_only=True):
    """flowbatch: the jobs of a step that runs over a list."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    running: int = 0
    #: Which items ended how, as ranges: "0-4,7".
    completed_indexes: str = ""
    failed_indexes: str = ""
    #: Attempts of the items that needed more than one.
    attempts: dict[str, int] = {}


class StepStatus(Wire, frozen=True, kw_only=True):
    """flowbatch: what has become of a step; a step that ended is never run again."""

    name: str = ""
    #: Waiting, Probing, Running, Completed, Failed or Skipped.
    state: str = ""
    attempts: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    reason: str = ""
    message: str = ""
    outputs: JsonObject = {}
    items: ItemCounts | None = None
    #: When the next attempt is due, or an attempt that failed was: a timer that outlives its controller.
    retry_time: datetime | None = None


class JobFlowStatus(Wire, frozen=True, kw_only=True):
    """flow.volcano.sh/v1alpha1 JobFlowStatus."""

    pending_jobs: tuple[str, ...] = ()
    running_jobs: tuple[str, ...] = ()
    failed_jobs: tuple[str, ...] = ()
    completed_jobs: tuple[str, ...] = ()
    terminated_jobs: tuple[str, ...] = ()
    #: Volcano's spelling.
    un_know_jobs: tuple[str, ...] = ()
    job_status_list: tuple[FlowJobStatus, ...] = ()
    conditions: dict[str, FlowCondition] = {}
    state: FlowState = FlowState()
    #: flowbatch: in the order of `spec.flows`.
    steps: tuple[StepStatus, ...] = ()
    #: flowbatch: the last wish to run failed steps once more (annotation flowbatch.dev/anew) that was heard.
    anew: str = ""


class JobFlow(Wire, frozen=True, kw_only=True):
    """flow.volcano.sh/v1alpha1 JobFlow."""

    metadata: ObjectMeta = ObjectMeta()
    spec: JobFlowSpec = JobFlowSpec()
    status: JobFlowStatus = JobFlowStatus()


class JobTemplateStatus(Wire, frozen=True, kw_only=True):
    """Which jobs were made from the template."""

    job_depends_on_list: tuple[str, ...] = ()


class JobTemplate(Wire, frozen=True, kw_only=True):
    """flow.volcano.sh/v1alpha1 JobTemplate: the spec of a Job, for the steps of flows."""

    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec = JobSpec()
    status: JobTemplateStatus = JobTemplateStatus()
