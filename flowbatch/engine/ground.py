"""What the parts of an engine stand on while it has one policy."""

from dataclasses import dataclass
from typing import Self

from flowbatch.engine.counters import Counters
from flowbatch.engine.domains import Domains
from flowbatch.engine.fits import Fits
from flowbatch.engine.guard import Guard
from flowbatch.engine.limits import Limits
from flowbatch.engine.placement import Placement
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.policy import Policy


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The facts and how policies see them, and what is asked of both: what admits, where there is room, how much."""

    state: ClusterState
    view: View
    policy: Policy
    guard: Guard
    counters: Counters
    fits: Fits
    placement: Placement
    domains: Domains
    limits: Limits

    @classmethod
    def of(cls, state: ClusterState, view: View, policy: Policy, guard: Guard, counters: Counters) -> Self:
        """Under a new policy everything is asked anew."""
        fits = Fits(state, view, policy, guard, counters)
        placement = Placement(state, view, policy, guard, fits, counters)
        domains = Domains(state, view, policy, guard, placement)
        limits = Limits(state, view, policy, guard)
        return cls(state, view, policy, guard, counters, fits, placement, domains, limits)
