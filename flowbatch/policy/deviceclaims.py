"""Where a pod's claims to devices let it be, and what they are given before it is bound.

Rules and words are Kubernetes' (DynamicResources plugin): a claim that has devices keeps its pods where those can be
used; one that has none is given some on the node of its first pod. What nodes have free is the engine's own business,
like capacity; what is written is the allocation, and whom the claim is reserved for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from flowbatch.model.devicepools import reaches
from flowbatch.model.gangs import Task
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import LabelTest, Shape, Term
from flowbatch.model.steps import Step
from flowbatch.model.table import Bools
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Pace
from flowbatch.policy.refusing import first_refusal
from flowbatch.policy.volumes import rows_of

ELSEWHERE = "node(s) do not reach the devices of the pod's resource claims"


@dataclass(frozen=True)
class DeviceClaimFit:
    """Claims to devices as a filter. With it in a policy, devices are given to claims."""

    by_placement = by_stake = True
    gives_devices = True

    def concerns(self, shape: Shape, view: ClusterView) -> bool:
        """Claims that others use too or that have devices, claims with something wrong, devices of many nodes."""
        claims = view.device_claims
        return bool(shape.spec.device_claims) and (claims.is_bound(shape) or claims.is_roaming(shape))

    def pace(self, shape: Shape, view: ClusterView) -> Pace:
        """The first pod decides where a shared claim is, and takes from what others could have had."""
        claims = view.device_claims
        return "one" if claims.is_first(shape) or claims.is_roaming(shape) else "many"

    def opens(self, shape: Shape, company: Sequence[Shape], view: ClusterView) -> bool:
        """Pods placed together with it leave no more devices than there were."""
        return False

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or what is wrong with a claim there."""
        return first_refusal(self.refusals(shape, view), node)

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows that some claim rules out."""
        claims = view.device_claims
        for ask in shape.spec.device_claims:
            trouble = claims.trouble(ask)
            if trouble:
                yield np.ones(view.table.size, np.bool_), trouble
            elif ask.claim and claims.is_given(ask.claim):
                yield from _elsewhere(ask.claim, view)


def _elsewhere(claim: str, view: ClusterView) -> Iterable[tuple[Bools, str]]:
    name, terms = view.device_claims.reach(claim)
    if name is not None:
        refused: Bools = np.ones(view.table.size, np.bool_)
        node = view.nodes.get(name)
        if node is not None:
            refused[node.row] = False
        yield refused, ELSEWHERE
    for each in terms:
        yield ~rows_of(each, view), ELSEWHERE


class _Selector(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node selector term of an allocation, in the words of the step."""

    labels: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    fields: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


class DevicesGiven(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step of kind "devices" says: (request, driver, pool, device) for a claim, and who may use it.

    `nodes` are the terms of which a node must pass one; none: every node will do. Without `given`, the claim has its
    devices already and is only to be reserved. Without `uid`, the engine knows the claim only from its pod.
    """

    claim: str
    uid: str
    pod: str
    pod_uid: str
    given: tuple[tuple[str, str, str, str], ...] | None = None
    nodes: tuple[_Selector, ...] = ()
    #: It has devices that the node does not reach: the engine heard of that after it chose the node, or will.
    elsewhere: bool = False


@dataclass(frozen=True)
class DeviceClaimSteps:
    """What to write before a binding: what each claim is given, and that this pod may use it."""

    def steps(self, task: Task, node: Node, view: ClusterView) -> tuple[Step, ...]:
        """One for each claim."""
        claims, steps = view.device_claims, []
        for claim in filter(None, task.fact.device_claims):
            fact = claims.claims.get(claim)
            there = fact is None or fact.given is None or not fact.terms or reaches(fact.terms, node)
            if there and fact is not None and fact.given is not None and task.uid in fact.reserved:
                continue
            uid = fact.uid if fact is not None else ""
            said = DevicesGiven(claim, uid, task.fact.name, task.uid, elsewhere=not there)
            if (fact is None or fact.given is None) and claim in claims.decided:
                given = tuple((each.request, each.driver, each.pool, each.device) for each in claims.given(claim))
                said = msgspec.structs.replace(said, given=given, nodes=_nodes(claim, view))
            steps.append(Step("devices", claim, msgspec.json.encode(said).decode()))
        return tuple(steps)


def _nodes(claim: str, view: ClusterView) -> tuple[_Selector, ...]:
    """Where its devices can be used; of several kinds of nodes, those that are of each kind."""
    name, kinds = view.device_claims.reach(claim)
    if name is not None:
        return (_Selector(fields=(("metadata.name", "In", (name,)),)),)
    found: list[Term] = [()]
    for terms in kinds:
        found = [(*before, *term) for before in found for term in terms]
    return tuple(_selector(term) for term in found) if kinds else ()


def _selector(term: Term) -> _Selector:
    def said(tests: Iterable[LabelTest]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        return tuple((test.key, test.operator, test.values) for test in tests)

    return _Selector(said(t for t in term if not t.field), said(t for t in term if t.field))
