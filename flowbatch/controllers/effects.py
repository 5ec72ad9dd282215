"""Orders out: the `Changes` of one reconcile as requests, each safe to repeat.

Creates have deterministic names, so AlreadyExists is answered by a look at the owner; deletes carry the uid they mean;
patches carry the uid they were computed from. A write without an answer is resolved by reading, and whatever was
written is expected in the cache before its owner is reconciled again.
"""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from flowbatch.api.kinds import KINDS, POD, Kind
from flowbatch.api.meta import JsonObject, ObjectMeta, OwnerReference, Wire
from flowbatch.controllers.bounded import each
from flowbatch.controllers.expectations import Expectations, metadata_of
from flowbatch.errors import FlowbatchError
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound, TransportError
from flowbatch.workload.changes import Create, Delete, Patch

T = TypeVar("T", bound=Wire)

_BY_NAME: dict[str, Kind[Any]] = {kind.kind: kind for kind in KINDS}
_BY_VERSION: dict[tuple[str, str], Kind[Any]] = {(kind.api_version, kind.kind): kind for kind in KINDS}


class ForeignObject(FlowbatchError):
    """A name that we need is taken by an object of somebody else; it is never adopted, changed or deleted."""

    def __init__(self, kind: str, key: str, owner: OwnerReference | None) -> None:
        belongs = f"belongs to {owner.kind} {owner.name}" if owner else "has no controller"
        super().__init__(f"{kind} {key} exists already and {belongs}")
        self.kind, self.key = kind, key


class Effects:
    """Applies creates, patches and deletes on behalf of an owner, whose key the expectations go by."""

    def __init__(self, client: Client, expectations: Expectations, limit: int) -> None:
        self._client = client
        self._expectations = expectations
        self._limit = limit
        self.writes = 0
        #: Told of every object made or found: the uid of its controller, its kind, its metadata.
        self.on_made: Callable[[str, Kind[Any], ObjectMeta], None] | None = None

    async def create_all(self, owner: str, owner_uid: str, creates: tuple[Create, ...]) -> None:
        """Make every object. Raises ForeignObject, ApiError, TransportError."""

        async def make(create: Create) -> None:
            await self.create(owner, owner_uid, kind_of_manifest(create.manifest), create.manifest)

        # Pods last: they mount, and resolve through, what else there is to make.
        await each((create for create in creates if create.manifest["kind"] != POD.kind), make, self._limit)
        await each((create for create in creates if create.manifest["kind"] == POD.kind), make, self._limit)

    async def create(self, owner: str, owner_uid: str, kind: Kind[T], manifest: JsonObject) -> T:
        """Make one object, or find it made already. `owner_uid` is the controller that it must have."""
        self.writes += 1
        try:
            made = await self._client.create(kind, manifest)
        except (AlreadyExists, TransportError) as problem:
            made = await self._existing(kind, manifest, problem)
            _refuse_foreign(kind, _meta(made), manifest, owner_uid)
        meta = _meta(made)
        self._expectations.written(owner, kind, meta)
        if self.on_made is not None:
            self.on_made(owner_uid, kind, meta)
        return made

    async def _existing(self, kind: Kind[T], manifest: JsonObject, problem: ApiError | TransportError) -> T:
        """The object under the name of `manifest`; without one, creating it failed and `problem` says why."""
        try:
            return await self._client.get(kind, manifest["metadata"]["name"], manifest["metadata"].get("namespace"))
        except NotFound:
            raise problem from None

    async def delete_all(self, owner: str, deletes: tuple[Delete, ...]) -> None:
        """Ask for the end of every object."""
        await each(deletes, lambda delete: self.delete(owner, delete), self._limit)

    async def delete(self, owner: str, delete: Delete) -> None:
        """Ask for the end of one object; already gone, or replaced by a namesake, is as good."""
        kind = kind_named(delete.kind)
        namespace = delete.namespace or None
        self.writes += 1
        # NotFound or Conflict: the cache is behind and what we meant is gone. The watch will say so.
        with contextlib.suppress(NotFound, Conflict):
            await self._client.delete(
                kind,
                delete.name,
                namespace,
                uid=delete.uid,
                grace_seconds=delete.grace_seconds,
                propagation="Foreground" if delete.foreground else "Background",
            )
        key = f"{namespace}/{delete.name}" if namespace else delete.name
        self._expectations.deleted(owner, kind, key, delete.uid)

    async def patch_all(self, owner: str, patches: tuple[Patch, ...]) -> None:
        """Send every merge patch, in order."""
        for patch in patches:
            await self.patch(
                owner, kind_named(patch.kind), patch.name, patch.namespace or None, guarded(patch.body, patch.uid)
            )

    async def patch(
        self,
        owner: str,
        kind: Kind[T],
        name: str,
        namespace: str | None,
        body: JsonObject,
        subresource: str | None = None,
    ) -> T | None:
        """Send one merge patch; gives the object as stored, or None if it is gone. Raises Conflict, ApiError."""
        self.writes += 1
        try:
            stored = await self._client.patch(kind, name, body, namespace, subresource=subresource)
        except NotFound:
            return None
        except Invalid as problem:
            if any(cause.get("field") == "metadata.uid" for cause in problem.causes):
                # A namesake has taken its place, which some servers call a bad patch.
                raise Conflict(409, "Conflict", problem.message) from None
            raise
        except TransportError:
            # Unknown outcome: whatever the server has now is what the cache must show before we decide again.
            await self._expect_live(owner, kind, name, namespace)
            raise
        self._expectations.written(owner, kind, _meta(stored))
        return stored

    async def read(self, kind: Kind[T], name: str, namespace: str | None) -> T | None:
        """The object as the server has it now, or None."""
        try:
            return await self._client.get(kind, name, namespace)
        except NotFound:
            return None

    async def _expect_live(self, owner: str, kind: Kind[Any], name: str, namespace: str | None) -> None:
        try:
            live = await self._client.get(kind, name, namespace)
        except (ApiError, TransportError):
            return
        self._expectations.written(owner, kind, _meta(live))

    async def ask_overdue(self, owner: str) -> None:
        """Ask the server about writes of `owner` that the cache has not shown in time."""
        for expected in self._expectations.overdue(owner):
            namespace, _, name = expected.key.rpartition("/")
            live = await self.read(expected.kind, name, namespace or None)
            self._expectations.answer(owner, expected, metadata_of(live))


def _refuse_foreign(kind: Kind[Any], found: ObjectMeta, wanted: JsonObject, owner_uid: str) -> None:
    """Raise unless `found` belongs to the owner: Conflict if it is about to go, ForeignObject if it is here to stay."""
    if any(owner.uid == owner_uid for owner in found.owner_references):
        return
    controller = found.controller
    predecessors = [(each["kind"], each["name"]) for each in wanted["metadata"].get("ownerReferences", ())]
    # Left by a deleted namesake of the owner: the garbage collector is on its way.
    left = controller is not None and (controller.kind, controller.name) in predecessors
    if left or found.deletion_timestamp is not None:
        raise Conflict(409, "AlreadyExists", f"{kind.kind} {found.key} of an earlier owner is still being deleted")
    raise ForeignObject(kind.kind, found.key, controller)


def guarded(body: JsonObject, uid: str, resource_version: str = "") -> JsonObject:
    """`body` as a patch that only the object with this uid (and version, if given) accepts."""
    metadata = dict(body.get("metadata", {}))
    if uid:
        metadata["uid"] = uid
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return {**body, "metadata": metadata} if metadata else body


def kind_named(name: str) -> Kind[Any]:
    """The Kind called `name`."""
    return _BY_NAME[name]


def kind_of_manifest(manifest: JsonObject) -> Kind[Any]:
    """The Kind that a manifest names."""
    return _BY_VERSION[manifest["apiVersion"], manifest["kind"]]


def _meta(value: Wire) -> ObjectMeta:
    meta = metadata_of(value)
    assert meta is not None, value
    return meta
