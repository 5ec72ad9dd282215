"""What queues may hold, how they hang together, and what namespaces allow."""

import msgspec

from flowbatch.model.changes import StateChanges
from flowbatch.model.facts import NamespaceGone, NamespaceSeen, QueueSeen, QuotaGone, QuotaSeen
from flowbatch.model.ids import GangId, QueueName
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.nodefacts import NodeFacts
from flowbatch.model.owners import Accounts, Kind
from flowbatch.model.queues import Queue
from flowbatch.model.quotas import namespace_of


class QueueFacts(NodeFacts):
    """Takes in facts about queues, quotas and namespaces."""

    def observe_queue(self, fact: QueueSeen) -> None:
        """A queue as it now is."""
        queue = self.queues.named(fact.name)
        before = queue.fact
        if before == fact:
            return
        queue.fact = fact
        if before is not None and msgspec.structs.replace(before, past_use=fact.past_use) == fact:
            # Our own note of what it used, come back: nobody has to look at anything anew.
            return
        self._limits(queue, fact)
        if before is not None and (before.affinity, before.group_limits) != (fact.affinity, fact.group_limits):
            # Queues below it may inherit that, and wait for nodes that now will do.
            self.changes.freed.update(dict.fromkeys(self.node_at))
        joined = self.queues.join(queue) if before is None else before.parent == fact.parent
        if not joined:
            self._relink()
        if not joined or _claims(before) != _claims(fact):
            self.changes.claims = True
        if (before.limits if before else ()) != fact.limits or (before is None and self.tracked_owners):
            self._reopen_accounts(queue)
        self._queue_changed(queue)

    def _limits(self, queue: Queue, fact: QueueSeen) -> None:
        sums = self.axes.sums
        queue.capability = sums(fact.capability)
        queue.guarantee = sums(fact.guarantee)
        queue.deserved = sums(fact.deserved)
        queue.borrowing = sums(fact.borrowing or ())
        queue.lending = sums(fact.lending or ())

    def forget_queue(self, name: QueueName) -> None:
        """The queue is gone; its gangs stay and wait for it."""
        queue = self.queues.by_name.get(name)
        if queue is None or queue.fact is None:
            return
        queue.fact = queue.accounts = queue.memory = None
        self._limits(queue, QueueSeen(name))
        self.queues.forget(queue)
        self._relink()
        self.changes.claims = True
        self._queue_changed(queue)

    def _queue_changed(self, queue: Queue) -> None:
        self.queues.version += 1
        self.queues.worked_out.clear()
        self.changes.shares = True
        self.changes.queues[queue.name] = None
        for gang in queue.gangs.values():
            self.changes.gangs[gang.id] = gang

    def retally(self, changes: StateChanges) -> None:
        """What one queue is guaranteed or lends is what others may not, or may, have: all are looked at.

        The engine calls it once per cycle in which claims changed: queues come in bursts.
        """
        self.queues.tally()
        changes.queues.update(dict.fromkeys(self.queues.by_name))

    def _relink(self) -> None:
        """Paths changed: charge every gang's sums along its new path. Rare, so from scratch."""
        if self.group_use is not None:
            self.group_use.stale = True
        queues = self.queues
        queues.link()
        for queue in queues.by_name.values():
            queue.own, queue.allocated, queue.reserved, queue.inqueue, queue.elastic = {}, {}, {}, {}, {}
            queue.own_leaving, queue.leaving, queue.own_claimed, queue.claimed = {}, {}, {}, {}
            queue.accounts = self._accounts(queue)
            self.changes.queues[queue.name] = None
        for gang in self.gangs.values():
            if gang.queue:
                self._charge_gang(gang, gang.queue, 1)

    # -- owners

    def track_owners(self, kinds: tuple[Kind, ...]) -> None:
        """Count what owners of these kinds hold in every queue, from now on."""
        if kinds != self.tracked_owners:
            self.tracked_owners = kinds
            for queue in self.queues.by_name.values():
                self._reopen_accounts(queue)

    def _accounts(self, queue: Queue) -> Accounts | None:
        """New accounts for a queue in which anything is counted by owner; what owners have used is not forgotten."""
        limits = queue.fact.limits if queue.fact else ()
        if queue.fact is None or not (limits or self.tracked_owners):
            return None
        accounts = Accounts.of(limits, self.axes, self.tracked_owners)
        accounts.memories = queue.accounts.memories if queue.accounts else {}
        return accounts

    def _reopen_accounts(self, queue: Queue) -> None:
        """The queue limits other owners than before: count what they hold anew, and line its gangs up by them."""
        queue.accounts = self._accounts(queue)
        self.queues.note_owners()
        for gang in self.gangs.values():
            if gang.queue is not None and queue in gang.queue.path:
                self.changes.gangs[gang.id] = gang
                if queue.accounts is not None:
                    for held in (gang.allocated, gang.reserved):
                        queue.accounts.charge(gang.id, gang.owners, held.items(), 1)

    # -- namespaces

    def observe_quota(self, fact: QuotaSeen) -> None:
        """A ResourceQuota as it now is."""
        if self.quotas.observe(fact):
            self.changes.quotas[fact.namespace] = None

    def forget_quota(self, fact: QuotaGone) -> None:
        """The quota is gone: one limit less."""
        self.quotas.forget(fact)
        self.changes.quotas[fact.namespace] = None

    def promise_quota(self, gang: GangId, amounts: dict[str, int]) -> None:
        """What `gang` will still make in its namespace; where that is less than before, others may come in."""
        if self.quotas.promise(gang, amounts):
            self.changes.quotas[namespace_of(gang)] = None

    def observe_namespace(self, fact: NamespaceSeen | NamespaceGone) -> None:
        """A namespace as it now is, or that it is gone."""
        labels = dict(fact.labels) if isinstance(fact, NamespaceSeen) else None
        for kind, group, sign in self.peers.namespace(fact.name, labels):
            self.changes.note((*group.members.values(), *group.staying.values()), sign)
            for task in kind.tasks.values():
                if task.gang is not None and task.state is TaskState.PENDING:
                    self.changes.gangs[task.gang.id] = task.gang
        if self.peers.fresh:
            self.reshape()


def _claims(fact: QueueSeen | None) -> tuple[object, ...]:
    """What a queue says about amounts that concern others; a queue that was not there claims nothing."""
    return (fact.guarantee, fact.deserved, fact.borrowing, fact.lending) if fact else ((), (), None, None)
