"""Realistic pods of a gang, as an API server sends them: about 5 kB of JSON each, managedFields included.

Modelled on what a Volcano MPI job leaves in the API server once it runs; names, uids, addresses and times differ from
pod to pod, containers and tolerations are those of the job's template.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import orjson

GANG_PODS = 100


def _time(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"2026-11-{1 + hour // 24 % 28:02d}T{hour % 24:02d}:{minute:02d}:{second:02d}Z"


def pod(number: int, phase: str = "Running", version: int = 0, size: int = GANG_PODS) -> dict[str, Any]:
    """The pod of that number, in a gang of `size`; `version` counts its later states."""
    gang, index = divmod(number, size)
    job = f"train-resnet-{gang:04d}"
    name, uid = f"{job}-worker-{index}", str(uuid.UUID(int=number * 2654435761 % 2**128 << 40 | number, version=4))
    created = gang * 7 + index // 20
    running = phase == "Running"
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": _metadata(name, job, gang, index, uid, created, number, version),
        "spec": _spec(name, job, index, number if running else None),
        "status": _status(number, created) if running else {"phase": "Pending", "qosClass": "Guaranteed"},
    }


def _metadata(
    name: str, job: str, gang: int, index: int, uid: str, created: int, number: int, version: int
) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/part-of": "vision",
        "volcano.sh/job-name": job,
        "volcano.sh/job-namespace": "team-vision",
        "volcano.sh/queue-name": "vision",
        "volcano.sh/task-index": str(index),
        "volcano.sh/task-spec": "worker",
    }
    group = f"{job}-{uuid.UUID(int=gang * 40503, version=4)}"
    annotations = {
        "scheduling.k8s.io/group-name": group,
        "volcano.sh/job-name": job,
        "volcano.sh/job-version": "0",
        "volcano.sh/queue-name": "vision",
        "volcano.sh/task-index": str(index),
        "volcano.sh/task-spec": "worker",
        "volcano.sh/template-uid": f"{job}-worker",
    }
    owner = {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "name": job,
        "uid": str(uuid.UUID(int=gang * 40503, version=4)),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": "team-vision",
        "uid": uid,
        "resourceVersion": str(1_000_000 + number + version * 1_000_000),
        "generation": 1,
        "creationTimestamp": _time(created),
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner],
        "managedFields": _managed(labels, annotations, created, version),
    }


def _managed(labels: dict[str, str], annotations: dict[str, str], created: int, version: int) -> list[dict[str, Any]]:
    metadata = {
        "f:annotations": {".": {}, **{f"f:{key}": {} for key in annotations}},
        "f:labels": {".": {}, **{f"f:{key}": {} for key in labels}},
        "f:ownerReferences": {".": {}},
    }
    container = {"f:command": {}, "f:env": {}, "f:image": {}, "f:name": {}, "f:ports": {}, "f:resources": {}}
    return [
        {
            "manager": "flowbatch",
            "operation": "Update",
            "apiVersion": "v1",
            "time": _time(created),
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": metadata, "f:spec": {'k:{"name":"worker"}': container, "f:schedulerName": {}}},
        },
        {
            "manager": "kubelet",
            "operation": "Update",
            "apiVersion": "v1",
            "time": _time(created + 9 + version),
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:status": {"f:conditions": {}, "f:containerStatuses": {}, "f:phase": {}, "f:podIP": {}}},
            "subresource": "status",
        },
    ]


def _spec(name: str, job: str, index: int, number: int | None) -> dict[str, Any]:
    hosts = ",".join(f"{job}-worker-{peer}.{job}" for peer in range(8))
    env = {
        "VC_WORKER_HOSTS": hosts,
        "VC_WORKER_NUM": str(GANG_PODS),
        "VC_TASK_INDEX": str(index),
        "VK_TASK_INDEX": str(index),
        "NCCL_DEBUG": "WARN",
        "OMP_NUM_THREADS": "8",
    }
    container = {
        "name": "worker",
        "image": "registry.example.com/vision/train:2026.11.3",
        "command": ["python", "-m", "train", "--config", "/etc/train/resnet.yaml"],
        "ports": [{"name": "mpi", "containerPort": 2222, "protocol": "TCP"}],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {
            "limits": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"},
            "requests": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"},
        },
        "volumeMounts": [
            {"name": "ssh", "mountPath": "/root/.ssh", "readOnly": True},
            {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    projected = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    expression = {"key": "accelerator", "operator": "In", "values": ["a100", "h100"]}
    node_affinity = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    }
    spec = {
        "volumes": [
            {"name": "ssh", "secret": {"secretName": f"{job}-ssh", "defaultMode": 384}},
            {"name": "kube-api-access", "projected": {"sources": projected, "defaultMode": 420}},
        ],
        "containers": [container],
        "restartPolicy": "OnFailure",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "nodeSelector": {"pool": "train"},
        "securityContext": {},
        "hostname": name,
        "subdomain": job,
        "affinity": {"nodeAffinity": node_affinity},
        "schedulerName": "volcano",
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            },
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            },
        ],
        "priorityClassName": "batch-high",
        "priority": 1000,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    return spec if number is None else {**spec, "nodeName": f"gpu-node-{number % 5000:05d}"}


def _status(number: int, created: int) -> dict[str, Any]:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    started, ready = _time(created + 2), _time(created + 8 + number % 5)
    times = {
        "PodReadyToStartContainers": ready,
        "Initialized": started,
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": started,
    }
    identity = uuid.UUID(int=number * 97, version=4).hex * 2
    return {
        "phase": "Running",
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": when, "observedGeneration": 1}
            for kind, when in times.items()
        ],
        "hostIP": f"192.168.{number % 5000 // 250}.{number % 250}",
        "hostIPs": [{"ip": f"192.168.{number % 5000 // 250}.{number % 250}"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": started,
        "containerStatuses": [
            {
                "name": "worker",
                "state": {"running": {"startedAt": ready}},
                "lastState": {},
                "ready": True,
                "restartCount": 0,
                "image": "registry.example.com/vision/train:2026.11.3",
                "imageID": f"registry.example.com/vision/train@sha256:{'9f' * 32}",
                "containerID": f"containerd://{identity}",
                "started": True,
            }
        ],
        "qosClass": "Guaranteed",
    }


def line(number: int, kind: str = "ADDED", phase: str = "Running", version: int = 0, size: int = GANG_PODS) -> bytes:
    """A watch line about that pod."""
    return orjson.dumps({"type": kind, "object": pod(number, phase, version, size)})


def lines(count: int, kind: str = "ADDED", phase: str = "Running", version: int = 0) -> Iterator[bytes]:
    """Watch lines about the first `count` pods."""
    return (line(number, kind, phase, version) for number in range(count))
