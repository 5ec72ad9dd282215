"""The queue controller: states, counts and the cascade from parents to children, by `queue_state.judge`.

The scheduler writes `status.allocated` of the same objects; both patch only their own fields.
"""

import asyncio
import contextlib

from flowbatch.api.bus import Command
from flowbatch.api.kinds import QUEUE, manifest
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.names import DEFAULT_QUEUE, ROOT_QUEUE
from flowbatch.api.scheduling import PodGroup, Queue, QueueSpec
from flowbatch.controllers.caches import Caches, target_key
from flowbatch.controllers.effects import Effects, guarded
from flowbatch.controllers.expectations import Expectations
from flowbatch.controllers.queue_state import judge
from flowbatch.controllers.recorder import Recorder
from flowbatch.controllers.runner import Runner
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists
from flowbatch.workload.changes import Delete

#: The queues every cluster needs. Scheduler and controllers both make them, whoever comes first.
NEEDED = {
    ROOT_QUEUE: QueueSpec(weight=1, reclaimable=False),
    DEFAULT_QUEUE: QueueSpec(weight=1, reclaimable=True, parent=ROOT_QUEUE),
}


class QueueController:
    """One key per queue."""

    def __init__(self, client: Client, caches: Caches, recorder: Recorder, settings: Settings) -> None:
        self._client = client
        self._caches = caches
        self._recorder = recorder
        self._settings = settings
        self.queue = WorkQueue()
        self._expectations = Expectations(caches, self._monotonic, settings.lag_s)
        self._effects = Effects(client, self._expectations, limit=1)
        self.runner = Runner("queue", self.queue, self.reconcile, lanes=4, on_failure=self._tell)
        #: When counts of a queue may be written next.
        self._counts_at: dict[str, float] = {}
        caches.queues.on_change(self._queue_changed)
        caches.pod_groups.on_change(self._group_changed)
        caches.commands.on_change(self._command_changed)

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        for name in NEEDED:
            self.queue.add(name)
        await self.runner.run()

    # What to look at -----------------------------------------------------------------------------------------------

    def _queue_changed(self, old: Queue | None, new: Queue | None) -> None:
        present = new or old
        assert present is not None
        name = present.metadata.name
        if new is None:
            self._expectations.saw_gone(name, QUEUE, present.metadata)
        self.queue.add(name)
        if old is None or new is None or old.status.state != new.status.state:
            for child in self._caches.queues.store.index("parent", name):
                self.queue.add(child.metadata.name)

    def _group_changed(self, old: PodGroup | None, new: PodGroup | None) -> None:
        before, after = _place(old), _place(new)
        if before == after:
            return
        for place in {before, after} - {None}:
            assert place is not None
            self.queue.add_after(place[0], self._settings.settle_s)

    def _command_changed(self, _old: Command | None, new: Command | None) -> None:
        if new is not None and new.target is not None and new.target.kind == QUEUE.kind:
            self.queue.add(new.target.name)

    # Setting it right ----------------------------------------------------------------------------------------------

    async def reconcile(self, name: str) -> float | None:
        """Bring one queue to its verdict; Commands are deleted after what they asked for has been written."""
        if not self._expectations.settled(name):
            await self._effects.ask_overdue(name)
            return self._expectations.wait_s(name)
        queue = self._caches.queues.store.get(name)
        if queue is None:
            self._forget(name)
            await self._make_if_needed(name)
            return None
        commands = self._commands_for(queue)
        groups = self._caches.pod_groups.store.index("queue", name)
        verdict = judge(queue, self._caches.queues.store.get(queue.spec.parent), groups, commands)
        wait_s = 0.0 if verdict.urgent or commands else self._counts_wait_s(name)
        if verdict.status_patch and not verdict.object_patch and wait_s > 0:
            return wait_s
        for reason, message in verdict.notes:
            self._recorder.note(queue, "Warning", reason, message)
        await self._write(queue, verdict.object_patch, verdict.status_patch, status_first=verdict.status_first)
        for command in commands:
            meta = command.metadata
            await self._effects.delete(name, Delete("Command", meta.namespace, meta.name, meta.uid))
        return None

    async def _make_if_needed(self, name: str) -> None:
        spec = NEEDED.get(name)
        if spec is not None:
            with contextlib.suppress(AlreadyExists):
                await self._client.create(QUEUE, manifest(Queue(metadata=ObjectMeta(name=name), spec=spec)))

    async def _write(
        self, queue: Queue, object_patch: dict[str, object], status_patch: dict[str, object], *, status_first: bool
    ) -> None:
        name, uid = queue.metadata.name, queue.metadata.uid
        writes = [(object_patch, None), (status_patch, "status")]
        for body, subresource in reversed(writes) if status_first else writes:
            if body:
                await self._effects.patch(name, QUEUE, name, None, guarded(body, uid), subresource=subresource)
        if status_patch:
            self._counts_at[name] = self._monotonic() + self._settings.queue_delay_s

    def _commands_for(self, queue: Queue) -> list[Command]:
        found = self._caches.commands.store.index("target", target_key(QUEUE.kind, "", queue.metadata.name))
        meant = [each for each in found if each.target and each.target.uid in ("", queue.metadata.uid)]
        return sorted(meant, key=lambda each: (each.metadata.creation_timestamp is None, _age_key(each)))

    def _counts_wait_s(self, name: str) -> float:
        return max(0.0, self._counts_at.get(name, 0.0) - self._monotonic())

    def _forget(self, name: str) -> None:
        self._expectations.forget(name)
        self._counts_at.pop(name, None)

    def _tell(self, name: str, problem: Exception) -> None:
        queue = self._caches.queues.store.get(name)
        if queue is not None:
            self._recorder.note(queue, "Warning", "FailedSync", str(problem))

    @staticmethod
    def _monotonic() -> float:
        return asyncio.get_running_loop().time()


def _place(group: PodGroup | None) -> tuple[str, str] | None:
    """What of a PodGroup a queue counts: which queue, which phase."""
    return None if group is None else (group.spec.queue or DEFAULT_QUEUE, group.status.phase)


def _age_key(command: Command) -> tuple[str, int, str]:
    """Oldest first; Commands of the same second in the order in which the server stored them."""
    meta = command.metadata
    created = meta.creation_timestamp.isoformat() if meta.creation_timestamp else ""
    return created, int(meta.resource_version) if meta.resource_version.isdecimal() else 0, meta.name
