"""The scheduler as one value: informers feed it, the engine decides, lanes write.

`run` is for a program without an election. With one, the informers run all the time and the elector calls `lead`: a
standby is warm, but it has no engine, so it cannot decide anything.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

import anyio
import msgspec
import structlog

from flowbatch.api.core import Node, Pod
from flowbatch.api.kinds import POD
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import SCHEDULER_NAME
from flowbatch.api.resource import DeviceClass, ResourceClaim
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.topology import HyperNode
from flowbatch.engine import events
from flowbatch.kube.client import Client
from flowbatch.kube.watch import Malformed
from flowbatch.metrics import MAILBOX_FACTS
from flowbatch.model.ids import GangId, Instant
from flowbatch.scheduler import geometries
from flowbatch.scheduler.caches import Caches
from flowbatch.scheduler.cycles import Cycles, Decider
from flowbatch.scheduler.deviceclaims import Known
from flowbatch.scheduler.dispatch import Dispatch
from flowbatch.scheduler.feed import Feed
from flowbatch.scheduler.journal import Journal
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.mirror import is_newer
from flowbatch.scheduler.queues import ensure_queues
from flowbatch.scheduler.statuses import Pace
from flowbatch.scheduler.usage_source import UsageSource

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How a scheduler goes about it; the defaults are for production."""

    scheduler_names: Collection[str] = (SCHEDULER_NAME,)
    lanes: int = 64
    pace: Pace = field(default_factory=Pace)
    journal: Path | None = None
    #: How long writes in flight may take to end when the program is told to stop.
    grace_s: float = 10.0
    #: Told apart on conditions.
    run_id: str = ""
    #: How long a write of an earlier leader may still be on its way; waited out before the first decision.
    quiet_s: float = 0.0


class Scheduler:
    """Places gangs from the moment `lead` is called until it is cancelled."""

    def __init__(
        self,
        client: Client,
        *,
        make_engine: Callable[[], Decider],
        now: Callable[[], Instant],
        caches: Caches | None = None,
        habits: Habits | None = None,
    ) -> None:
        self._client = client
        self._own = caches is None
        self._now = now
        self.habits = habits or Habits()
        self.caches = caches or Caches.of(client)
        self.mailbox = Mailbox()
        self.journal = Journal(self.habits.journal)
        self.dispatch = Dispatch(
            client,
            StoreLookup(self.caches),
            self._tell,
            self._moment,
            epoch=lambda: client.gate.epoch,
            width=self.habits.lanes,
            pace=self.habits.pace,
        )
        self.dispatch.run_id = self.habits.run_id
        self.feed = Feed(self.mailbox, self.habits.scheduler_names, self.dispatch.complain)
        self.feed.gangs = self.caches.groups.store.values
        self.feed.pods = self.caches.pods.store.values
        self.feed.nodes = self.caches.nodes.store.values
        self.feed.pod_of = self.caches.pods.store.get
        self._know_claims()
        self.cycles = Cycles(
            self.mailbox,
            self.dispatch.lanes,
            self._anew(make_engine),
            self._facts,
            self.dispatch.carry_out,
            now,
            self.journal,
        )
        self.usage = UsageSource(
            lambda: getattr(getattr(self.cycles.engine, "policy", None), "metrics", None),
            lambda: [node.metadata.name for node in self.caches.nodes.store.values()],
            lambda fact: self.mailbox.post(("usage", fact.node), fact),
            now,
        )
        self.feed.images_matter(self._images_matter)
        self._subscribed = False
        self.leading = False
        MAILBOX_FACTS.set_function(lambda: len(self.mailbox))

    async def run(self) -> None:
        """Inform yourself and lead, until cancelled."""
        async with anyio.create_task_group() as tasks:
            if self._own:
                tasks.start_soon(self.caches.run)
            await self.lead()

    async def lead(self) -> None:
        """Decide and write until cancelled; then finish the bindings in flight, within the grace."""
        async with anyio.create_task_group() as outer:
            outer.start_soon(self.dispatch.lanes.run)
            self.leading = True
            try:
                await self._work()
            finally:
                self.leading = False
                await self.dispatch.lanes.close(self.habits.grace_s)
                self.journal.close()

    async def _work(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.dispatch.run)
            tasks.start_soon(self.cycles.run)
            tasks.start_soon(self.usage.run)
            self._subscribe()
            await self.caches.wait_synced()
            self.feed.claims.synced()
            if self._hidden():
                log.warning("claims cannot be listed: pods are placed without regard to their volumes")
                self.mailbox.post("claims", *self._hidden())
            await self._learn_cuts()
            await ensure_queues(self._client)
            if self.habits.quiet_s and self._client.gate.epoch > 1:
                await anyio.sleep(self.habits.quiet_s)
                await self._catch_up()
            self.mailbox.post("synced", events.Synced())
            log.info("scheduler leads", names=sorted(self.habits.scheduler_names), nodes=len(self.caches.nodes.store))

    async def _learn_cuts(self) -> None:
        """Once, and only if some node registers cards that are cut: how they may be, then those nodes again."""
        nodes = self.caches.nodes.store.values()
        if not geometries.needed(nodes):
            return
        told = getattr(getattr(self.cycles.engine, "policy", None), "geometries", ("", ""))
        known = await geometries.read_geometries(self._client, *told)
        self.feed.groups_of = partial(geometries.groups_for, geometries=known)
        for node in nodes:
            self.feed.node(None, node)

    def _subscribe(self) -> None:
        """Once per life: a program that loses the lease ends."""
        assert not self._subscribed, "a scheduler leads once"
        self._subscribed = True
        self.caches.classes.on_change(self.feed.priority_class)
        self.caches.queues.on_change(self.feed.queue)
        self.caches.queues.on_change(self.dispatch.forget_queue)
        self.caches.nodes.on_change(self.feed.node)
        self.caches.groups.on_change(self.feed.gang)
        self.caches.groups.on_change(self.dispatch.forget_group)
        self.caches.pods.on_change(self.feed.pod)
        self._subscribe_storage()
        self._subscribe_devices()
        if self.caches.namespaces is not None:
            self.caches.namespaces.on_change(self.feed.namespace)
        if self.caches.quotas is not None:
            self.caches.quotas.on_change(self.feed.quota)
        if self.caches.hyper_nodes is not None:
            self.caches.hyper_nodes.on_change(self.feed.hyper_node)
            self.caches.hyper_nodes.on_change(self.dispatch.forget_hyper_node)
        if self.caches.budgets is not None:
            self.caches.budgets.on_change(self.feed.budget)
        if self.caches.cpus is not None:
            self.caches.cpus.on_change(self.feed.cpus)

    def _anew(self, make_engine: Callable[[], Decider]) -> Callable[[], Decider]:
        """A new engine decides again about pods whose claims are being bound for the old one, and asks anew."""

        def make() -> Decider:
            self.dispatch.bindings.drop_waits()
            self.dispatch.asking.renew()
            return make_engine()

        return make

    def _know_claims(self) -> None:
        """Where claims to devices, their templates and classes are found, where they are served."""
        caches, lookup = self.caches, StoreLookup(self.caches)
        self.feed.claims.known = Known(lookup.device_claim, lookup.has_template)
        self.dispatch.bindings.claim_writes.class_of = lookup.device_class
        self.dispatch.bindings.claim_writes.claim_of = lookup.device_claim
        if caches.device_slices is not None:
            self.feed.claims.slices = caches.device_slices.store.values

    def _subscribe_devices(self) -> None:
        caches, feed = self.caches, self.feed.claims
        if caches.device_classes is not None:
            caches.device_classes.on_change(feed.device_class)
        if caches.device_slices is not None:
            caches.device_slices.on_change(feed.device_slice)
        if caches.claim_templates is not None:
            caches.claim_templates.on_change(feed.template)
        if caches.device_claims is not None:
            caches.device_claims.on_change(feed.claim)

    def _subscribe_storage(self) -> None:
        caches, feed = self.caches, self.feed
        if caches.claims is not None:
            caches.claims.on_change(feed.claim)
        if caches.volumes is not None:
            caches.volumes.on_change(feed.volume)
        if caches.storage_classes is not None:
            caches.storage_classes.on_change(feed.storage_class)
        if caches.csi_nodes is not None:
            caches.csi_nodes.on_change(feed.csi_node)

    async def _catch_up(self) -> None:
        """Read all pods by quorum: what an earlier leader bound may not have reached our watch yet."""
        decoder = self._client.decoder(POD)
        async for page in self._client.pages(POD):
            for item in page.items or ():
                try:
                    pod = decoder.plain(item)
                except Malformed:
                    continue
                cached = self.caches.pods.store.get(pod.metadata.key)
                if cached is None or is_newer(pod.metadata, cached.metadata):
                    self.feed.pod(cached, pod)

    def explain(self, namespace: str, name: str) -> JsonObject | None:
        """Why a gang is where it is, live; None where there is no such gang or no engine here."""
        explain = getattr(self.cycles.engine, "explain", None)
        if not self.leading or explain is None or self.caches.groups.store.get(f"{namespace}/{name}") is None:
            return None
        explanation: JsonObject = msgspec.to_builtins(explain(GangId(f"{namespace}/{name}")))
        return explanation

    def _images_matter(self) -> bool:
        policy = getattr(self.cycles.engine, "policy", None)
        return policy is not None and any(getattr(score, "by_image", False) for score in policy.scores)

    def _facts(self) -> Iterable[events.Event]:
        return chain(self._hidden(), self._everything())

    def _hidden(self) -> list[events.ClaimsHidden]:
        claims = self.caches.claims
        return [] if claims is not None and claims.synced else [events.ClaimsHidden()]

    def _everything(self) -> Iterable[events.Event]:
        caches = self.caches
        return self.feed.everything(
            caches.nodes.store.values(),
            caches.queues.store.values(),
            caches.groups.store.values(),
            caches.pods.store.values(),
            caches.quotas.store.values() if caches.quotas is not None else (),
            caches.namespaces.store.values() if caches.namespaces is not None else (),
            [
                each
                for informer in (caches.storage_classes, caches.volumes, caches.claims, caches.csi_nodes)
                if informer is not None
                for each in informer.store.values()
            ],
            caches.hyper_nodes.store.values() if caches.hyper_nodes is not None else (),
            caches.budgets.store.values() if caches.budgets is not None else (),
            [
                each
                for informer in (caches.device_classes, caches.device_claims, caches.device_slices)
                if informer is not None
                for each in informer.store.values()
            ],
            caches.cpus.store.values() if caches.cpus is not None else (),
        )

    def _tell(self, fact: events.Event) -> None:
        match fact:
            case events.BindFailed() | events.EvictFailed():
                key: tuple[str, str] = (type(fact).__name__, fact.uid)
            case events.ReleaseFailed():
                key = ("ReleaseFailed", fact.claim)
            case events.StepFailed():
                key = (fact.step, fact.uid)
            case _:
                key = ("told", str(self.mailbox.posted))
        self.mailbox.post(key, fact)

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now() / 1000, UTC)


class StoreLookup:
    """Finds objects in the caches."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    def pod(self, key: str) -> Pod | None:
        """See Lookup."""
        return self._caches.pods.store.get(key)

    def group(self, key: str) -> PodGroup | None:
        """See Lookup."""
        return self._caches.groups.store.get(key)

    def device_claim(self, key: str) -> ResourceClaim | None:
        """A claim to devices, by `namespace/name`."""
        informer = self._caches.device_claims
        return informer.store.get(key) if informer is not None else None

    def has_template(self, key: str) -> bool | None:
        """Whether there is a template of claims, by `namespace/name`; None where nobody can tell."""
        informer = self._caches.claim_templates
        return informer.store.get(key) is not None if informer is not None and informer.synced else None

    def device_class(self, name: str) -> DeviceClass | None:
        """A class of devices, by name."""
        informer = self._caches.device_classes
        return informer.store.get(name) if informer is not None else None

    def hyper_node(self, key: str) -> HyperNode | None:
        """See Lookup."""
        informer = self._caches.hyper_nodes
        return informer.store.get(key) if informer is not None else None

    def queue(self, key: str) -> Queue | None:
        """See Lookup."""
        return self._caches.queues.store.get(key)

    def node(self, name: str) -> Node | None:
        """See Lookup."""
        return self._caches.nodes.store.get(name)
