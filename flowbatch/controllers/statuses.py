"""Writing job statuses: only what changes, only when it must be, and never the same refused thing twice."""

from collections.abc import Callable

import structlog
from msgspec.structs import replace

from flowbatch.api.batch import Job, JobStatus
from flowbatch.api.kinds import JOB
from flowbatch.api.meta import JsonObject
from flowbatch.controllers.difference import wire_difference
from flowbatch.controllers.drafts import Drafts, may_wait
from flowbatch.controllers.effects import Effects, guarded
from flowbatch.controllers.settings import Settings
from flowbatch.errors import FlowbatchError
from flowbatch.workload import ledger

#: The longest piece of an error that is shown in a status.
MESSAGE_CHARS = 500

_log = structlog.get_logger(__name__)


def without_promises(before: JobStatus, wanted: JobStatus) -> JobStatus:
    """`wanted` as it may be written before its effects: it notes only support objects that `before` noted already."""
    noted = {name: note for name, note in before.controlled_resources.items() if name != ledger.KEY}
    return replace(wanted, controlled_resources=ledger.write(noted, ledger.read(wanted)))


class StatusWriter:
    """The status of every job between being computed and being on the server."""

    def __init__(self, effects: Effects, settings: Settings, monotonic: Callable[[], float]) -> None:
        self._effects = effects
        self.drafts = Drafts(settings, monotonic)
        #: What was said about a job whose effects failed, to be taken back when they succeed.
        self._blame: dict[str, str] = {}
        #: What the server did not keep of the last status (a schema that prunes): writing it again changes nothing.
        self._unkept: dict[str, JsonObject] = {}
        self.written = 0

    def current(self, job: Job) -> JobStatus:
        """The status to go on from: the draft if there is one, else what the server has."""
        return self.drafts.status(job.metadata.key, job.metadata.uid, job.status)

    def blamed(self, key: str, wanted: JobStatus, problem: FlowbatchError | None) -> JobStatus:
        """`wanted` with what is wrong as its message, or without an earlier one that no longer holds."""
        if problem is not None:
            message = str(problem)[:MESSAGE_CHARS]
            self._blame[key] = message
        elif wanted.state.message and wanted.state.message == self._blame.pop(key, None):
            message = ""
        else:
            return wanted
        return replace(wanted, state=replace(wanted.state, message=message))

    async def settle(self, job: Job, wanted: JobStatus, *, hurry: bool) -> float | None:
        """Write `wanted`, or keep it as a draft; gives the seconds for which it may be kept, None if it is written."""
        key = job.metadata.key
        missing = wire_difference(job.status, wanted)
        if not missing or missing == self._unkept.get(key):
            self.drafts.drop(key)
            return None
        if not hurry and may_wait(job.status, wanted):
            wait_s = self.drafts.keep(key, job.metadata.uid, job.status, wanted)
            if wait_s > 0:
                return wait_s
        await self.write(job, wanted)
        return None

    async def write(self, job: Job, wanted: JobStatus, *, exact: bool = False) -> None:
        """Patch the difference. `exact` refuses (Conflict) if the job is not what this was computed from."""
        key, meta = job.metadata.key, job.metadata
        missing = wire_difference(job.status, wanted)
        if not missing:
            return
        body = guarded({"status": missing}, meta.uid, meta.resource_version if exact else "")
        try:
            stored = await self._effects.patch(key, JOB, meta.name, meta.namespace, body, subresource="status")
        except BaseException:
            # What the server has now is not known: a draft made before this write would put back what it replaced.
            self.drafts.drop(key)
            raise
        self.written += 1
        self.drafts.written(key, job.status, wanted)
        self._note_unkept(key, wanted, stored)

    def _note_unkept(self, key: str, wanted: JobStatus, stored: Job | None) -> None:
        unkept = wire_difference(stored.status, wanted) if stored is not None else {}
        if not unkept:
            self._unkept.pop(key, None)
        elif self._unkept.get(key) != unkept:
            self._unkept[key] = unkept
            _log.warning("the server does not keep these status fields", job=key, fields=unkept)

    def forget(self, key: str) -> None:
        """The job is gone."""
        self.drafts.forget(key)
        self._blame.pop(key, None)
        self._unkept.pop(key, None)
