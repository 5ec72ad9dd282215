"""Claims to devices: made for pods from templates, and given back once nobody uses them any more.

What kube-controller-manager's resourceclaim controller does. Who gets which device is the scheduler's business.
"""

from typing import Final, NamedTuple

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.columns import read
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.apiserver.store import Entry, Event
from flowbatch.embedded.controllers.worker import Worker

#: On a claim that was made for a pod: for which entry of its spec.
ENTRY: Final = "resource.kubernetes.io/pod-claim-name"
#: Keeps an allocated claim until its devices are given back.
PROTECTION: Final = "resource.kubernetes.io/delete-protection"
#: Longest beginning of a made-up name: a random ending and a dash still have to fit into 63 characters.
_BEGINNING_CHARS = 57


class Item(NamedTuple):
    """A pod or a claim, by its key."""

    kind: str
    key: str


class DeviceClaims:
    """Makes and gives back claims; pods without any cost one look."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.worker: Worker[Item] = Worker(self._handle)
        #: Claims by the pod that uses them, whether or not either exists.
        self._used_by: dict[str, dict[str, None]] = {}
        #: Pods that wait for a template to come, by its key.
        self._waiting: dict[str, dict[str, None]] = {}

    async def run(self) -> None:
        """Make and give back until cancelled."""
        rest = self._server.rest
        self._pods = rest.collection(self._resource("", "pods"))
        self._claims = rest.collection(self._resource("resource.k8s.io", "resourceclaims"))
        self._templates = rest.collection(self._resource("resource.k8s.io", "resourceclaimtemplates"))
        for collection, seen in ((self._claims, self._seen_claim), (self._pods, self._seen_pod)):
            for entry in list(collection.entries.values()):
                seen(Event("ADDED", entry.version, None, entry))
        stops = [
            self._pods.listen(self._seen_pod),
            self._claims.listen(self._seen_claim),
            self._templates.listen(self._seen_template),
        ]
        try:
            await self.worker.run()
        finally:
            for stop in stops:
                stop()

    def _resource(self, group: str, plural: str) -> Resource:
        found = self._server.registry.find(group, "v1", plural)
        assert found is not None
        return found

    # ── what happens ──

    def _seen_pod(self, event: Event) -> None:
        pod = (event.after or event.before).obj  # type: ignore[union-attr]  # one of them is there
        if not read(pod, "spec.resourceClaims"):
            return
        if event.after is not None:
            self.worker.add(Item("pod", event.key))
        if event.after is None or _is_done(pod):
            for key in self._used_by.get(event.key, ()):
                self.worker.add(Item("claim", key))

    def _seen_claim(self, event: Event) -> None:
        namespace = event.key.partition("/")[0]
        for entry, there in ((event.before, False), (event.after, True)):
            for name in _users(entry.obj) if entry is not None else ():
                claims = self._used_by.setdefault(f"{namespace}/{name}", {})
                if there:
                    claims[event.key] = None
                elif claims.pop(event.key, True) is None and not claims:
                    del self._used_by[f"{namespace}/{name}"]
        if event.after is not None:
            self.worker.add(Item("claim", event.key))
        elif event.before is not None and (owner := _owner(event.before.obj)) is not None:
            self.worker.add(Item("pod", f"{namespace}/{owner['name']}"))

    def _seen_template(self, event: Event) -> None:
        for key in self._waiting.pop(event.key, ()):
            self.worker.add(Item("pod", key))

    def _handle(self, item: Item) -> None:
        if item.kind == "pod":
            self._make_claims(item.key)
        else:
            self._give_back(item.key)

    # ── claims for pods ──

    def _make_claims(self, key: str) -> None:
        """One for each entry that names a template, and their names on the pod."""
        entry = self._pods.entries.get(key)
        if entry is None or _is_done(entry.obj) or "deletionTimestamp" in entry.obj["metadata"]:
            return
        known = read(entry.obj, "status.resourceClaimStatuses") or []
        made = {each["name"]: each.get("resourceClaimName", "") for each in known}
        for wanted in read(entry.obj, "spec.resourceClaims") or ():
            if wanted.get("resourceClaimTemplateName"):
                name = self._claim_for(entry, wanted, made.get(wanted["name"], ""))
                if name:
                    made[wanted["name"]] = name
        statuses = [{"name": name, "resourceClaimName": claim} for name, claim in made.items()]
        if statuses != known:
            status = {**(entry.obj.get("status") or {}), "resourceClaimStatuses": statuses}
            self._store(self._resource("", "pods"), entry, {**entry.obj, "status": status}, "status")

    def _claim_for(self, pod: Entry, wanted: JsonObject, made: str) -> str:
        """The name of the pod's own claim, made now if need be; nothing while its template is missing."""
        namespace = pod.obj["metadata"]["namespace"]
        if made and f"{namespace}/{made}" in self._claims.entries:
            return made
        for key in self._used_by.get(pod.key, ()):
            claim = self._claims.entries[key].obj
            owner = _owner(claim)
            mine = owner is not None and owner["uid"] == pod.obj["metadata"]["uid"]
            if mine and (claim["metadata"].get("annotations") or {}).get(ENTRY) == wanted["name"]:
                return str(claim["metadata"]["name"])
        template_key = f"{namespace}/{wanted['resourceClaimTemplateName']}"
        template = self._templates.entries.get(template_key)
        if template is None:
            self._waiting.setdefault(template_key, {})[pod.key] = None
            return ""
        body = _claim_of(pod.obj, wanted["name"], template.obj)
        claim = self._server.create("resource.k8s.io/v1", "ResourceClaim", body, namespace)
        return str(claim["metadata"]["name"])

    # ── devices given back ──

    def _give_back(self, key: str) -> None:
        """Strike off those who use it no more; the last one takes the allocation along, and a pod's own claim."""
        entry = self._claims.entries.get(key)
        if entry is None:
            return
        reserved = read(entry.obj, "status.reservedFor") or []
        valid = [each for each in reserved if self._uses(entry, each)]
        dying = "deletionTimestamp" in entry.obj["metadata"]
        if len(valid) < len(reserved) or (dying and not valid):
            entry = self._without_users(entry, valid)
        if entry.key in self._claims.entries and not valid and not dying and self._is_useless(entry):
            options = {"preconditions": {"uid": entry.obj["metadata"]["uid"]}}
            self._server.rest.delete_entry(self._resource("resource.k8s.io", "resourceclaims"), entry, options)

    def _uses(self, claim: Entry, reference: JsonObject) -> bool:
        pod = self._pods.entries.get(f"{claim.obj['metadata']['namespace']}/{reference['name']}")
        return pod is not None and pod.obj["metadata"]["uid"] == reference["uid"] and not _is_done(pod.obj)

    def _without_users(self, entry: Entry, valid: list[JsonObject]) -> Entry:
        resource = self._resource("resource.k8s.io", "resourceclaims")
        status = {name: value for name, value in (entry.obj.get("status") or {}).items() if name != "reservedFor"}
        if valid:
            status["reservedFor"] = valid
        else:
            status.pop("allocation", None)
        self._store(resource, entry, {**entry.obj, "status": status}, "status")
        entry = self._claims.entries[entry.key]
        finalizers = entry.obj["metadata"].get("finalizers") or []
        if PROTECTION in finalizers and not status.get("allocation"):
            kept = [each for each in finalizers if each != PROTECTION]
            metadata = {key: value for key, value in entry.obj["metadata"].items() if key != "finalizers"}
            metadata |= {"finalizers": kept} if kept else {}
            self._store(resource, entry, {**entry.obj, "metadata": metadata}, "")
            entry = self._claims.entries.get(entry.key, entry)
        return entry

    def _is_useless(self, claim: Entry) -> bool:
        """It was made for a pod that will not run any more. One that is gone is the garbage collector's business."""
        owner = _owner(claim.obj)
        pod = self._pods.entries.get(f"{claim.obj['metadata']['namespace']}/{owner['name']}") if owner else None
        if owner is None or pod is None:
            return False
        return pod.obj["metadata"]["uid"] != owner["uid"] or _is_done(pod.obj)

    def _store(self, resource: Resource, entry: Entry, changed: JsonObject, subresource: str) -> None:
        metadata = dict(changed["metadata"])
        call = Call("update", resource, metadata["namespace"], metadata["name"], subresource)
        self._server.rest.commit(call, entry, {**changed, "metadata": metadata})


def _claim_of(pod: JsonObject, entry: str, template: JsonObject) -> JsonObject:
    """What is made from a template for one entry of a pod."""
    metadata, pattern = pod["metadata"], read(template, "spec.metadata") or {}
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "generateName": _beginning(metadata["name"], entry),
            "namespace": metadata["namespace"],
            "labels": pattern.get("labels") or {},
            "annotations": {**(pattern.get("annotations") or {}), ENTRY: entry},
            "ownerReferences": [owner],
        },
        "spec": read(template, "spec.spec") or {},
    }


def _beginning(pod: str, entry: str) -> str:
    """`pod-entry-`, both cut in proportion where that is too long."""
    whole = f"{pod}-{entry}-"
    if len(whole) <= _BEGINNING_CHARS:
        return whole
    part = _BEGINNING_CHARS / len(whole)
    return f"{pod[: int(len(pod) * part)]}-{entry[: int(len(entry) * part)]}-"


def _is_done(pod: JsonObject) -> bool:
    """It certainly runs nothing any more, and never will."""
    gone = "deletionTimestamp" in pod["metadata"] and not read(pod, "spec.nodeName")
    return gone or read(pod, "status.phase") in ("Succeeded", "Failed")


def _owner(claim: JsonObject) -> JsonObject | None:
    """The pod that it was made for."""
    owners: list[JsonObject] = claim["metadata"].get("ownerReferences") or []
    return next((each for each in owners if each.get("controller") and each["kind"] == "Pod"), None)


def _users(claim: JsonObject) -> list[str]:
    """Names of the pods that it is reserved for, or was made for."""
    names = [each["name"] for each in read(claim, "status.reservedFor") or ()]
    owner = _owner(claim)
    return [*names, owner["name"]] if owner is not None else names
