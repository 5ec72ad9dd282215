"""Annotation and label keys, spelled once. Volcano's where Volcano has one, `flowbatch.dev/` where it has none."""

# Set on every pod of a job (volcano.md 3.1).
TASK_INDEX = "volcano.sh/task-index"
TASK_SPEC = "volcano.sh/task-spec"
JOB_NAME = "volcano.sh/job-name"
JOB_NAMESPACE = "volcano.sh/job-namespace"
QUEUE_NAME = "volcano.sh/queue-name"
JOB_VERSION = "volcano.sh/job-version"
JOB_RETRY_COUNT = "volcano.sh/job-retry-count"
TEMPLATE_UID = "volcano.sh/template-uid"
NUMA_TOPOLOGY_POLICY = "volcano.sh/numa-topology-policy"
PARTITION_ID = "volcano.sh/partition-id"
#: On pods and their owners, for the PodGroup that is made for them.
NETWORK_TOPOLOGY_MODE = "volcano.sh/network-topology-mode"
NETWORK_TOPOLOGY_HIGHEST_TIER = "volcano.sh/network-topology-highest-tier"
#: On a PodGroup: the lowest HyperNode that holds all of its members.
ALLOCATED_HYPER_NODE = "volcano.sh/job-allocated-hypernode"
JOB_FORWARDING = "volcano.sh/job-forwarding"
OUT_OF_SYNC = "volcano.sh/controller-out-of-sync"

# Copied from a job to its pods.
PREEMPTABLE = "volcano.sh/preemptable"
COOLDOWN_TIME = "volcano.sh/cooldown-time"
REVOCABLE_ZONE = "volcano.sh/revocable-zone"
JDB_MIN_AVAILABLE = "volcano.sh/jdb-min-available"
JDB_MAX_UNAVAILABLE = "volcano.sh/jdb-max-unavailable"

# On jobs that a CronJob or a JobFlow made.
CRON_SCHEDULED = "volcano.sh/cronjob-scheduled-timestamp"
CREATED_BY_TEMPLATE = "volcano.sh/createdByJobTemplate"
CREATED_BY_FLOW = "volcano.sh/createdByJobFlow"

# What people set.
#: On a PodGroup: how long its pods are going to run at most, from the job's `spec.runningEstimate`.
RUNNING_ESTIMATE = "flowbatch.dev/running-estimate"
SCORING_TYPE = "volcano.sh/resource-strategy-scoring-type"
SCORING_WEIGHTS = "volcano.sh/resource-strategy-weight"
SCORING_MARKS = (SCORING_TYPE, SCORING_WEIGHTS)
NODE_GROUP_LIMITS = "volcano.sh/nodegroup-resource-limits"
TASK_TOGETHER = "volcano.sh/task-topology-affinity"
TASK_APART = "volcano.sh/task-topology-anti-affinity"
TASK_ORDER = "volcano.sh/task-topology-task-order"
TASK_PRIORITY = "volcano.sh/task-priority"
GROUP_NAME = "scheduling.k8s.io/group-name"
VOLCANO_GROUP_NAME = "scheduling.volcano.sh/group-name"
SCHEDULING_QUEUE_NAME = "scheduling.volcano.sh/queue-name"
#: How long a gang may wait; the bare spelling is the older one.
SLA_WAITING_TIMES = ("sla-waiting-time", "volcano.sh/sla-waiting-time")
GROUP_MIN_MEMBER = "scheduling.volcano.sh/group-min-member"
GROUP_MIN_RESOURCES = "scheduling.volcano.sh/group-min-resources"
#: An annotation of a pod ("true"), and the scheduling gate that it then has until its queue has room for it.
QUEUE_ALLOCATION_GATE = "scheduling.volcano.sh/queue-allocation-gate"
CLOSED_BY_PARENT = "volcano.sh/closed-by-parent"
#: On a Queue, for the drf plugin: its path in a tree of its own ("root/a/b"), and the weights along it ("1/2/8").
HIERARCHY = "volcano.sh/hierarchy"
HIERARCHY_WEIGHTS = "volcano.sh/hierarchy-weights"

# flowbatch's own.
SUSPENDED = "flowbatch.dev/suspended"
#: On a Queue: closed as a level; "false" opens, without it Commands decide.
CLOSED = "flowbatch.dev/closed"
DECLARED_TASKS = "flowbatch.dev/declared-tasks"
#: On a Queue, as JSON, where the fields of the same meaning are not served.
BORROWING_LIMIT = "flowbatch.dev/borrowing-limit"
LENDING_LIMIT = "flowbatch.dev/lending-limit"
OWNER_LIMITS = "flowbatch.dev/limits"
#: On a Queue, written by the scheduler: what it has used, so that a restarted one remembers.
PAST_USE = "flowbatch.dev/past-use"
#: On a PodGroup: who asks, for limits per user.
USER = "flowbatch.dev/user"
#: On bindings, copied by the server to the pod: which leader placed it.
EPOCH = "flowbatch.dev/epoch"

#: On a job of a flow: its step, its place in the step's list, and which attempt it is.
FLOW_STEP = "flowbatch.dev/flow-step"
FLOW_ITEM = "flowbatch.dev/flow-item"
FLOW_ATTEMPT = "flowbatch.dev/flow-attempt"
#: On a flow, a token that differs each time: run the steps that failed once more.
ANEW = "flowbatch.dev/anew"
#: On a job of a flow that was suspended with it, and so is resumed with it.
SUSPENDED_BY_FLOW = "flowbatch.dev/suspended-by-flow"

#: The scheduler name of pods that flowbatch places; Volcano's own, so that its manifests work unchanged.
SCHEDULER_NAME = "volcano"
DEFAULT_QUEUE = "default"
ROOT_QUEUE = "root"
