"""What a reconcile wants done to the cluster, as values: the controllers turn them into requests.

Everything is idempotent by construction: creates have deterministic names and an owner uid, deletes carry the uid of
what they mean, the status is a whole value of which only the difference is patched.
"""

from datetime import datetime
from typing import Literal

import msgspec

from flowbatch.api.batch import JobStatus
from flowbatch.api.meta import JsonObject


class Change(msgspec.Struct, frozen=True):
    """Base of the entries of `Changes`."""


class Create(Change, frozen=True):
    """Create this manifest. AlreadyExists is success if the existing object has the same controller uid."""

    manifest: JsonObject


class Patch(Change, frozen=True):
    """Merge-patch the object of this kind (its `Kind.kind` name) by name."""

    kind: str
    namespace: str
    name: str
    body: JsonObject
    uid: str = ""


class Delete(Change, frozen=True):
    """Delete the object only if it still has this uid; NotFound and a different uid are success."""

    kind: str
    namespace: str
    name: str
    uid: str
    grace_seconds: int | None = None
    foreground: bool = False


class Note(Change, frozen=True):
    """An Event on the job: seldom, never one per pod."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


class Changes(Change, frozen=True):
    """One reconcile's outcome. Order of effects: status first if `status_first`, then deletes, patches, creates.

    `status_first` is set when the status pays for an action (a retry is counted *before* pods are killed).
    """

    creates: tuple[Create, ...] = ()
    patches: tuple[Patch, ...] = ()
    deletes: tuple[Delete, ...] = ()
    #: The whole new status, or None where it does not change.
    status: JobStatus | None = None
    status_first: bool = False
    notes: tuple[Note, ...] = ()
    #: Reconcile again then even if nothing happens.
    wake_at: datetime | None = None

    @property
    def empty(self) -> bool:
        """Nothing to do: the job is settled."""
        return not (self.creates or self.patches or self.deletes or self.notes) and self.status is None
