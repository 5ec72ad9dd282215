"""Volumes of this machine for claims that ask for no particular one: what a provisioner and the binder do elsewhere.

Each claim without a storage class, or with ours, gets a folder, bound at once: all process nodes see the same files.
Claims of other classes are left alone. The folder goes with its claim, and all of them with the cluster.
"""

import shutil
from pathlib import Path
from typing import Final

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.columns import read
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.apiserver.store import Entry, Event
from flowbatch.embedded.controllers.worker import Worker

#: The class that stands for folders of this machine; a claim may name it, or no class at all.
CLASS: Final = "flowbatch-local"


class LocalVolumes:
    """Makes, binds and clears away volumes below `folder`."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.worker: Worker[str] = Worker(self._handle)

    async def run(self) -> None:
        """Bind until cancelled."""
        self._claims = self._server.rest.collection(self._resource("persistentvolumeclaims"))
        self._volumes = self._server.rest.collection(self._resource("persistentvolumes"))
        for entry in list(self._claims.entries.values()):
            self.worker.add(entry.key)
        stop = self._claims.listen(self._seen)
        try:
            await self.worker.run()
        finally:
            stop()

    def _resource(self, plural: str) -> Resource:
        found = self._server.registry.find("", "v1", plural)
        assert found is not None
        return found

    def _seen(self, event: Event) -> None:
        self.worker.add(event.key)
        if event.before is not None and (event.after is None or _uid(event.after) != _uid(event.before)):
            self._clear_away(event.before)

    def _handle(self, key: str) -> None:
        entry = self._claims.entries.get(key)
        if entry is None or "deletionTimestamp" in entry.obj["metadata"]:
            return
        name = read(entry.obj, "spec.volumeName") or ""
        if not name and read(entry.obj, "spec.storageClassName") in (None, CLASS):
            name = _name(entry)
            if name not in self._volumes.entries:
                self._server.create("v1", "PersistentVolume", self._volume(entry, name))
            spec = {**entry.obj["spec"], "volumeName": name}
            self._store("persistentvolumeclaims", entry, {**entry.obj, "spec": spec}, "")
            entry = self._claims.entries[key]
        if name == _name(entry) and read(entry.obj, "status.phase") != "Bound":
            volume = self._volumes.entries[name]
            self._store("persistentvolumes", volume, {**volume.obj, "status": {"phase": "Bound"}}, "status")
            spec = entry.obj["spec"]
            status = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": _capacity(entry)}
            self._store("persistentvolumeclaims", entry, {**entry.obj, "status": status}, "status")

    def _volume(self, claim: Entry, name: str) -> JsonObject:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        spec, metadata = claim.obj["spec"], claim.obj["metadata"]
        reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": metadata["uid"]}
        return {
            "metadata": {"name": name},
            "spec": {
                "capacity": _capacity(claim),
                "accessModes": spec.get("accessModes") or ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": spec.get("storageClassName") or "",
                "volumeMode": "Filesystem",
                "hostPath": {"path": str(folder)},
                "claimRef": {**reference, "namespace": metadata["namespace"], "name": metadata["name"]},
            },
        }

    def _clear_away(self, claim: Entry) -> None:
        name = _name(claim)
        if (volume := self._volumes.entries.get(name)) is not None:
            self._server.rest.delete_entry(self._resource("persistentvolumes"), volume, {})
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _store(self, plural: str, entry: Entry, changed: JsonObject, subresource: str) -> None:
        metadata = changed["metadata"]
        call = Call("update", self._resource(plural), metadata.get("namespace", ""), metadata["name"], subresource)
        self._server.rest.commit(call, entry, {**changed, "metadata": dict(metadata)})


def _uid(entry: Entry) -> str:
    return str(entry.obj["metadata"]["uid"])


def _name(claim: Entry) -> str:
    return f"pvc-{_uid(claim)}"


def _capacity(claim: Entry) -> JsonObject:
    asked: JsonObject = read(claim.obj, "spec.resources.requests") or {}
    return {"storage": asked.get("storage", "1Gi")}
