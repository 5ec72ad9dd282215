"""The sums that everything is charged to: cluster, gang, and every queue on the way to the root."""

from flowbatch.model.books import Books
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import GangId
from flowbatch.model.queues import Queue, charge
from flowbatch.model.resources import Request, Sums, add, device_axis
from flowbatch.model.shapes import Shape


class Accounting(Books):
    """What is held, promised and wanted, always the sum of what the gangs and tasks hold, are promised and want."""

    def _account(self, task: Task, sign: int) -> None:
        """The sums that a task's place counts in: cluster, gang, queue path."""
        request, gang = task.shape.request, task.gang
        self.queues.worked_out.clear()
        add(self.used, request, sign)
        if gang is not None:
            add(gang.allocated, request, sign)
            if self.listener is not None:
                self.listener(gang, task.shape, sign)
            if sign < 0 and self.windows.by_gang:
                self.windows.left(task.fact.uid)
            if self.group_use is not None and task.node is not None:
                self.group_use.move(gang, request, (task.node.row,), (sign,))
            if gang.queue is not None:
                charge(gang, gang.queue, request, sign)
                if sign < 0:
                    self.changes.shares = True
                    self.ease(gang.queue)

    @staticmethod
    def _charge_gang(gang: Gang, queue: Queue, sign: int) -> None:
        add(queue.own, gang.allocated.items(), sign)
        add(queue.own, gang.reserved.items(), sign)
        add(queue.own_leaving, gang.leaving.items(), sign)
        add(queue.own_claimed, gang.claimed.items(), sign)
        for each in queue.path:
            add(each.leaving, gang.leaving.items(), sign)
            add(each.claimed, gang.claimed.items(), sign)
            add(each.allocated, gang.allocated.items(), sign)
            add(each.reserved, gang.reserved.items(), sign)
            add(each.inqueue, gang.inqueue.items(), sign)
            add(each.elastic, gang.elastic.items(), sign)
            if each.accounts is not None:
                each.accounts.charge(gang.id, gang.owners, gang.allocated.items(), sign)
                each.accounts.charge(gang.id, gang.owners, gang.reserved.items(), sign)

    def _enqueue(self, gang: Gang, queue: Queue | None) -> None:
        """Move a gang, and all it is charged for, to another queue; None for no queue."""
        if self.group_use is not None:
            self.group_use.stale = True
        self.queues.worked_out.clear()
        old = gang.queue
        if old is not None:
            self._charge_gang(gang, old, -1)
            add(old.wanted, gang.wanted.items(), -1)
            add(old.wanted, gang.awaited.items(), -1)
            del old.gangs[gang.id]
            self.ease(old)
            self.queues.forget(old)
        gang.queue = queue
        if queue is not None:
            queue.gangs[gang.id] = gang
            self._charge_gang(gang, queue, 1)
            add(queue.wanted, gang.wanted.items())
            add(queue.wanted, gang.awaited.items())
        unknown = queue is not None and queue.share is None
        if unknown or gang.allocated or gang.reserved or gang.wanted or gang.awaited:
            self.changes.shares = True

    def ease(self, queue: Queue | None) -> None:
        """Less is held or promised in `queue` than before: what waits for that may be cured."""
        if queue:
            for each in queue.path:
                self.changes.eased[each.name] = None
        self.changes.headroom = True

    def set_promises(self, gang: Gang, inqueue: Sums, elastic: Sums) -> None:
        """What its queue must keep for a gang that has not started, and what the gang holds beyond its minimum."""
        if gang.inqueue != inqueue:
            path = gang.queue.path if gang.queue else ()
            for sums in (self.inqueue, *(queue.inqueue for queue in path)):
                if gang.inqueue:
                    add(sums, gang.inqueue.items(), -1)
                if inqueue:
                    add(sums, inqueue.items())
            if any(inqueue.get(axis, 0) < amount for axis, amount in gang.inqueue.items()):
                self.ease(gang.queue)
            gang.inqueue = inqueue
        if gang.elastic != elastic:
            for queue in gang.queue.path if gang.queue else ():
                add(queue.elastic, gang.elastic.items(), -1)
                add(queue.elastic, elastic.items())
            self.ease(gang.queue)
            gang.elastic = elastic

    def set_awaited(self, gang: Gang, awaited: Sums) -> None:
        """What members to come will ask for, so that their queue's share counts on them."""
        if gang.awaited != awaited:
            self._want(gang, gang.awaited, awaited)
            gang.awaited = awaited
            self.changes.shares = True

    def count_wanted(self, gang: Gang) -> None:
        """Sum up what a gang's pods wait for, on its queue's account too; once per look at the gang, not per pod."""
        if not gang.pending and not gang.wanted:
            return
        counts: dict[Shape, int] = {}
        for task in gang.pending.values():
            counts[task.shape] = counts.get(task.shape, 0) + 1
        wanted: Sums = {}
        for shape, count in counts.items():
            add(wanted, shape.request, count)
        if gang.wanted != wanted:
            self._want(gang, gang.wanted, wanted)
            gang.wanted = wanted

    def _want(self, gang: Gang, before: Sums, now: Sums) -> None:
        """Its queue is asked for that instead."""
        self.queues.worked_out.clear()
        if gang.queue is not None:
            add(gang.queue.wanted, before.items(), -1)
            add(gang.queue.wanted, now.items())

    # -- claims to devices that several pods use: charged once, to the first of their gangs

    def use_claims(self, task: Task, sign: int) -> None:
        """A pod of a gang uses its claims, or does so no more (-1)."""
        gang = task.gang
        if gang is None:
            return
        for claim, ask in zip(task.fact.device_claims, task.shape.spec.device_claims, strict=True):
            if ask.shared and claim:
                users = self.claim_gangs.setdefault(claim, {})
                users[gang.id] = users.get(gang.id, 0) + sign
                if not users[gang.id]:
                    del users[gang.id]
                self.charge_claim(claim)
                if not users:
                    del self.claim_gangs[claim]

    def charge_claim(self, claim: str) -> None:
        """Charge it to the first gang that uses it, and to nobody else."""
        users, fact = self.claim_gangs.get(claim, {}), self.device_claims.claims.get(claim)
        payer, before = min(users, default=None), self.claim_charges.get(claim)
        counted = fact.content.counted if fact is not None else ()
        request = tuple((self.axes.axis(device_axis(name)), count) for name, count in counted)
        after = (payer, request) if payer is not None and request else None
        if before == after:
            return
        if before is not None:
            self._charge_devices(*before, -1)
            del self.claim_charges[claim]
        if after is not None:
            self._charge_devices(*after, 1)
            self.claim_charges[claim] = after

    def _charge_devices(self, gang_id: GangId, request: Request, sign: int) -> None:
        self.queues.worked_out.clear()
        gang = self.gangs[gang_id]
        add(gang.allocated, request, sign)
        if gang.queue is not None:
            charge(gang, gang.queue, request, sign)
            if sign < 0:
                self.changes.shares = True
                self.ease(gang.queue)

    def uncharged(self, shape: Shape, known: dict[str, None]) -> Sums:
        """What shared claims of `shape` would be charged for that nobody uses yet, but for `known` ones."""
        found: Sums = {}
        for ask in shape.spec.device_claims:
            if ask.shared and ask.claim not in known and ask.claim not in self.claim_gangs:
                known[ask.claim] = None
                fact = self.device_claims.claims.get(ask.claim)
                for name, count in fact.content.counted if fact is not None else ():
                    add(found, ((self.axes.axis(device_axis(name)), count),))
        return found

    def refresh_total(self) -> None:
        """Sum the capacity of ready nodes again; the engine calls it once per cycle in which nodes changed."""
        self.queues.worked_out.clear()
        self.queues.version += 1
        self.table.fit_axes()
        self.total = self.table.total()

    def charge(self, gang: Gang, shape: Shape, count: int) -> None:
        """`count` placements of `shape` on the accounts of the cluster, the gang and its queue path."""
        request = shape.request
        self.queues.worked_out.clear()
        if self.listener is not None:
            self.listener(gang, shape, count)
        add(self.used, request, count)
        add(gang.allocated, request, count)
        if gang.queue is not None:
            charge(gang, gang.queue, request, count)
