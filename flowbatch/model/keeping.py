"""Room that is kept: for members to come, on what others are leaving (claims), for members that move (berths)."""

import numpy as np

from flowbatch.model.accounting import Accounting
from flowbatch.model.gangs import Berth, Gang, Reservation, Role, Task
from flowbatch.model.ids import EPOCH, Instant, Row
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.nodes import Node
from flowbatch.model.resources import Request, add
from flowbatch.model.table import Ints

ONE: Ints = np.ones(1, np.int64)


class Keeping(Accounting):
    """Books what is kept for gangs, and lets go of it."""

    # -- reservations

    def charge_reserved(self, gang: Gang, reservation: Reservation, sign: int) -> None:
        """Room for members without pods, on the same accounts as if they had them."""
        count = reservation.total * sign
        queue = gang.queue
        self.queues.worked_out.clear()
        accounts = (queue.own, *(each.reserved for each in queue.path)) if queue else ()
        for sums in (self.used, gang.reserved, *accounts):
            add(sums, reservation.shape.request, count)
        for each in queue.path if queue else ():
            if each.accounts is not None:
                each.accounts.charge(gang.id, gang.owners, reservation.shape.request, count)

    def unreserve(self, gang: Gang) -> None:
        """Let go of all room held for a gang's missing members."""
        for reservation in gang.reservations:
            self.table.reserve_rows(reservation.rows, reservation.counts, reservation.shape.request, -1)
            self.charge_reserved(gang, reservation, -1)
            self.reserve_devices(reservation, -1)
            self.reserve_cpus(reservation, -1)
            self.shapes.release(reservation.shape)
            for row in reservation.rows.tolist():
                self.changes.freed[Row(row)] = None
        if gang.reservations:
            gang.reservations = ()
            self.changes.shares = True
            self.ease(gang.queue)
            self.changes.gangs[gang.id] = gang

    def bequeath(self, task: Task, node: Node) -> None:
        """`task` has succeeded and left `node`: its room is held for the task of its gang that is to have it."""
        gang, source = task.gang, task.role
        assert gang is not None
        assert source is not None
        number = source.counts[TaskState.SUCCEEDED] - 1
        heirs = [name for name, origin, first, last in gang.heirs if origin == source.name and first <= number < last]
        role = gang.roles.get(heirs[0]) if heirs else None
        if role is None or role.shape is None or not self._passes_on(gang, role, task, node):
            return
        one = Reservation(role.name, role.shape, np.array([node.row], np.int64), np.ones(1, np.int64))
        self.table.reserve_rows(one.rows, one.counts, role.shape.request, 1)
        self.charge_reserved(gang, one, 1)
        held = next((each for each in gang.reservations if each.role == role.name), None)
        if held is None:
            self.shapes.share(role.shape)
            gang.reservations = (*gang.reservations, one)
        else:
            more = held.with_one(node.row)
            gang.reservations = tuple(more if each is held else each for each in gang.reservations)

    def _passes_on(self, gang: Gang, role: Role, task: Task, node: Node) -> bool:
        """Whether room that `task` has left does for one more member of `role`, for whom there is none yet."""
        shape, left = role.shape, dict(task.shape.request)
        held = [each for each in gang.reservations if each.role == role.name]
        assert shape is not None
        return (
            role.held_back > sum(each.total for each in held)
            and all(each.shape is shape for each in held)
            and not shape.spec.devices
            and node.fact is not None
            and not self.table.over[node.row]
            and all(amount <= left.get(axis, 0) for axis, amount in shape.request)
            # Where the node has shrunk, what it leaves is not all there.
            and all(amount <= self.table.free_at(axis, node.row) for axis, amount in shape.request)
        )

    def _drop_reservations(self, row: Row) -> None:
        """The node can no longer keep what it holds for others: those gangs look for room again."""
        if not self.table.reserved[:, row].any() and not self.table.claimed[:, row].any():
            return
        for gang in list(self.gangs.values()):
            if any(row in reservation.rows for reservation in gang.reservations):
                self.unreserve(gang)
            if any(row in claim.rows for claim in gang.claims):
                self.unclaim(gang)
            for berth in [berth for berth in gang.berths if berth.row == row]:
                self.give_up_berth(gang, berth)

    def reserve_devices(self, reservation: Reservation, sign: int = 1) -> None:
        """Shared devices for members to come: chosen the first time, the same ones ever after; sign -1 lets go."""
        if not reservation.shape.spec.devices:
            return
        if reservation.picks is None:
            reservation.picks = self.devices.take_rows(reservation.shape, reservation.rows, reservation.counts)
        else:
            rows = np.repeat(reservation.rows, reservation.counts)
            self.devices.give_rows(reservation.shape, rows, reservation.picks, sign)

    def reserve_cpus(self, reservation: Reservation, sign: int = 1) -> None:
        """Cpus for members to come, in the same way."""
        if reservation.shape.spec.numa is None:
            return
        if reservation.cpus is None:
            reservation.cpus = self.numa.take_rows(reservation.shape, reservation.rows, reservation.counts)
        else:
            rows = np.repeat(reservation.rows, reservation.counts)
            self.numa.give_rows(rows, reservation.cpus, sign)

    # -- claims

    def claim(self, gang: Gang, claims: tuple[Reservation, ...], until: Instant) -> None:
        """Keep room that others are leaving for `gang`, instead of what it has claimed before."""
        awaited = [task for task in self.leaving.values() if task.beneficiary == gang.id]
        self.unclaim(gang)
        for claim in claims:
            self.shapes.share(claim.shape)
            for row, count in zip(claim.rows.tolist(), claim.counts.tolist(), strict=True):
                add(gang.claimed_at.setdefault(row, {}), claim.shape.request, count)
        for task in awaited:
            assert task.node is not None
            if task.node.row in gang.claimed_at:
                gang.awaits[task.fact.uid] = task
                add(gang.owed_at.setdefault(task.node.row, {}), task.shape.request)
        gang.claims, gang.claimed_until = claims, until
        self.book_claims(gang, 1)

    def unclaim(self, gang: Gang) -> None:
        """Let go of all that is claimed for a gang."""
        self.book_claims(gang, -1)
        self.settle_unclaimed(gang)

    def book_claims(self, gang: Gang, sign: int) -> None:
        """The numbers of all that a gang claims; sign -1 takes them off the books."""
        self.table.fit_axes()
        for claim in gang.claims:
            self._book_claim(gang, claim, sign)
        for row in gang.claimed_at:
            self._book_firm(gang, row, sign)

    def _book_firm(self, gang: Gang, row: int, sign: int) -> None:
        """On one row: what of the claim nobody has to leave for any more."""
        owed = gang.owed_at.get(row, {})
        for axis, amount in gang.claimed_at[row].items():
            if (firm := amount - owed.get(axis, 0)) > 0:
                self.table.firm[axis, row] += firm * sign

    def _settle_owed(self, task: Task, node: Node) -> None:
        """A task that was to leave for somebody has left, or stays."""
        gang = self.gangs.get(task.beneficiary) if task.beneficiary is not None else None
        if gang is not None and gang.awaits.pop(task.fact.uid, None) is not None:
            self._book_firm(gang, node.row, -1)
            add(gang.owed_at[node.row], task.shape.request, -1)
            self._book_firm(gang, node.row, 1)

    def _book_claim(self, gang: Gang, claim: Reservation, sign: int) -> None:
        """The numbers of one claim: on its rows, and on the accounts of the queues that will hold it."""
        self.table.claim_rows(claim.rows, claim.counts, claim.shape.request, sign)
        self._account_claimed(gang, claim.shape.request, claim.total * sign)

    @staticmethod
    def _account_claimed(gang: Gang, request: Request, count: int) -> None:
        add(gang.claimed, request, count)
        if gang.queue is not None:
            add(gang.queue.own_claimed, request, count)
            for each in gang.queue.path:
                add(each.claimed, request, count)

    def claims_are_free(self, gang: Gang) -> bool:
        """All that `gang` claims is free now, with what is firmly others' left to them."""
        if gang.awaits:
            return False
        table = self.table
        for row, claimed in gang.claimed_at.items():
            owed = gang.owed_at.get(row, {})
            for axis, amount in claimed.items():
                others = int(table.firm[axis, row]) - max(0, amount - owed.get(axis, 0))
                if int(table.free[axis, row]) - others < amount:
                    return False
        return True

    def settle_unclaimed(self, gang: Gang) -> None:
        """The claims of a gang are off the books: forget them, and let others have what is left of the room."""
        for claim in gang.claims:
            self.shapes.release(claim.shape)
            for row in claim.rows.tolist():
                self.changes.freed[Row(row)] = None
        if gang.claims:
            gang.claims, gang.claimed_until = (), EPOCH
            gang.claimed_at, gang.owed_at, gang.awaits = {}, {}, {}
            self.changes.gangs[gang.id] = gang
            self.ease(gang.queue)

    # -- berths

    def keep_berth(self, gang: Gang, berth: Berth) -> None:
        """Keep a place for a member that was sent away: nobody else may take it."""
        self.shapes.share(berth.shape)
        gang.berths = (*gang.berths, berth)
        self.book_berth(gang, berth, 1)

    def give_up_berth(self, gang: Gang, berth: Berth) -> None:
        """Nobody comes for it, or it cannot be kept."""
        self.book_berth(gang, berth, -1)
        self.settle_berth(gang, berth)

    def give_up_berths(self, gang: Gang) -> None:
        """The same for all that a gang has."""
        for berth in gang.berths:
            self.give_up_berth(gang, berth)

    def book_berth(self, gang: Gang, berth: Berth, sign: int) -> None:
        """The numbers of a berth, all of them firm: on its row, and on the accounts of the queues that will hold it."""
        self.table.fit_axes()
        self.table.claim_rows(np.array([berth.row]), ONE, berth.shape.request, sign)
        for axis, amount in berth.shape.request:
            self.table.firm[axis, berth.row] += amount * sign
        self._account_claimed(gang, berth.shape.request, sign)

    def settle_berth(self, gang: Gang, berth: Berth) -> None:
        """A berth is off the books: forget it, and let others have what is left of the room."""
        gang.berths = tuple(each for each in gang.berths if each is not berth)
        self.shapes.release(berth.shape)
        self.changes.freed[berth.row] = None
        self.changes.gangs[gang.id] = gang
        self.ease(gang.queue)
