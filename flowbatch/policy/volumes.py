"""Where a pod's claims let it be, and what must be done about them before it is bound.

Rules and words are Kubernetes' (VolumeBinding, VolumeZone, VolumeRestrictions and NodeVolumeLimits plugins). A claim
that is bound keeps the pod where its volume is; one that binds late needs a volume that reaches the node, or a class
that makes one there. What was decided is written before the binding, which waits until the claims are bound.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from flowbatch.model.facts import ClaimSeen, VolumeSeen
from flowbatch.model.gangs import Task
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape, Term
from flowbatch.model.steps import Step
from flowbatch.model.table import Bools, Ints
from flowbatch.model.view import ClusterView
from flowbatch.model.volumes import EXCLUSIVE
from flowbatch.policy.affinity import term_rows
from flowbatch.policy.contract import Pace
from flowbatch.policy.refusing import first_refusal

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
ELSEWHERE = "node(s) didn't match PersistentVolume's node affinity"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
NO_ZONE = "node(s) had no available volume zone"
IN_USE = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
TOO_MANY = "node(s) exceed max volume count"
ZONES = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)


@dataclass(frozen=True)
class VolumeFit:
    """Claims as a filter. Volcano's predicates plugin can switch off each of its three parts."""

    binding: bool = True
    zones: bool = True
    limits: bool = True
    by_placement = by_stake = True

    def concerns(self, shape: Shape, view: ClusterView) -> bool:
        """It has claims."""
        return bool(shape.spec.claims) and not view.volumes.hidden

    def pace(self, shape: Shape, view: ClusterView) -> Pace:
        """The first pod decides where a late claim is; an exclusive one has no second."""
        known = [view.volumes.claims.get(claim) for claim in shape.spec.claims]
        alone = any(claim is not None and (not claim.volume or EXCLUSIVE in claim.modes) for claim in known)
        return "one" if alone else "many"

    def opens(self, shape: Shape, company: Sequence[Shape], view: ClusterView) -> bool:
        """Pods placed together with it leave no more volumes than there were."""
        return False

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or what is wrong with a claim there."""
        return first_refusal(self.refusals(shape, view), node)

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows that some claim rules out."""
        if view.volumes.hidden:
            return
        yield from self.lasting(shape, view)
        everywhere = np.ones(view.table.size, np.bool_)
        if self.held_alone(shape, view):
            yield everywhere, IN_USE
        if self.limits:
            yield from _crowded(shape, view)

    def lasting(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows that some claim rules out, whoever goes."""
        if view.volumes.hidden:
            return
        everywhere = np.ones(view.table.size, np.bool_)
        late: list[ClaimSeen] = []
        for claim_id in shape.spec.claims if self.binding else ():
            claim = view.volumes.claims.get(claim_id)
            trouble = _trouble(claim_id, claim)
            if trouble or claim is None:
                yield everywhere, trouble
            elif claim.volume:
                yield from self._bound(claim, view, everywhere)
            elif view.volumes.is_late(claim):
                late.append(claim)
            else:
                yield everywhere, UNBOUND
        if late:
            yield ~_reachable(late, view), NO_VOLUME

    def held_alone(self, shape: Shape, view: ClusterView) -> list[str]:
        """Claims of the shape that one pod has for itself, and another one has now."""
        known = [view.volumes.claims.get(claim_id) for claim_id in shape.spec.claims if self.binding]
        alone = [each.id for each in known if each is not None and EXCLUSIVE in each.modes]
        return [claim_id for claim_id in alone if view.volumes.users.get(claim_id)]

    def _bound(self, claim: ClaimSeen, view: ClusterView, everywhere: Bools) -> Iterable[tuple[Bools, str]]:
        volume = view.volumes.volumes.get(claim.volume)
        if volume is None:
            yield everywhere, f'persistentvolume "{claim.volume}" not found'
            return
        if volume.terms:
            yield ~rows_of(volume.terms, view), ELSEWHERE
        if self.zones:
            yield from _zones(volume, view)


def _trouble(claim_id: str, claim: ClaimSeen | None) -> str:
    name = claim_id.partition("/")[2]
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    if claim.deleting:
        return f'persistentvolumeclaim "{name}" is being deleted'
    if claim.lost:
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.volume}"'
    return ""


def rows_of(terms: Sequence[Term], view: ClusterView) -> Bools:
    """Rows that one of the terms admits."""
    hit = np.zeros(view.table.size, np.bool_)
    for term in terms:
        hit |= term_rows(term, view)
    return hit


def _zones(volume: VolumeSeen, view: ClusterView) -> Iterable[tuple[Bools, str]]:
    """Old volumes say their zones in labels, several joined by "__"; nodes without any zone take all."""
    size = view.table.size
    for key, value in volume.labels:
        if key in ZONES:
            column, wanted = view.columns.label(key), dict.fromkeys(value.split("__"))
            yield ~column.where_any(lambda each, wanted=wanted: each in wanted, size, absent=True), NO_ZONE  # type: ignore[misc]  # a default


def _reachable(late: list[ClaimSeen], view: ClusterView) -> Bools:
    """Rows where every late claim can have a volume, each a different one.

    Larger claims have fewer to choose from, and smaller ones of the same class can use those too: so the n-th of a
    class, the largest first, must find n.
    """
    size, volumes = view.table.size, view.volumes
    allowed = np.ones(size, np.bool_)
    before: dict[str, int] = {}
    for claim in sorted(late, key=lambda each: (-each.capacity, each.id)):
        choice = volumes.decided.get(claim.id)
        if choice is not None:
            chosen = volumes.volumes.get(choice.volume)
            allowed &= _only(choice.row, size) if chosen is None else _reach(chosen, view)
            continue
        count: Ints = np.zeros(size, np.int64)
        for volume in volumes.candidates(claim):
            count += _reach(volume, view)
        before[claim.storage_class] = before.get(claim.storage_class, 0) + 1
        there = count >= before[claim.storage_class]
        allowed &= there | _made(claim, view)
    return allowed


def _reach(volume: VolumeSeen, view: ClusterView) -> Bools:
    return rows_of(volume.terms, view) if volume.terms else np.ones(view.table.size, np.bool_)


def _only(row: int, size: int) -> Bools:
    mask = np.zeros(size, np.bool_)
    mask[row] = True
    return mask


def _made(claim: ClaimSeen, view: ClusterView) -> Bools:
    """Rows for which its class makes a volume; only one, once somebody has selected a node."""
    size, each = view.table.size, view.volumes.provisions(claim)
    if each is None:
        return np.zeros(size, np.bool_)
    rows = rows_of(each.topologies, view) if each.topologies else np.ones(size, np.bool_)
    if claim.selected:
        node = view.nodes.get(claim.selected)
        rows &= _only(node.row, size) if node is not None else np.zeros(size, np.bool_)
    return rows


def _crowded(shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
    """Rows that cannot attach so many more volumes; one that is attached for another pod costs nothing."""
    by_driver: dict[str, list[str]] = {}
    for claim_id in shape.spec.claims:
        driver = view.volumes.driver_of(claim_id)
        if driver:
            by_driver.setdefault(driver, []).append(claim_id)
    for driver, claims in by_driver.items():
        left = view.volumes.attachable(driver, view.nodes, view.table.size)
        if left is None:
            continue
        for claim_id in claims:
            left -= 1
            for row in view.volumes.users.get(claim_id, ()):
                left[row] += 1
        yield left < 0, TOO_MANY


@dataclass(frozen=True)
class VolumeSteps:
    """What to write before a binding: the claim into the volume, or the node into the claim; then to wait for both."""

    timeout_s: int = 600

    def steps(self, task: Task, node: Node, view: ClusterView) -> tuple[Step, ...]:
        """One for each claim that is not bound, and one that waits for them."""
        steps: list[Step] = []
        waiting: list[str] = []
        for claim_id in task.shape.spec.claims:
            claim, choice = view.volumes.claims.get(claim_id), view.volumes.decided.get(claim_id)
            if claim is None or claim.volume or choice is None:
                continue
            waiting.append(claim_id)
            said = {"claim": claim_id, "uid": claim.uid}
            said |= {"volume": choice.volume} if choice.volume else {"node": node.name}
            steps.append(Step("volume", claim_id, msgspec.json.encode(said).decode()))
        if waiting:
            said_of_all = {"bound": waiting, "seconds": self.timeout_s}
            steps.append(Step("volume", "bound", msgspec.json.encode(said_of_all).decode()))
        return tuple(steps)
