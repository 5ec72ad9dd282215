"""The words of a job's language: events, actions, phases' kin. As Literals for type checkers, as tuples for programs.

Volcano's spelling throughout (volcano.md 4.1). What only controllers say is kept apart: a user's policy may not.
"""

from typing import Literal, get_args

#: What a policy may wait for.
Event = Literal[
    "*",
    "PodFailed",
    "PodEvicted",
    "PodPending",
    "Unknown",
    "TaskCompleted",
    "TaskFailed",
    "JobUpdated",
]
#: What a policy may do.
Action = Literal[
    "AbortJob",
    "RestartJob",
    "RestartTask",
    "RestartPod",
    "RestartPartition",
    "TerminateJob",
    "CompleteJob",
    "ResumeJob",
]
#: What a Command may order.
Order = Literal[
    "AbortJob",
    "RestartJob",
    "RestartTask",
    "RestartPod",
    "RestartPartition",
    "TerminateJob",
    "CompleteJob",
    "ResumeJob",
    "SyncJob",
    "EnqueueJob",
    "SyncQueue",
    "OpenQueue",
    "CloseQueue",
]

EVENTS: tuple[str, ...] = get_args(Event)
ACTIONS: tuple[str, ...] = get_args(Action)
ORDERS: tuple[str, ...] = get_args(Order)

ANY_EVENT = "*"
POD_FAILED = "PodFailed"
POD_EVICTED = "PodEvicted"
POD_PENDING = "PodPending"
UNKNOWN = "Unknown"
TASK_COMPLETED = "TaskCompleted"
TASK_FAILED = "TaskFailed"
JOB_UPDATED = "JobUpdated"

#: The reason in the state of a job that is down because somebody suspended it, or its queue.
SUSPENDED_REASON = "Suspended"

TOPOLOGY_POLICIES = ("none", "best-effort", "restricted", "single-numa-node")
NETWORK_MODES = ("hard", "soft")
ITERATIONS = ("any", "all")
#: How far a task must have come for those that depend on it; the default is Volcano's rule.
RUNNING, READY, SUCCEEDED = "Running", "Ready", "Succeeded"
DEPENDENCY_STATUSES = (RUNNING, READY, SUCCEEDED)
#: Whether the claim of a workspace goes with its flow.
RETENTION_POLICIES = ("Delete", "Retain")
#: When an output is stored: if all containers of its pod succeeded, or however they ended.
OUTPUT_POLICIES = ("OnSuccess", "Always")
#: For which tasks room is held besides those that may start: all to come, as many as run at once at most, none.
ALL_PHASES, PEAK, ONE_PHASE = "All", "Peak", "Phase"
RESERVATION_POLICIES = (ALL_PHASES, PEAK, ONE_PHASE)
QUEUE_STATES = ("Open", "Closed")

CONCURRENCY_POLICIES = ("Allow", "Forbid", "Replace")
RETAIN_POLICIES = ("retain", "delete")
#: How a step of a flow ends, and so what another may wait for.
STEP_ENDS = ("Completed", "Failed", "Skipped")
STEP_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
#: What a probe may ask of a task's pods.
TASK_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Completed")

#: Volcano's default for jobs and tasks alike.
DEFAULT_MAX_RETRY = 3
DEFAULT_TASK_NAME = "default"
#: Largest number of pods that one job may ask for (Kueue caps at the same number).
MAX_REPLICAS = 1_000_000
MAX_INT32 = 2**31 - 1
