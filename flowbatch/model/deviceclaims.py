"""Claims to devices: what they were given, who uses them where, and what was decided for those that have nothing yet.

A claim is given devices with the first placement that uses it, tentative ones included, and for as long as somebody
does: so undoing a placement undoes it, and no device is given twice. What a claim's own status says is the truth; a
decision only stands in for it until it is written. So a restarted scheduler knows everything from the claims.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowbatch.model.claimasks import ClaimAsk, ClaimContent, Given
from flowbatch.model.claimfacts import (
    ClaimFact,
    DeviceClaimGone,
    DeviceClaimSeen,
    DeviceClassGone,
    DeviceClassSeen,
)
from flowbatch.model.devicepools import DevicePools
from flowbatch.model.deviceroom import DeviceRooms
from flowbatch.model.ids import NodeName, Row
from flowbatch.model.nodes import Node
from flowbatch.model.resources import AMOUNT_MAX
from flowbatch.model.shapes import Shape, Term
from flowbatch.model.table import Ints

#: Pods that one claim can be reserved for (resource.k8s.io: ResourceClaimReservedForMaxSize).
USERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Decision:
    """What a claim will be given: (request, device). It can be used on `node` alone, or where all of `terms` let it."""

    picks: tuple[tuple[str, int], ...]
    node: NodeName | None = None
    terms: tuple[tuple[Term, ...], ...] = ()


class DeviceClaims:
    """Everything about claimed devices that placement looks at."""

    def __init__(self, nodes: Mapping[NodeName, Node], node_at: Mapping[Row, Node]) -> None:
        self._nodes = nodes
        self.pools = DevicePools()
        self.claims: dict[str, DeviceClaimSeen] = {}
        #: Claim -> row -> pods there that use it.
        self.users: dict[str, dict[Row, int]] = {}
        self.decided: dict[str, Decision] = {}
        #: Claims whose devices are being taken back: nobody is placed with them meanwhile.
        self.releasing: dict[str, None] = {}
        #: A policy gives devices; without one, pods are placed as if they claimed none.
        self.on = False
        #: Device -> claims that it is given to.
        self.used: dict[int, int] = {}
        self._held: dict[str, tuple[int, ...]] = {}
        #: Claims -> how many of their users are supposed to be gone.
        self._supposed: dict[str, int] = {}
        self.rooms = DeviceRooms(self.pools, self.used, node_at)
        #: Rows whose devices moved with the last fact.
        self.moved: dict[Row, None] = {}

    def __bool__(self) -> bool:
        return bool(self.claims or self.pools)

    # -- facts

    def see(self, fact: ClaimFact) -> None:
        """A claim, a class or a slice as it now is; `moved` then says whose devices that concerns."""
        self.moved = {}
        match fact:
            case DeviceClaimSeen():
                self.claims[fact.id] = fact
                if fact.given is None:
                    self.releasing.pop(fact.id, None)
                self._settle(fact.id)
            case DeviceClaimGone():
                self.claims.pop(fact.id, None)
                self.releasing.pop(fact.id, None)
                self._settle(fact.id)
            case DeviceClassSeen() | DeviceClassGone():
                self.pools.see_class(fact)
                self._move_all()
            case _:
                names, wide = self.pools.see_slice(fact)
                for name in names:
                    self._move(self._nodes.get(name))
                if wide:
                    self._move_all()

    def is_own(self, fact: ClaimFact) -> bool:
        """It is about a claim of one pod: nobody else can be waiting for it."""
        if isinstance(fact, DeviceClaimGone):
            known = self.claims.get(fact.id)
            return known is not None and known.own
        return isinstance(fact, DeviceClaimSeen) and fact.own

    def _move(self, node: Node | None) -> None:
        if node is not None:
            self.rooms.touch(node.row)
            self.moved[node.row] = None

    def _move_all(self) -> None:
        self.rooms.touch_all()
        self.moved.update((node.row, None) for node in self._nodes.values())

    # -- who uses what

    def take(self, ids: Sequence[str], asks: Sequence[ClaimAsk], node: Node, *, decide: bool = True) -> None:
        """One more pod on `node` uses these, which `asks` are about; what has nothing yet is given devices there."""
        for claim in filter(None, ids):
            rows = self.users.setdefault(claim, {})
            rows[node.row] = rows.get(node.row, 0) + 1
        if decide and self.on:
            self._decide(ids, asks, node)

    def give(self, ids: Iterable[str], row: Row) -> None:
        """One pod less."""
        for claim in filter(None, ids):
            rows = self.users[claim]
            rows[row] -= 1
            if not rows[row]:
                del rows[row]
            if not rows:
                del self.users[claim]
                self.decided.pop(claim, None)
                self._settle(claim)

    def _decide(self, ids: Sequence[str], asks: Sequence[ClaimAsk], node: Node) -> None:
        open_ids: list[str] = []
        contents: list[ClaimContent] = []
        for claim, ask in zip(ids, asks, strict=True):
            content = self.content(ask)
            if claim and content is not None and not self.is_given(claim):
                open_ids.append(claim)
                contents.append(content)
        found = self.rooms.match(contents, self.rooms.offer(node)) if contents else None
        for claim, picks in zip(open_ids, found or (), strict=False):
            self.decided[claim] = self._decision(node, tuple(picks))
            self._settle(claim)

    def _decision(self, node: Node, picks: tuple[tuple[str, int], ...]) -> Decision:
        pools = self.pools
        if any(pools.node_of.get(number) for _, number in picks):
            return Decision(picks, node.name)
        terms = dict.fromkeys(pools.terms_of.get(number, ()) for _, number in picks)
        return Decision(picks, None, tuple(each for each in terms if each))

    def decisions(self, ids: Iterable[str]) -> dict[str, Decision]:
        """What was decided for these and is not undone."""
        return {claim: self.decided[claim] for claim in ids if claim in self.decided}

    def restore(self, decisions: Mapping[str, Decision]) -> None:
        """What was decided before its user was taken off the books, and put on them again, still holds."""
        for claim, decision in decisions.items():
            if claim in self.users:
                self.decided[claim] = decision
                self._settle(claim)

    def suppose(self, ids: Iterable[str], sign: int) -> None:
        """Suppose that one pod that uses these has gone (-1), or that it has not (1)."""
        for claim in filter(None, ids):
            gone = self._supposed.get(claim, 0) - sign
            if gone:
                self._supposed[claim] = gone
            else:
                self._supposed.pop(claim, None)
            self._settle(claim)

    def bears(self, ids: Iterable[str]) -> bool:
        """Nobody else has what these were given."""
        return all(self.used[number] <= 1 for claim in ids for number in self._held.get(claim, ()))

    def _settle(self, claim: str) -> None:
        """Bring what is held by it up to date."""
        before, after = self._held.get(claim, ()), self._holding(claim)
        if before == after:
            return
        if after:
            self._held[claim] = after
        else:
            del self._held[claim]
        for numbers, sign in ((before, -1), (after, 1)):
            for number in numbers:
                self._count(number, sign)

    def _count(self, number: int, sign: int) -> None:
        count = self.used.get(number, 0) + sign
        if count:
            self.used[number] = count
        else:
            del self.used[number]
        node = self.pools.node_of.get(number, NodeName(""))
        if node:
            self._move(self._nodes.get(node))
        elif number in self.pools.node_of:
            self._move_all()

    def _holding(self, claim: str) -> tuple[int, ...]:
        gone = self._supposed.get(claim, 0)
        if gone and gone >= sum(self.users.get(claim, {}).values()):
            return ()
        fact = self.claims.get(claim)
        if fact is not None and fact.given is not None:
            return tuple(self.pools.number((each.driver, each.pool, each.device)) for each in fact.given)
        decision = self.decided.get(claim)
        return tuple(number for _, number in decision.picks) if decision is not None else ()

    # -- what claims are

    def content(self, ask: ClaimAsk) -> ClaimContent | None:
        """What is asked for; None where nobody knows."""
        if ask.content is not None:
            return ask.content
        fact = self.claims.get(ask.claim)
        return fact.content if fact is not None else None

    def is_given(self, claim: str) -> bool:
        """It has devices, or will have."""
        fact = self.claims.get(claim)
        return claim in self.decided or (fact is not None and fact.given is not None)

    def open(self, shape: Shape) -> tuple[ClaimContent, ...]:
        """What the next pod of `shape` must be given devices for."""
        found = (self.content(ask) for ask in shape.spec.device_claims if not ask.claim or not self.is_given(ask.claim))
        return tuple(content for content in found if content is not None)

    def is_first(self, shape: Shape) -> bool:
        """The next pod of `shape` decides for others where a claim is."""
        return any(ask.claim and not self.is_given(ask.claim) for ask in shape.spec.device_claims)

    def is_bound(self, shape: Shape) -> bool:
        """Claims decide where its pods may be, or are not as they should be."""
        return any(ask.claim or self.trouble(ask) for ask in shape.spec.device_claims)

    def is_roaming(self, shape: Shape) -> bool:
        """Devices that several nodes reach may be given: what is taken on one node is missing on others."""
        return self.pools.everywhere() and bool(self.open(shape))

    def trouble(self, ask: ClaimAsk) -> str:
        """What is wrong with a claim wherever its pod goes; empty for nothing."""
        name = ask.claim.partition("/")[2]
        if ask.missing:
            return ask.missing
        fact = self.claims.get(ask.claim) if ask.claim else None
        if ask.claim and fact is None:
            return f'resourceclaim "{name}" not found'
        if fact is not None and fact.deleting:
            return f'resourceclaim "{name}" is being deleted'
        if ask.claim in self.releasing:
            return f'devices of resourceclaim "{name}" are being taken back'
        if fact is not None and len(fact.reserved) >= USERS_MAX:
            return f'resourceclaim "{name}" is used by {len(fact.reserved)} pods already, and no more may'
        if fact is not None and fact.given is not None:
            return ""
        content = self.content(ask)
        if content is None or content.problem:
            return content.problem if content is not None else ""
        for each in content.classes:
            known = self.pools.classes.get(each)
            if known is None:
                return f'device class "{each}" does not exist'
            if known.problem:
                return f'device class "{each}": {known.problem}'
        return ""

    def reach(self, claim: str) -> tuple[NodeName | None, tuple[tuple[Term, ...], ...]]:
        """Where a claim that has devices can be used: on one node, or on nodes that pass one of each of these terms."""
        fact = self.claims.get(claim)
        if fact is not None and fact.given is not None:
            return None, (fact.terms,) if fact.terms else ()
        decision = self.decided[claim]
        return decision.node, decision.terms

    # -- room

    def limit(self, shape: Shape, copies: Ints, *, empty: bool = False) -> Ints:
        """`copies` by row, where devices do not allow for fewer."""
        contents = self.open(shape) if self.on else ()
        if not contents:
            return copies
        return np.minimum(copies, self._room(shape, contents, copies.size, empty=empty))

    def limit_at(self, shape: Shape, rows: Ints, copies: Ints) -> Ints:
        """The same for some rows: `copies` is about those alone."""
        contents = self.open(shape) if self.on else ()
        if not contents or not rows.size:
            return copies
        return np.minimum(copies, self._room(shape, contents, int(rows.max()) + 1)[rows])

    def _room(self, shape: Shape, contents: tuple[ClaimContent, ...], size: int, *, empty: bool = False) -> Ints:
        """By row, how many find devices. What they share is given once: only the first of them needs it."""
        room = self.rooms.copies(contents, size, empty=empty)
        if not self.is_first(shape):
            return room
        own = tuple(ask.content for ask in shape.spec.device_claims if ask.content is not None)
        later = self.rooms.copies(own, size, empty=empty) if own else np.full(size, AMOUNT_MAX, np.int64)
        result: Ints = np.where(room > 0, np.maximum(later, 1), 0)
        return result

    def given(self, claim: str) -> Iterator[Given]:
        """What was decided for a claim, by name."""
        decision = self.decided.get(claim)
        for request, number in decision.picks if decision is not None else ():
            yield Given(request, *self.pools.names[number])
