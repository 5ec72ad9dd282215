"""The fields of every kind that flowbatch checks, with their types: which names exist, and what stands there.

Job, PodGroup, Queue and Command are closed: a field that is not listed is a slip. Pod templates belong to Kubernetes
and are open; there only a near miss of a known name is refused.
"""

from flowbatch.workload.rules.shapes import Fields, Flag, ListOf, MapOf, Scalar, Shape, Text, Whole
from flowbatch.workload.vocabulary import MAX_INT32

ANY = Shape()
TEXT = Text()
TEXTS = ListOf(TEXT)
FLAG = Flag()
INT32 = Whole(MAX_INT32)
INT64 = Whole(2**63 - 1)
LABELS = MapOf(TEXT)
QUANTITIES = MapOf(Scalar())

METADATA = Fields(
    {
        "name": TEXT,
        "generateName": TEXT,
        "namespace": TEXT,
        "uid": TEXT,
        "resourceVersion": TEXT,
        "generation": INT64,
        "creationTimestamp": ANY,
        "deletionTimestamp": ANY,
        "deletionGracePeriodSeconds": INT64,
        "labels": LABELS,
        "annotations": LABELS,
        "ownerReferences": ListOf(
            Fields(
                {
                    "apiVersion": TEXT,
                    "kind": TEXT,
                    "name": TEXT,
                    "uid": TEXT,
                    "controller": FLAG,
                    "blockOwnerDeletion": FLAG,
                },
                nulls=True,
            )
        ),
        "finalizers": TEXTS,
        "managedFields": ANY,
        "selfLink": TEXT,
    },
    nulls=True,
)

ENV_VAR = Fields({"name": TEXT, "value": TEXT, "valueFrom": ANY}, strict=False, nulls=True)
PORT = Fields(
    {"name": TEXT, "containerPort": INT32, "hostPort": INT32, "protocol": TEXT, "hostIP": TEXT},
    strict=False,
    nulls=True,
)
RESOURCES = Fields({"requests": QUANTITIES, "limits": QUANTITIES, "claims": ANY}, strict=False, nulls=True)
VOLUME_MOUNT = Fields(
    {
        "name": TEXT,
        "mountPath": TEXT,
        "subPath": TEXT,
        "subPathExpr": TEXT,
        "readOnly": FLAG,
        "mountPropagation": TEXT,
        "recursiveReadOnly": TEXT,
    },
    strict=False,
    nulls=True,
)
CONTAINER = Fields(
    {
        "name": TEXT,
        "image": TEXT,
        "command": TEXTS,
        "args": TEXTS,
        "workingDir": TEXT,
        "env": ListOf(ENV_VAR),
        "envFrom": ListOf(ANY),
        "ports": ListOf(PORT),
        "resources": RESOURCES,
        "volumeMounts": ListOf(VOLUME_MOUNT),
        "restartPolicy": TEXT,
        "imagePullPolicy": TEXT,
        "tty": FLAG,
        "stdin": FLAG,
        "stdinOnce": FLAG,
        "terminationMessagePath": TEXT,
        "terminationMessagePolicy": TEXT,
    }
    | dict.fromkeys(
        ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "securityContext", "volumeDevices"), ANY
    )
    | dict.fromkeys(("resizePolicy", "restartPolicyRules"), ANY),
    strict=False,
    nulls=True,
)
_POD_OBJECTS = (
    "affinity",
    "dnsConfig",
    "ephemeralContainers",
    "hostAliases",
    "imagePullSecrets",
    "os",
    "readinessGates",
    "resourceClaims",
    "resources",
    "securityContext",
    "topologySpreadConstraints",
    "tolerations",
    "workloadRef",
)
POD_SPEC = Fields(
    {
        "containers": ListOf(CONTAINER),
        "initContainers": ListOf(CONTAINER),
        "volumes": ListOf(Fields({"name": TEXT}, strict=False, nulls=True)),
        "restartPolicy": TEXT,
        "nodeSelector": LABELS,
        "nodeName": TEXT,
        "schedulerName": TEXT,
        "serviceAccountName": TEXT,
        "serviceAccount": TEXT,
        "automountServiceAccountToken": FLAG,
        "hostNetwork": FLAG,
        "hostPID": FLAG,
        "hostIPC": FLAG,
        "hostUsers": FLAG,
        "hostname": TEXT,
        "hostnameOverride": TEXT,
        "subdomain": TEXT,
        "setHostnameAsFQDN": FLAG,
        "shareProcessNamespace": FLAG,
        "enableServiceLinks": FLAG,
        "dnsPolicy": TEXT,
        "priorityClassName": TEXT,
        "priority": INT32,
        "preemptionPolicy": TEXT,
        "runtimeClassName": TEXT,
        "terminationGracePeriodSeconds": INT64,
        "activeDeadlineSeconds": INT64,
        "overhead": QUANTITIES,
        "schedulingGates": ListOf(Fields({"name": TEXT}, strict=False)),
    }
    | dict.fromkeys(_POD_OBJECTS, ANY),
    strict=False,
    nulls=True,
)
POD_TEMPLATE = Fields({"metadata": METADATA, "spec": POD_SPEC}, strict=False, nulls=True)

NETWORK_TOPOLOGY = Fields({"mode": TEXT, "highestTierAllowed": INT32, "highestTierName": TEXT})
RETRY = Fields(
    {
        "backoffSeconds": INT32,
        "maxBackoffSeconds": INT32,
        "avoidFailedNodes": FLAG,
        "memoryIncreasePercent": INT32,
        "memoryLimit": Scalar(),
    }
)
POLICY = Fields({"action": TEXT, "event": TEXT, "events": TEXTS, "exitCode": INT32, "timeout": TEXT})
DATA_INPUT = Fields({"name": TEXT, "url": TEXT, "path": TEXT, "digest": TEXT, "secretName": TEXT})
DATA_OUTPUT = Fields({"name": TEXT, "path": TEXT, "url": TEXT, "policy": TEXT, "secretName": TEXT})
TASK = Fields(
    {
        "name": TEXT,
        "replicas": INT32,
        "minAvailable": INT32,
        "template": POD_TEMPLATE,
        "policies": ListOf(POLICY),
        "topologyPolicy": TEXT,
        "maxRetry": INT32,
        "dependsOn": Fields({"name": TEXTS, "iteration": TEXT, "status": TEXT}),
        "partitionPolicy": Fields(
            {
                "totalPartitions": INT32,
                "partitionSize": INT32,
                "minPartitions": INT32,
                "networkTopology": NETWORK_TOPOLOGY,
            }
        ),
        "retry": RETRY,
        "inputs": ListOf(DATA_INPUT),
        "outputs": ListOf(DATA_OUTPUT),
    }
)
VOLUME = Fields({"mountPath": TEXT, "volumeClaimName": TEXT, "volumeClaim": Fields(strict=False, nulls=True)})
JOB_SPEC = Fields(
    {
        "schedulerName": TEXT,
        "minAvailable": INT32,
        "tasks": ListOf(TASK),
        "policies": ListOf(POLICY),
        "plugins": MapOf(TEXTS, nulls=True),
        "queue": TEXT,
        "maxRetry": INT32,
        "ttlSecondsAfterFinished": INT32,
        "priorityClassName": TEXT,
        "minSuccess": INT32,
        "volumes": ListOf(VOLUME),
        "networkTopology": NETWORK_TOPOLOGY,
        "runningEstimate": TEXT,
        "suspend": FLAG,
        "retry": RETRY,
        "activeDeadlineSeconds": INT32,
        "ttlSecondsAfterSuspended": INT32,
        "reservationPolicy": TEXT,
        "inputs": ListOf(DATA_INPUT),
        "outputs": ListOf(DATA_OUTPUT),
    }
)
_CRON_TEMPLATE = Fields({"metadata": METADATA, "spec": JOB_SPEC}, nulls=True)
_TOP: dict[str, Shape] = {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, "status": ANY}
JOB = Fields({**_TOP, "spec": JOB_SPEC})

JOB_TEMPLATE = JOB
CRON_JOB = Fields(
    {
        **_TOP,
        "spec": Fields(
            {
                "schedule": TEXT,
                "timeZone": TEXT,
                "startingDeadlineSeconds": INT64,
                "concurrencyPolicy": TEXT,
                "suspend": FLAG,
                "jobTemplate": _CRON_TEMPLATE,
                "successfulJobsHistoryLimit": INT32,
                "failedJobsHistoryLimit": INT32,
            },
            nulls=True,
        ),
    }
)
_PROBE = Fields(
    {
        "httpGetList": ListOf(
            Fields(
                {
                    "taskName": TEXT,
                    "path": TEXT,
                    "port": INT32,
                    "httpHeader": Fields({"name": TEXT, "value": TEXT}),
                }
            )
        ),
        "tcpSocketList": ListOf(Fields({"taskName": TEXT, "port": INT32})),
        "taskStatusList": ListOf(Fields({"taskName": TEXT, "phase": TEXT})),
    }
)
FLOW = Fields(
    {
        "name": TEXT,
        "dependsOn": Fields({"targets": TEXTS, "probe": _PROBE, "states": TEXTS}),
        "patch": Fields({"jobSpec": Fields(strict=False)}),
        "jobTemplate": TEXT,
        "retry": Fields({"limit": INT32, "backoffSeconds": INT32, "maxBackoffSeconds": INT32}),
        "when": ListOf(Fields({"from": TEXT, "operator": TEXT, "values": TEXTS})),
        "forEach": Fields({"items": ListOf(ANY), "from": TEXT, "maxParallel": INT32}),
        "outputs": ListOf(Fields({"name": TEXT, "task": TEXT, "index": INT32})),
        "inputs": ListOf(Fields({"name": TEXT, "from": TEXT})),
    }
)
_WORKSPACE = Fields(
    {
        "mountPath": TEXT,
        "claimName": TEXT,
        "claim": Fields(strict=False, nulls=True),
        "retentionPolicy": TEXT,
    }
)
JOB_FLOW = Fields(
    {
        **_TOP,
        "spec": Fields({"flows": ListOf(FLOW), "jobRetainPolicy": TEXT, "suspend": FLAG, "workspace": _WORKSPACE}),
    }
)

DECLARED_TASK = Fields(
    {
        "name": TEXT,
        "count": INT32,
        "minimum": INT32,
        "requests": QUANTITIES,
        "nodeSelector": LABELS,
        "affinity": ANY,
        "tolerations": ANY,
        "topologySpreadConstraints": ANY,
        "labels": LABELS,
        "waitsFor": TEXTS,
        "takesOver": MapOf(INT32),
    }
)
SUB_GROUP = Fields(
    {
        "name": TEXT,
        "subGroupSize": INT32,
        "minSubGroups": INT32,
        "labelSelector": ANY,
        "matchLabelKeys": TEXTS,
        "networkTopology": NETWORK_TOPOLOGY,
    }
)
HYPER_NODE = Fields(
    {
        **_TOP,
        "spec": Fields(
            {
                "tier": INT32,
                "tierName": TEXT,
                "members": ListOf(
                    Fields(
                        {
                            "type": TEXT,
                            "selector": Fields(
                                {
                                    "exactMatch": Fields({"name": TEXT}),
                                    "regexMatch": Fields({"pattern": TEXT}),
                                    "labelMatch": ANY,
                                }
                            ),
                        }
                    )
                ),
            }
        ),
    }
)
NUMATOPOLOGY = Fields(
    {
        **_TOP,
        "spec": Fields(
            {
                "policies": MapOf(TEXT),
                "resReserved": MapOf(TEXT),
                "numares": MapOf(Fields({"allocatable": TEXT, "capacity": INT32}, strict=False)),
                "cpuDetail": MapOf(Fields({"numa": INT32, "socket": INT32, "core": INT32}, strict=False)),
                "gpuDetail": ANY,
                "podAllocations": ListOf(
                    Fields(
                        {
                            "uid": TEXT,
                            "name": TEXT,
                            "namespace": TEXT,
                            "containerAllocations": ListOf(
                                Fields({"name": TEXT, "allocations": MapOf(TEXT)}, strict=False)
                            ),
                        },
                        strict=False,
                    )
                ),
            },
            strict=False,
        ),
    }
)
POD_GROUP = Fields(
    {
        **_TOP,
        "spec": Fields(
            {
                "minMember": INT32,
                "minTaskMember": MapOf(INT32),
                "queue": TEXT,
                "priorityClassName": TEXT,
                "minResources": QUANTITIES,
                "networkTopology": NETWORK_TOPOLOGY,
                "subGroupPolicy": ListOf(SUB_GROUP),
                "declaredTasks": ListOf(DECLARED_TASK),
            }
        ),
    }
)
_GROUP_AFFINITY = Fields(
    {
        "requiredDuringSchedulingIgnoredDuringExecution": TEXTS,
        "preferredDuringSchedulingIgnoredDuringExecution": TEXTS,
    }
)
QUEUE = Fields(
    {
        **_TOP,
        "status": Fields({"state": TEXT}, strict=False, nulls=True),
        "spec": Fields(
            {
                "weight": INT32,
                "capability": QUANTITIES,
                "deserved": QUANTITIES,
                "guarantee": Fields({"resource": QUANTITIES}),
                "reclaimable": FLAG,
                "parent": TEXT,
                "priority": INT32,
                "type": TEXT,
                "affinity": Fields({"nodeGroupAffinity": _GROUP_AFFINITY, "nodeGroupAntiAffinity": _GROUP_AFFINITY}),
                "dequeueStrategy": TEXT,
                "extendClusters": ANY,
                "suspend": FLAG,
                "borrowingLimit": QUANTITIES,
                "lendingLimit": QUANTITIES,
                "limits": ListOf(
                    Fields({"namespaces": TEXTS, "users": TEXTS, "resources": QUANTITIES, "jobs": INT32}),
                ),
            }
        ),
    }
)
COMMAND = Fields(
    {
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": METADATA,
        "action": TEXT,
        "target": Fields(
            {
                "apiVersion": TEXT,
                "kind": TEXT,
                "name": TEXT,
                "uid": TEXT,
                "controller": FLAG,
                "blockOwnerDeletion": FLAG,
            },
            nulls=True,
        ),
        "reason": TEXT,
        "message": TEXT,
    }
)
