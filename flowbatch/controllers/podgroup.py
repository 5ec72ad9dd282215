"""The PodGroup controller: pods that ask for our scheduler and belong to no gang get one, so that they are scheduled.

One key per pod. The PodGroup comes first and the pod's annotation after it: a pod never names a group that is not
there. Both are owned from above, so the garbage collector clears them away.
"""

import asyncio

from flowbatch.api.core import Pod
from flowbatch.api.kinds import POD, POD_GROUP
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.names import GROUP_NAME
from flowbatch.controllers.caches import Caches, group_of_pod
from flowbatch.controllers.effects import Effects, guarded
from flowbatch.controllers.expectations import Expectations
from flowbatch.controllers.owners import Owners
from flowbatch.controllers.pod_group_manifest import group_name, pod_group, renewal, stated
from flowbatch.controllers.recorder import Recorder
from flowbatch.controllers.runner import Runner
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.kube.client import Client
from flowbatch.workload.changes import Delete

#: An owner's group without pods is looked at after this long: a rolling update may be between two pods.
EMPTY_GROUP_S = 10.0
#: A group that was made or found this long ago is taken to exist still.
TRUSTED_S = 30.0
_OVER = ("Succeeded", "Failed")


class PodGroupController:
    """Groups bare pods and pods of foreign controllers."""

    def __init__(self, client: Client, caches: Caches, recorder: Recorder, settings: Settings) -> None:
        self._client = client
        self._caches = caches
        self._recorder = recorder
        self._owners = Owners(client)
        self.queue = WorkQueue()
        self.empty = WorkQueue()
        self._expectations = Expectations(caches, self._monotonic, settings.lag_s)
        self._effects = Effects(client, self._expectations, limit=1)
        self.runner = Runner("podgroup", self.queue, self.reconcile, settings.lanes, on_failure=self._tell)
        self.sweeper = Runner("podgroup-empty", self.empty, self.sweep, lanes=1)
        #: Groups that existed a moment ago, so that the 5,000 pods of one owner do not each try to create theirs.
        self._made: dict[str, float] = {}
        for informer in caches.bare_pods:
            informer.on_change(self._pod_changed)

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.runner.run())
            group.create_task(self.sweeper.run())

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None:
            if needs_group(new):
                self.queue.add(new.metadata.key)
            return
        assert old is not None
        self._expectations.saw_gone(old.metadata.key, POD, old.metadata)
        self._expectations.forget(old.metadata.key)
        if group_of_pod(old) == group_name(old):
            key = f"{old.metadata.namespace}/{group_name(old)}"
            if not self._members(key):
                self._made.pop(key, None)
                if old.metadata.controller is not None:
                    self.empty.add_after(key, EMPTY_GROUP_S)

    async def reconcile(self, key: str) -> float | None:
        """Make sure that the pod under `key` names a PodGroup, and that this exists."""
        if not self._expectations.settled(key):
            await self._effects.ask_overdue(key)
            return self._expectations.wait_s(key)
        pod = self._pod(key)
        if pod is None or not needs_group(pod):
            return None
        name = group_name(pod)
        await self._ensure(pod, f"{pod.metadata.namespace}/{name}")
        body = guarded({"metadata": {"annotations": {GROUP_NAME: name}}}, pod.metadata.uid)
        await self._effects.patch(key, POD, pod.metadata.name, pod.metadata.namespace, body)
        return None

    async def _ensure(self, pod: Pod, group_key: str) -> None:
        if self._made.get(group_key, 0.0) > self._monotonic() - TRUSTED_S:
            return
        owners: list[ObjectMeta] = [owner.metadata async for owner in self._owners.chain(pod.metadata)]
        namespace = self._caches.namespaces.store.get(pod.metadata.namespace)
        wanted = pod_group(pod, owners, namespace.metadata if namespace else None)
        reference = pod.metadata.controller
        owner_uid = reference.uid if reference else pod.metadata.uid
        # This controller does not watch PodGroups, so there is nothing to wait for.
        made = await self._effects.create(group_key, owner_uid, POD_GROUP, wanted)
        if changes := renewal(made.spec, stated(pod, owners, wanted["spec"])):
            body = guarded({"spec": changes}, made.metadata.uid)
            await self._effects.patch(group_key, POD_GROUP, made.metadata.name, made.metadata.namespace, body)
        self._expectations.forget(group_key)
        self._made[group_key] = self._monotonic()

    async def sweep(self, group_key: str) -> float | None:
        """Delete an owner's group that has lost its last pod because the owner was scaled to nothing.

        Where the owner itself is gone the garbage collector does it; where it has replicas, pods will come again.
        """
        if self._members(group_key):
            return None
        namespace, _, name = group_key.partition("/")
        group = await self._effects.read(POD_GROUP, name, namespace)
        reference = group.metadata.controller if group else None
        if group is None or reference is None:
            return None
        owner = await self._owners.get(reference, namespace)
        if owner is None or owner.spec.replicas != 0 or self._members(group_key):
            return None
        await self._effects.delete(group_key, Delete("PodGroup", namespace, name, group.metadata.uid))
        self._expectations.forget(group_key)
        return None

    def _members(self, group_key: str) -> bool:
        return any(informer.store.index("group", group_key) for informer in self._caches.bare_pods)

    def _pod(self, key: str) -> Pod | None:
        return next((pod for each in self._caches.bare_pods if (pod := each.store.get(key)) is not None), None)

    def _tell(self, key: str, problem: Exception) -> None:
        pod = self._pod(key)
        if pod is not None:
            self._recorder.note(pod, "Warning", "FailedGrouping", str(problem))

    @staticmethod
    def _monotonic() -> float:
        return asyncio.get_running_loop().time()


def needs_group(pod: Pod) -> bool:
    """Whether a pod of our scheduler is still without a gang and could still use one."""
    alive = pod.metadata.deletion_timestamp is None and pod.status.phase not in _OVER
    return alive and not group_of_pod(pod)
