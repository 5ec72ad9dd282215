"""Claims, volumes and their classes; who uses which claim where; and what was decided for claims that wait for a pod.

A claim that binds late (WaitForFirstConsumer) is *decided* with the first placement that uses it, tentative ones
included: for one of the volumes that are there, or to be provisioned for that node. The decision lasts as long as
somebody uses the claim, so undoing a placement undoes it, and two pods cannot be promised one volume.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowbatch.model.facts import AttachSeen, ClaimSeen, ClassSeen, VolumeSeen
from flowbatch.model.ids import NodeName, Row
from flowbatch.model.labels import passes
from flowbatch.model.nodes import Node
from flowbatch.model.resources import AMOUNT_MAX
from flowbatch.model.shapes import Term
from flowbatch.model.table import Ints

EXCLUSIVE = "ReadWriteOncePod"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a late claim will be bound to: a volume that is there, or (empty) one made for `node`."""

    node: NodeName
    row: Row
    volume: str = ""


class Volumes:
    """Everything about storage that placement looks at."""

    def __init__(self) -> None:
        self.claims: dict[str, ClaimSeen] = {}
        #: Nobody shows them to us, so that one we do not know need not be missing.
        self.hidden = False
        self.volumes: dict[str, VolumeSeen] = {}
        self.classes: dict[str, ClassSeen] = {}
        #: Claim -> row -> pods there that use it.
        self.users: dict[str, dict[Row, int]] = {}
        self.decided: dict[str, Choice] = {}
        #: Volume -> the claim it is promised to.
        self.promised: dict[str, str] = {}
        #: Driver -> by row, how many volumes it may attach, and has attached.
        self._limits: dict[str, dict[NodeName, int]] = {}
        self._attached: dict[str, dict[Row, int]] = {}
        self._driver_at: dict[tuple[str, Row], str] = {}

    # -- facts

    def see_limits(self, fact: AttachSeen) -> None:
        """How much a node's drivers can attach."""
        for limits in self._limits.values():
            limits.pop(fact.node, None)
        for driver, count in fact.limits:
            self._limits.setdefault(driver, {})[fact.node] = count

    # -- what claims are

    def is_late(self, claim: ClaimSeen) -> bool:
        """It is bound once a pod that uses it has its node."""
        each = self.classes.get(claim.storage_class)
        return each is not None and each.late

    def fits(self, claim: ClaimSeen, volume: VolumeSeen) -> bool:
        """The claim may be bound to that volume, wherever that is."""
        if volume.claim:
            return volume.claim == claim.id
        return (
            volume.phase == "Available"
            and self.promised.get(volume.name, claim.id) == claim.id
            and volume.storage_class == claim.storage_class
            and volume.capacity >= claim.capacity
            and all(mode in volume.modes for mode in claim.modes)
            and (volume.block == claim.block)
            and (claim.tests is None or passes(claim.tests, dict(volume.labels)))
        )

    def candidates(self, claim: ClaimSeen) -> list[VolumeSeen]:
        """Volumes that would do, smallest first."""
        found = [volume for volume in self.volumes.values() if self.fits(claim, volume)]
        return sorted(found, key=lambda volume: (not volume.claim, volume.capacity, volume.name))

    def provisions(self, claim: ClaimSeen) -> ClassSeen | None:
        """The class that would make a volume for it, if it can."""
        each = self.classes.get(claim.storage_class)
        return each if each is not None and each.provisioner else None

    def driver_of(self, claim_id: str) -> str:
        """Who attaches it; empty where that is not known."""
        claim = self.claims.get(claim_id)
        if claim is None:
            return ""
        choice = self.decided.get(claim_id)
        volume = self.volumes.get(claim.volume or (choice.volume if choice is not None else ""))
        if volume is not None:
            return volume.driver
        each = self.classes.get(claim.storage_class)
        return each.provisioner if each is not None else ""

    # -- who uses them

    def take(self, claims: Iterable[str], node: Node) -> None:
        """One more pod on `node` uses these."""
        for claim_id in self._by_size(claims):
            rows = self.users.setdefault(claim_id, {})
            rows[node.row] = rows.get(node.row, 0) + 1
            if claim_id not in self.decided:
                self._decide(claim_id, node)
            if rows[node.row] == 1:
                self._attach(claim_id, node.row)

    def give(self, claims: Iterable[str], row: Row) -> None:
        """One pod less."""
        for claim_id in claims:
            self._leave(claim_id, row)
            if claim_id not in self.users:
                choice = self.decided.pop(claim_id, None)
                if choice is not None and choice.volume:
                    self.promised.pop(choice.volume, None)

    def suppose(self, claims: Iterable[str], row: Row, sign: int) -> None:
        """As if a pod that is leaving `row` had left (sign -1), or were still there (1); what was decided stays."""
        for claim_id in claims:
            if sign < 0:
                self._leave(claim_id, row)
                continue
            rows = self.users.setdefault(claim_id, {})
            rows[row] = rows.get(row, 0) + 1
            if rows[row] == 1:
                self._attach(claim_id, row)

    def _leave(self, claim_id: str, row: Row) -> None:
        rows = self.users[claim_id]
        rows[row] -= 1
        if not rows[row]:
            del rows[row]
            driver = self._driver_at.pop((claim_id, row))
            self._attached[driver][row] -= 1
            if not self._attached[driver][row]:
                del self._attached[driver][row]
        if not rows:
            del self.users[claim_id]

    def _attach(self, claim_id: str, row: Row) -> None:
        driver = self._driver_at[claim_id, row] = self.driver_of(claim_id)
        here = self._attached.setdefault(driver, {})
        here[row] = here.get(row, 0) + 1

    def _by_size(self, claims: Iterable[str]) -> list[str]:
        """Smallest first: each then takes the smallest volume that will do, and leaves the larger ones."""
        known = self.claims
        return sorted(claims, key=lambda claim: (known[claim].capacity if claim in known else 0, claim))

    def _decide(self, claim_id: str, node: Node) -> None:
        claim = self.claims.get(claim_id)
        if claim is None or claim.volume or not self.is_late(claim):
            return
        for volume in self.candidates(claim):
            if reaches(volume.terms, node):
                self.decided[claim_id] = Choice(node.name, node.row, volume.name)
                self.promised[volume.name] = claim_id
                return
        if self.provisions(claim) is not None:
            self.decided[claim_id] = Choice(node.name, node.row)

    def attachable(self, driver: str, nodes: Mapping[NodeName, Node], size: int) -> Ints | None:
        """By row, how many more volumes `driver` may attach; None where no node has a limit."""
        limits = self._limits.get(driver)
        if not limits:
            return None
        left: Ints = np.full(size, AMOUNT_MAX, np.int64)
        for name, count in limits.items():
            node = nodes.get(name)
            if node is not None:
                left[node.row] = count - self._attached.get(driver, {}).get(node.row, 0)
        return left

    def attached(self) -> list[int]:
        """How many volumes are attached to each node, driver by driver: for checks."""
        return [count for rows in self._attached.values() for count in rows.values()]


def reaches(terms: Sequence[Term], node: Node) -> bool:
    """A volume with this node affinity may be used on `node`; none means everywhere."""
    return not terms or any(term and passes(term, node.labels, node.name) for term in terms)
