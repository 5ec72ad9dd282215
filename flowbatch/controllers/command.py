"""Commands that nobody will carry out: their target does not exist, or is none of ours.

The controllers of jobs and queues act on their own Commands and delete them afterwards, so that a crash in between
repeats an order rather than losing it. This one only clears away what is left, after a while: a client may create a
Command just before its target is seen here.
"""

import contextlib

from flowbatch.api.bus import Command
from flowbatch.api.kinds import COMMAND, JOB, QUEUE
from flowbatch.api.meta import OwnerReference
from flowbatch.controllers.caches import Caches
from flowbatch.controllers.recorder import Recorder
from flowbatch.controllers.runner import Runner
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.kube.client import Client
from flowbatch.kube.errors import Conflict, NotFound


class CommandController:
    """One key per Command."""

    def __init__(self, client: Client, caches: Caches, recorder: Recorder, settings: Settings) -> None:
        self._client = client
        self._caches = caches
        self._recorder = recorder
        self._settings = settings
        self.queue = WorkQueue()
        self.runner = Runner("command", self.queue, self.reconcile, lanes=1)
        caches.commands.on_change(self._changed)

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        await self.runner.run()

    def _changed(self, _old: Command | None, new: Command | None) -> None:
        if new is not None:
            self.queue.add_after(new.metadata.key, self._settings.orphan_command_s)

    async def reconcile(self, key: str) -> float | None:
        """Delete the Command if it has waited long enough for a target that is not there."""
        command = self._caches.commands.store.get(key)
        if command is None:
            return None
        if command.target is not None and self._exists(command, command.target):
            # Somebody will act on it, unless the target goes first.
            return self._settings.orphan_command_s
        wait_s = self._settings.orphan_command_s - self._age_s(command)
        if wait_s > 0:
            return wait_s
        target = command.target
        what = f"{target.kind} {target.name}" if target else "nothing"
        self._recorder.note(command, "Warning", "UnknownTarget", f"{command.action} is aimed at {what}: not found")
        meta = command.metadata
        with contextlib.suppress(NotFound, Conflict):
            await self._client.delete(COMMAND, meta.name, meta.namespace, uid=meta.uid)
        return None

    def _exists(self, command: Command, target: OwnerReference) -> bool:
        if target.kind == JOB.kind and target.api_version in ("", JOB.api_version):
            job = self._caches.jobs.store.get(f"{command.metadata.namespace}/{target.name}")
            return job is not None and target.uid in ("", job.metadata.uid)
        if target.kind == QUEUE.kind:
            queue = self._caches.queues.store.get(target.name)
            return queue is not None and target.uid in ("", queue.metadata.uid)
        return False

    def _age_s(self, command: Command) -> float:
        created = command.metadata.creation_timestamp
        return float("inf") if created is None else (self._settings.now() - created).total_seconds()
