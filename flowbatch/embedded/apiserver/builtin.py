"""The built-in kinds, one line each. Adding a kind is adding a line (and its types to types.txt)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.columns import AGE, NAME, read
from flowbatch.embedded.apiserver.printers import COLUMNS
from flowbatch.embedded.apiserver.resources import Getter, Resource

#: group/version; then one kind a line: plural Kind [flags]. Flags: `cluster`, `status`, `scale`, `all` (category),
#: `plain` (no generation), `must-rv` (PUT needs a version), `put-creates`, `echo` (DELETE answers the object),
#: `sub=NAME`, `short=A,B`.
_TABLE = """
v1 core.v1
  pods Pod status all echo sub=binding,eviction,log short=po
  nodes Node cluster status plain short=no
  namespaces Namespace cluster status plain echo sub=finalize short=ns
  services Service status all plain echo put-creates short=svc
  configmaps ConfigMap plain short=cm
  secrets Secret plain
  events Event plain put-creates short=ev
  serviceaccounts ServiceAccount plain echo short=sa
  endpoints Endpoints plain put-creates short=ep
  persistentvolumeclaims PersistentVolumeClaim status plain echo short=pvc
  persistentvolumes PersistentVolume cluster status plain echo short=pv
  podtemplates PodTemplate echo put-creates
  resourcequotas ResourceQuota status plain echo short=quota
  limitranges LimitRange plain put-creates short=limits
  replicationcontrollers ReplicationController status scale all short=rc
apps/v1 apps.v1
  deployments Deployment status scale all short=deploy
  replicasets ReplicaSet status scale all short=rs
  statefulsets StatefulSet status scale all short=sts
  daemonsets DaemonSet status all short=ds
  controllerrevisions ControllerRevision plain
autoscaling/v1 autoscaling.v1
  horizontalpodautoscalers HorizontalPodAutoscaler status all plain short=hpa
batch/v1 batch.v1
  jobs Job status all
  cronjobs CronJob status all short=cj
scheduling.k8s.io/v1 scheduling.v1
  priorityclasses PriorityClass cluster short=pc
coordination.k8s.io/v1 coordination.v1
  leases Lease plain must-rv put-creates
policy/v1 policy.v1
  poddisruptionbudgets PodDisruptionBudget status must-rv short=pdb
networking.k8s.io/v1 networking.v1
  ingresses Ingress status short=ing
  ingressclasses IngressClass cluster
  networkpolicies NetworkPolicy short=netpol
rbac.authorization.k8s.io/v1 rbac.v1
  roles Role plain put-creates
  rolebindings RoleBinding plain put-creates
  clusterroles ClusterRole cluster plain put-creates
  clusterrolebindings ClusterRoleBinding cluster plain put-creates
storage.k8s.io/v1 storage.v1
  storageclasses StorageClass cluster plain echo short=sc
  csinodes CSINode cluster plain echo
  csidrivers CSIDriver cluster echo
  csistoragecapacities CSIStorageCapacity plain echo
  volumeattachments VolumeAttachment cluster status plain echo
discovery.k8s.io/v1 discovery.v1
  endpointslices EndpointSlice
node.k8s.io/v1 node.v1
  runtimeclasses RuntimeClass cluster plain
resource.k8s.io/v1 resource.v1
  deviceclasses DeviceClass cluster echo
  resourceclaims ResourceClaim status plain echo
  resourceclaimtemplates ResourceClaimTemplate plain echo
  resourceslices ResourceSlice cluster echo
apiextensions.k8s.io/v1 apiextensions.v1
  customresourcedefinitions CustomResourceDefinition cluster status short=crd,crds category=api-extensions echo
"""

_SELECTABLE = {
    "core.v1.Pod": "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
    "status.phase status.podIP status.nominatedNodeName",
    "core.v1.Node": "spec.unschedulable",
    "core.v1.Namespace": "status.phase",
    "core.v1.Secret": "type",
    "core.v1.Service": "spec.clusterIP spec.type",
    "core.v1.Event": "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
    "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent type",
    "core.v1.ReplicationController": "status.replicas",
    "apps.v1.ReplicaSet": "status.replicas",
    "batch.v1.Job": "status.successful",
    "resource.v1.ResourceSlice": "spec.nodeName spec.driver",
}
#: Booleans read "false" where unset, as in Kubernetes' own conversions.
_FLAGS = ("spec.unschedulable", "spec.hostNetwork")
_ZEROS = ("status.replicas", "status.successful")


def getter(path: str) -> Getter:
    """Reads a field selector's value from an object, as text."""

    def get(obj: JsonObject) -> str:
        value = read(obj, path)
        if value is None:
            return "false" if path in _FLAGS else "0" if path in _ZEROS else ""
        return str(value).lower() if isinstance(value, bool) else str(value)

    return get


def node_name(pod: JsonObject) -> str:
    """What pods are indexed by; written out because it runs on every pod event."""
    return pod["spec"].get("nodeName") or ""


def builtin_resources() -> Iterator[Resource]:
    """Every built-in resource."""
    group = version = package = ""
    for line in _TABLE.strip().splitlines():
        if not line.startswith(" "):
            api_version, package = line.split()
            group, _, version = api_version.rpartition("/")
            continue
        yield _resource(group, version, package, line.split())
    yield _events_view()


def _resource(group: str, version: str, package: str, words: Sequence[str]) -> Resource:
    plural, kind, *flags = words
    valued = dict(flag.split("=") for flag in flags if "=" in flag)
    subresources = {flag for flag in flags if flag in ("status", "scale")} | set(valued.get("sub", "").split(",")) - {
        ""
    }
    type_name = f"{package}.{kind}"
    selectable = {path: getter(path) for path in _SELECTABLE.get(type_name, "").split()}
    if type_name == "core.v1.Pod":
        selectable["spec.nodeName"] = node_name
    return Resource(
        group,
        version,
        kind,
        plural,
        namespaced="cluster" not in flags,
        short_names=tuple(valued["short"].split(",")) if "short" in valued else (),
        categories=("all",) if "all" in flags else tuple(valued.get("category", "").split()),
        subresources=frozenset(subresources),
        type_name=type_name,
        list_kind="EndpointsList" if kind == "Endpoints" else "",
        selectable=selectable,
        indexed_field="spec.nodeName" if kind == "Pod" else "",
        columns=COLUMNS.get(type_name, (NAME, AGE)),
        counts_generations="plain" not in flags,
        unconditional_update="must-rv" not in flags,
        create_on_update="put-creates" in flags,
        returns_deleted="echo" in flags,
    )


def _events_view() -> Resource:
    """events.k8s.io/v1: the same stored events under other field names."""
    core = _resource("", "v1", "core.v1", ["events", "Event", "plain", "put-creates", "short=ev"])
    regarding = {
        f"regarding.{name}": getter(f"involvedObject.{name}")
        for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    }
    others = {"reason": getter("reason"), "type": getter("type"), "reportingController": getter("reportingComponent")}
    return replace(
        core,
        group="events.k8s.io",
        type_name="events.v1.Event",
        storage=core.storage_name,
        selectable={**regarding, **others},
        inward=_event_inward,
        outward=_event_outward,
    )


_RENAMED = {
    "note": "message",
    "regarding": "involvedObject",
    "deprecatedCount": "count",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedSource": "source",
    "reportingController": "reportingComponent",
}
_BACK = {core: new for new, core in _RENAMED.items()}


def _event_inward(event: JsonObject) -> JsonObject:
    stored = {_RENAMED.get(key, key): value for key, value in event.items()}
    return {**stored, "apiVersion": "v1"}


def _event_outward(event: JsonObject) -> JsonObject:
    shown = {_BACK.get(key, key): value for key, value in event.items()}
    return {**shown, "apiVersion": "events.k8s.io/v1"}
