"""Store changes in, facts into the mailbox: what the informers' handlers do.

Handlers are synchronous and see every change of an object that our Structs can tell apart. Most of those do not
concern the engine (a container's state, a condition's time), so a change whose fact stays the same ends here.
An unreadable object is isolated: counted, remembered with its reason, and never in the way of the others.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Literal, TypeVar

from flowbatch.api.core import (
    CSINode,
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PriorityClass,
    ResourceQuota,
    StorageClass,
)
from flowbatch.api.disruption import PodDisruptionBudget
from flowbatch.api.nodeinfo import Numatopology
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.topology import HyperNode
from flowbatch.engine import events
from flowbatch.model.ids import BudgetId, GangId, HyperNodeName, NodeName, QueueName
from flowbatch.scheduler import numa, queue_facts, topology_facts, translate, volumes
from flowbatch.scheduler.budgets import budget_fact, labels_asked_by
from flowbatch.scheduler.claimfeed import Claimed, ClaimFeed
from flowbatch.scheduler.devices import GroupsOf, uncut
from flowbatch.scheduler.images import MentionedImages
from flowbatch.scheduler.labels import MentionedLabels
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.quotas import quota_fact
from flowbatch.scheduler.shapes import Shapes
from flowbatch.scheduler.translate import Priorities, UnreadableError

Subject = Literal["pod", "node", "gang", "queue", "quota"]
Subjected = Pod | Node | PodGroup | Queue | ResourceQuota
#: (the object, why it cannot be read): called once per object and reason.
Complain = Callable[[Subjected, str], None]

S = TypeVar("S", PersistentVolumeClaim, PersistentVolume, StorageClass, CSINode)


class Feed:
    """One handler per kind; each posts at most one fact for a change."""

    def __init__(self, mailbox: Mailbox, ours: Collection[str], complain: Complain) -> None:
        self._mailbox = mailbox
        self._ours = frozenset(ours)
        self._complain = complain
        self._shapes = Shapes()
        self._labels = MentionedLabels()
        self._shapes.mention = self._labels.mention
        self._images = MentionedImages()
        self._shapes.mention_images = self._images.mention
        self.claims = ClaimFeed(mailbox, self._pod_again)
        self._classes: dict[str, PriorityClass] = {}
        self._priorities = Priorities()
        #: Where to find all PodGroups when a PriorityClass changes: gangs carry the value, not the name.
        self.gangs: Callable[[], Iterable[PodGroup]] = tuple
        #: Where to find all Nodes when a pod names an image that none has named before.
        self.nodes: Callable[[], Iterable[Node]] = tuple
        #: Where to find all Pods when a selector asks for a label that none has asked for before.
        self.pods: Callable[[], Iterable[Pod]] = tuple
        #: Where to find one, when a claim of its own has changed.
        self.pod_of: Callable[[str], Pod | None] = lambda _key: None
        #: How cards of a model may be cut in hardware.
        self.groups_of: GroupsOf = uncut
        #: Why an object cannot be read, for those that exist now.
        self.poisoned: dict[tuple[Subject, str], str] = {}

    def pod(self, old: Pod | None, new: Pod | None) -> None:
        """A pod appeared, changed or went."""
        before = None if old is None else self._pod_fact(old)
        after = None if new is None else self._pod_fact(new)
        if after is not None:
            if after != before:
                self._mailbox.post(("pod", after.uid), after)
        elif before is not None:
            self._mailbox.post(("pod", before.uid), events.PodGone(before.uid))
        if new is None and old is not None:
            self._heal("pod", old.metadata.key)
            self.claims.forget(old)
        self._tell_labels()

    def _pod_again(self, key: str) -> None:
        """Something that it only names has changed."""
        pod = self.pod_of(key)
        fact = self._pod_fact(pod) if pod is not None else None
        if fact is not None:
            self._mailbox.post(("pod", fact.uid), fact)

    def mention(self, keys: Iterable[str]) -> None:
        """A selector asks for these labels of pods: the engine is told them from now on. New keys are rare."""
        self._labels.mention(keys)
        self._tell_labels()

    def _tell_labels(self) -> None:
        """Pods with labels that nobody asked for before, once more; their own terms may ask for others."""
        self._tell_images()
        while fresh := self._labels.fresh():
            for pod in self.pods():
                if any(key in pod.metadata.labels for key in fresh) and (fact := self._pod_fact(pod)) is not None:
                    self._mailbox.post(("pod", fact.uid), fact)

    def images_matter(self, asked: Callable[[], bool]) -> None:
        """Whom to ask whether the policy in force looks at images; one that begins to is told as objects change."""
        self._shapes.images_matter = asked

    def _tell_images(self) -> None:
        fresh = dict.fromkeys(self._images.fresh())
        for node in self.nodes() if fresh else ():
            if any(name in fresh for image in node.status.images for name in image.names):
                fact = self._node_fact(node)
                self._mailbox.post(("node", fact.name), fact)

    def _pod_fact(self, pod: Pod) -> events.PodSeen | None:
        try:
            fact = translate.pod_fact(pod, self._ours, self._shapes.of_pod, self._labels.of)
        except UnreadableError as error:
            self._isolate("pod", pod.metadata.key, pod, error)
            # Bound pods take up room even if we cannot say how much.
            lone = translate.pod_fact(pod, self._ours, translate.lone_pod, self._labels.of)
            return lone if pod.spec.node_name else None
        self._heal("pod", pod.metadata.key)
        return self.claims.pod(fact, pod) if fact is not None and pod.spec.resource_claims else fact

    def node(self, old: Node | None, new: Node | None) -> None:
        """A node appeared, changed or went; heartbeats do not get this far."""
        if new is None:
            if old is not None:
                self._heal("node", old.metadata.key)
                name = NodeName(old.metadata.name)
                self._mailbox.post(("node", name), events.NodeGone(name))
            return
        after = self._node_fact(new)
        if old is None or self._node_fact(old) != after:
            self._mailbox.post(("node", after.name), after)

    def _node_fact(self, node: Node) -> events.NodeSeen:
        try:
            fact = translate.node_fact(node, self._images.of, self.groups_of)
        except UnreadableError as error:
            self._isolate("node", node.metadata.key, node, error)
            return translate.closed_node(node)
        self._heal("node", node.metadata.key)
        return fact

    def gang(self, old: PodGroup | None, new: PodGroup | None) -> None:
        """A PodGroup appeared, changed or went; one that cannot be read is as good as gone."""
        before = None if old is None else self._gang_fact(old)
        after = None if new is None else self._gang_fact(new)
        if after is not None:
            if after != before:
                self._mailbox.post(("gang", after.id), after)
        elif old is not None:
            gone = GangId(old.metadata.key)
            self._mailbox.post(("gang", gone), events.GangGone(gone))
        if new is None and old is not None:
            self._heal("gang", old.metadata.key)
        self._tell_labels()

    def _gang_fact(self, group: PodGroup) -> events.GangSeen | None:
        if group.spec.sub_group_policy:
            self._labels.mention(topology_facts.labels_asked_by(group))
        try:
            fact = translate.gang_fact(group, self._priorities, self._shapes)
            fact = topology_facts.with_topology(fact, group)
        except UnreadableError as error:
            self._isolate("gang", group.metadata.key, group, error)
            return None
        self._heal("gang", group.metadata.key)
        return fact

    def queue(self, old: Queue | None, new: Queue | None) -> None:
        """A queue appeared, changed or went; one that cannot be read admits nothing."""
        if new is None:
            if old is not None:
                self._heal("queue", old.metadata.key)
                name = QueueName(old.metadata.name)
                self._mailbox.post(("queue", name), events.QueueGone(name))
            return
        after = self._queue_fact(new)
        if old is None or self._queue_fact(old) != after:
            self._mailbox.post(("queue", after.name), after)

    def _queue_fact(self, queue: Queue) -> events.QueueSeen:
        try:
            fact = queue_facts.queue_fact(queue)
        except UnreadableError as error:
            self._isolate("queue", queue.metadata.key, queue, error)
            return queue_facts.closed_queue(queue, str(error))
        self._heal("queue", queue.metadata.key)
        return fact

    def namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        """A namespace appeared, changed or went."""
        after = None if new is None else translate.namespace_fact(new)
        if after is None:
            if old is not None:
                name = old.metadata.name
                self._mailbox.post(("namespace", name), events.NamespaceGone(name))
        elif old is None or translate.namespace_fact(old) != after:
            self._mailbox.post(("namespace", after.name), after)

    def hyper_node(self, old: HyperNode | None, new: HyperNode | None) -> None:
        """A HyperNode appeared, changed or went; what its status says is our own."""
        if new is None:
            if old is not None:
                name = HyperNodeName(old.metadata.name)
                self._mailbox.post(("hypernode", name), events.HyperNodeGone(name))
            return
        after = topology_facts.hyper_node_fact(new)
        if old is None or topology_facts.hyper_node_fact(old) != after:
            self._mailbox.post(("hypernode", after.name), after)

    def cpus(self, old: Numatopology | None, new: Numatopology | None) -> None:
        """What is known of a node's cpus appeared, changed or went."""
        if new is None:
            if old is not None:
                name = NodeName(old.metadata.name)
                self._mailbox.post(("cpus", name), events.NumaGone(name))
            return
        after = numa.numa_fact(new)
        if old is None or numa.numa_fact(old) != after:
            self._mailbox.post(("cpus", after.node), after)

    def budget(self, old: PodDisruptionBudget | None, new: PodDisruptionBudget | None) -> None:
        """A PodDisruptionBudget appeared, changed or went. The labels it looks at are told first."""
        if new is None:
            if old is not None:
                gone = BudgetId(old.metadata.key)
                self._mailbox.post(("budget", gone), events.BudgetGone(gone))
            return
        self.mention(labels_asked_by(new))
        after = budget_fact(new)
        if old is None or budget_fact(old) != after:
            self._mailbox.post(("budget", after.id), after)

    def claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        """A claim appeared, changed or went."""
        self._storage("claim", old, new, volumes.claim_fact, lambda each: events.ClaimGone(each.metadata.key))

    def volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        """A volume appeared, changed or went."""
        self._storage("volume", old, new, volumes.volume_fact, lambda each: events.VolumeGone(each.metadata.name))

    def storage_class(self, old: StorageClass | None, new: StorageClass | None) -> None:
        """A storage class appeared, changed or went."""
        self._storage("class", old, new, volumes.class_fact, lambda each: events.ClassGone(each.metadata.name))

    def csi_node(self, old: CSINode | None, new: CSINode | None) -> None:
        """What a node can attach is known, has changed, or is unlimited again."""
        gone = lambda each: events.AttachSeen(NodeName(each.metadata.name))  # noqa: E731
        self._storage("attach", old, new, volumes.attach_fact, gone)

    def _storage(
        self,
        kind: str,
        old: S | None,
        new: S | None,
        fact: Callable[[S], events.Event],
        gone: Callable[[S], events.Event],
    ) -> None:
        after = None if new is None else fact(new)
        if new is not None and after is not None:
            if old is None or fact(old) != after:
                self._mailbox.post((kind, new.metadata.key), after)
        elif old is not None:
            self._mailbox.post((kind, old.metadata.key), gone(old))

    def quota(self, old: ResourceQuota | None, new: ResourceQuota | None) -> None:
        """A ResourceQuota appeared, changed or went; one that cannot be read limits nothing here."""
        before = None if old is None else self._quota_fact(old)
        after = None if new is None else self._quota_fact(new)
        if after is not None:
            if after != before:
                self._mailbox.post(("quota", after.namespace, after.name), after)
        elif old is not None:
            meta = old.metadata
            self._mailbox.post(("quota", meta.namespace, meta.name), events.QuotaGone(meta.namespace, meta.name))
        if new is None and old is not None:
            self._heal("quota", old.metadata.key)

    def _quota_fact(self, quota: ResourceQuota) -> events.QuotaSeen | None:
        try:
            fact = quota_fact(quota)
        except UnreadableError as error:
            self._isolate("quota", quota.metadata.key, quota, error)
            return None
        self._heal("quota", quota.metadata.key)
        return fact

    def priority_class(self, old: PriorityClass | None, new: PriorityClass | None) -> None:
        """A PriorityClass appeared, changed or went: every gang is looked at again. Rare, so no index."""
        if old is not None:
            self._classes.pop(old.metadata.name, None)
        if new is not None:
            self._classes[new.metadata.name] = new
        before, self._priorities = self._priorities, Priorities(self._classes.values())
        for group in self.gangs():
            name = group.spec.priority_class_name
            now = self._priorities
            changed = (before.of(name), before.preempts(name)) != (now.of(name), now.preempts(name))
            if changed and (fact := self._gang_fact(group)) is not None:
                self._mailbox.post(("gang", fact.id), fact)

    def everything(
        self,
        nodes: Iterable[Node],
        queues: Iterable[Queue],
        groups: Iterable[PodGroup],
        pods: Iterable[Pod],
        quotas: Iterable[ResourceQuota] = (),
        namespaces: Iterable[Namespace] = (),
        storage: Iterable[PersistentVolumeClaim | PersistentVolume | StorageClass | CSINode] = (),
        hyper_nodes: Iterable[HyperNode] = (),
        budgets: Iterable[PodDisruptionBudget] = (),
        claimed: Iterable[Claimed] = (),
        cpus: Iterable[Numatopology] = (),
    ) -> Iterator[events.Event]:
        """All facts from scratch, for an engine that starts anew."""
        yield from map(volumes.storage_fact, storage)
        yield from self.claims.everything(claimed)
        yield from map(translate.namespace_fact, namespaces)
        yield from map(self._node_fact, nodes)
        yield from map(numa.numa_fact, cpus)
        yield from map(topology_facts.hyper_node_fact, hyper_nodes)
        yield from map(self._queue_fact, queues)
        yield from filter(None, map(self._quota_fact, quotas))
        yield from map(budget_fact, budgets)
        yield from filter(None, map(self._gang_fact, groups))
        yield from filter(None, map(self._pod_fact, pods))

    def _isolate(self, subject: Subject, key: str, value: Subjected, error: UnreadableError) -> None:
        reason = str(error)
        if self.poisoned.get((subject, key)) != reason:
            self.poisoned[(subject, key)] = reason
            self._complain(value, reason)

    def _heal(self, subject: Subject, key: str) -> None:
        if self.poisoned:
            self.poisoned.pop((subject, key), None)
