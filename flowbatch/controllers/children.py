"""What belongs to a job: from the caches, and for kinds that are not watched from what was made or read on demand."""

from typing import Any

from msgspec.structs import replace

from flowbatch.api.batch import Job
from flowbatch.api.bus import Command
from flowbatch.api.core import Pod
from flowbatch.api.kinds import JOB, PERSISTENT_VOLUME_CLAIM, Kind
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.names import DEFAULT_QUEUE, ROOT_QUEUE
from flowbatch.controllers.caches import Caches, target_key
from flowbatch.controllers.effects import Effects
from flowbatch.controllers.keys import new_pair
from flowbatch.workload.expand import pod_group_name, wanted_claims
from flowbatch.workload.reconcile import Children, needs_keys
from flowbatch.workload.roles.contract import SshKeys
from flowbatch.workload.suspension import suspended

#: Phases in which a job may yet make pods that mount claims, or log in to each other.
_MAKING = ("", "Pending", "Restarting")


class ChildrenReader:
    """Gathers a job's children, and the keys that it needs to have more."""

    def __init__(self, caches: Caches, effects: Effects) -> None:
        self._caches = caches
        self._effects = effects
        effects.on_made = self._made
        #: Per job uid: (kind, name) -> uid of objects that exist and are not watched.
        self._present: dict[str, dict[tuple[str, str], str]] = {}
        self._keys: dict[str, SshKeys] = {}

    async def read(self, job: Job) -> Children:
        """Everything that `reconcile` wants to know. Raises ApiError, TransportError where it has to ask."""
        missing = await self._missing_claims(job) if job.spec.volumes and job.status.state.phase in _MAKING else ()
        seen = self.cached(job)
        return replace(seen, missing_claims=frozenset(missing)) if missing else seen

    def cached(self, job: Job) -> Children:
        """The same as far as the caches know it."""
        return replace(
            self.glance(job),
            queue=self._caches.queues.store.get(job.spec.queue or DEFAULT_QUEUE),
            present=dict(self._present.get(job.metadata.uid, {})),
            priorities={each.metadata.name: each.value for each in self._caches.priority_classes.store.values()},
        )

    def glance(self, job: Job) -> Children:
        """As much as it takes to see that nothing is to be done: asked of every job when the controllers start."""
        return Children(
            pod_group=self._caches.pod_groups.store.get(f"{job.metadata.namespace}/{pod_group_name(job)}"),
            pods=self._pods(job),
            commands=self._commands(job),
            suspended_queue=self._suspended_queue(job),
        )

    async def keys(self, job: Job) -> SshKeys | None:
        """A key pair for a job that needs one: the same for as long as its Secret could not be made."""
        if job.status.state.phase not in _MAKING or not needs_keys(job):
            self._keys.pop(job.metadata.uid, None)
            return None
        pair = self._keys.get(job.metadata.uid)
        if pair is None:
            pair = self._keys[job.metadata.uid] = SshKeys(*await new_pair())
        return pair

    def _suspended_queue(self, job: Job) -> str:
        """The nearest suspended queue above the job; parents that go round in a circle are an end too."""
        name, seen = job.spec.queue or DEFAULT_QUEUE, set[str]()
        while name and name not in seen:
            seen.add(name)
            queue = self._caches.queues.store.get(name)
            if queue is None:
                return ""
            if suspended(queue):
                return name
            name = queue.spec.parent or (ROOT_QUEUE if name != ROOT_QUEUE else "")
        return ""

    def _pods(self, job: Job) -> tuple[Pod, ...]:
        found = self._caches.pods.store.index("job", job.metadata.key)
        uid = job.metadata.uid
        return tuple([pod for pod in found if _belongs(pod, uid)])

    def _commands(self, job: Job) -> tuple[Command, ...]:
        if not len(self._caches.commands.store):
            return ()
        key = target_key(JOB.kind, job.metadata.namespace, job.metadata.name)
        found = self._caches.commands.store.index("target", key)
        return tuple(each for each in found if each.target and each.target.uid in ("", job.metadata.uid))

    async def _missing_claims(self, job: Job) -> list[str]:
        """Claims that the job counts on and that are not there. One that was found is taken to stay."""
        known = self._present.setdefault(job.metadata.uid, {})
        missing = []
        for name in wanted_claims(job):
            if (PERSISTENT_VOLUME_CLAIM.kind, name) in known:
                continue
            claim = await self._effects.read(PERSISTENT_VOLUME_CLAIM, name, job.metadata.namespace)
            if claim is None:
                missing.append(name)
            else:
                known[PERSISTENT_VOLUME_CLAIM.kind, name] = claim.metadata.uid
        return missing

    def _made(self, uid: str, kind: Kind[Any], meta: ObjectMeta) -> None:
        if not self._caches.watches(kind):
            self._present.setdefault(uid, {})[kind.kind, meta.name] = meta.uid

    def forget(self, uid: str) -> None:
        """The job is gone."""
        self._present.pop(uid, None)
        self._keys.pop(uid, None)


def _belongs(pod: Pod, uid: str) -> bool:
    """Whether its controller is the one with this uid: asked of every pod, so without anything in between."""
    for owner in pod.metadata.owner_references:
        if owner.controller:
            return owner.uid == uid
    return False
