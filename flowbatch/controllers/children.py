"""What belongs to a job, from the caches; and, for the kinds that are not watched, from what was made or read."""

from typing import Any

from flowbatch.api.batch import Job
from flowbatch.api.bus import Command
from flowbatch.api.core import Pod
from flowbatch.api.kinds import JOB, Kind
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.names import DEFAULT_QUEUE
from flowbatch.controllers.caches import Caches, target_key
from flowbatch.controllers.effects import Effects
from flowbatch.workload.reconcile import Children


class ChildrenReader:
    """Gathers a job's children."""

    def __init__(self, caches: Caches, effects: Effects) -> None:
        self._caches = caches
        self._effects = effects
        effects.on_made = self._made
        #: By job uid: (kind, name) of what exists and is not watched.
        self._present: dict[str, dict[tuple[str, str], str]] = {}

    async def read(self, job: Job) -> tuple[Children, None]:
        meta = job.metadata
        group = self._caches.pod_groups.store.get(f"{meta.namespace}/{meta.name}-{meta.uid}")
        queue = self._caches.queues.store.get(job.spec.queue or DEFAULT_QUEUE)
        present = self._present.get(meta.uid, {})
        return Children(group, self._pods(job), self._commands(job), queue, dict(present)), None

    def _pods(self, job: Job) -> tuple[Pod, ...]:
        found = self._caches.pods.store.index("job", job.metadata.key)
        return tuple(pod for pod in found if (own := pod.metadata.controller) and own.uid == job.metadata.uid)

    def _commands(self, job: Job) -> tuple[Command, ...]:
        key = target_key(JOB.kind, job.metadata.namespace, job.metadata.name)
        found = self._caches.commands.store.index("target", key)
        return tuple(each for each in found if each.target and each.target.uid in ("", job.metadata.uid))

    def _made(self, uid: str, kind: Kind[Any], meta: ObjectMeta) -> None:
        if not self._caches.watches(kind):
            self._present.setdefault(uid, {})[kind.kind, meta.name] = meta.uid

    def forget(self, uid: str) -> None:
        """The job is gone."""
        self._present.pop(uid, None)
