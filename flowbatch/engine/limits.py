"""What a gang's queues may hold: every limit on the way to the root, and what is left of it."""

from collections.abc import Iterable, Sequence

from flowbatch.engine.guard import Guard
from flowbatch.engine.standing import Part
from flowbatch.model.blockers import Blocker, NeedsQuota
from flowbatch.model.gangs import Gang, Role
from flowbatch.model.ids import Amounts
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, add, shortfall
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import Ceiling
from flowbatch.policy.policy import Policy

#: Kinds of limits that do not move with what others hold: a gang above one alone can never start.
HARD = ("capability", "owner")
#: Kinds of limits that only facts about queues, the cluster's capacity and its division move.
STEADY = ("capability", "share")


class Limits:
    """Asks the policy's limits, on the way from a gang's queue to the root."""

    def __init__(self, state: ClusterState, view: View, policy: Policy, guard: Guard) -> None:
        self._state = state
        self._view = view
        self._policy = policy
        self._guard = guard

    def ceilings(self, gang: Gang) -> Iterable[Ceiling]:
        """Everything on the way to the root that limits what may be held together with `gang`."""
        queue, call = gang.queue, self._guard.call
        assert queue is not None
        for each in queue.path:
            for limit in self._policy.limits:
                if limit.own and each is not queue:
                    continue
                most = call(limit, limit.limit, {}, each, self._view)
                if most:
                    held, leaving = held_against(each, own=limit.own)
                    first = limit.first_gang_may_exceed
                    yield Ceiling(each, limit.kind, held, most, "", first, leaving, limit.own)
        for rule in self._policy.gang_limits:
            yield from call(rule, rule.ceilings, (), gang, self._view)

    def quota(self, gang: Gang, parts: list[Part], reserve: Sequence[tuple[Role, int]] = ()) -> Blocker | None:
        """The first limit that `parts`, and members to come, would break together."""
        asked: Sums = {}
        claims: dict[str, None] = {}
        for part in parts:
            add(asked, part.shape.request, part.must)
            if part.shape.spec.device_claims:
                add(asked, self._state.uncharged(part.shape, claims).items())
        for role, count in reserve:
            if role.shape is not None:
                add(asked, role.shape.request, count)
        for ceiling in self.ceilings(gang):
            if ceiling.first_gang_may_exceed and not ceiling.held:
                continue
            if gang.claims and ceiling.kind == "share":
                # What is its own was looked at when room was made for it.
                continue
            short = shortfall(asked.items(), ceiling.held, ceiling.most)
            if short:
                hopeless = ceiling.kind in HARD and bool(shortfall(asked.items(), gang.allocated, ceiling.most))
                return self._needs(gang, ceiling, short, hopeless=hopeless)
        return None

    def _needs(self, gang: Gang, ceiling: Ceiling, short: Sums, *, hopeless: bool = False) -> NeedsQuota:
        amounts = self._state.axes.amounts
        names = self._state.axes.names
        holds = tuple(sorted((names[axis], ceiling.held.get(axis, 0)) for axis in short))
        least = {axis: ceiling.held.get(axis, 0) - amount for axis, amount in short.items()}
        passes_at: Amounts = ()
        counts = ""
        # What a gang has reserved or claimed itself was set aside when it was refused, and is not while it waits.
        if ceiling.kind in STEADY and min(least.values()) >= 0 and not (gang.reserved or gang.claims):
            passes_at = tuple((names[axis], amount) for axis, amount in least.items())
            counts = "own" if ceiling.own else "held"
        return NeedsQuota(
            ceiling.queue.name,
            ceiling.kind,
            amounts(short),
            hopeless,
            ceiling.owner,
            holds,
            passes_at=passes_at,
            counts=counts,
        )

    def allowance(self, gang: Gang, shape: Shape) -> int:
        """How many more of `shape` the gang's queues may hold."""
        most = len(gang.pending)
        once = self._state.uncharged(shape, {}) if shape.spec.device_claims else {}
        for ceiling in self.ceilings(gang):
            # A queue that holds nothing may start one pod, however large: else two of them wait for ever.
            least = int(ceiling.first_gang_may_exceed and not ceiling.held)
            if shortfall(once.items(), ceiling.held, ceiling.most) and not least:
                return 0
            for axis, amount in shape.request:
                if axis in ceiling.most:
                    left = max(0, ceiling.most[axis] - ceiling.held.get(axis, 0))
                    most = min(most, max(least, left // amount))
        return most

    def bears(self, gang: Gang, shape: Shape) -> bool:
        """Whether one more of `shape` is within all limits but that of shares: it was within them before it moved."""
        firm = (ceiling for ceiling in self.ceilings(gang) if ceiling.kind != "share")
        return not any(shortfall(shape.request, ceiling.held, ceiling.most) for ceiling in firm)

    def exceeded(self, gang: Gang, shape: Shape) -> Blocker | None:
        """The first limit that one more of `shape` would break; rather one that also holds where nothing is held."""
        lenient: Blocker | None = None
        asked = dict(shape.request)
        if shape.spec.device_claims:
            add(asked, self._state.uncharged(shape, {}).items())
        for ceiling in self.ceilings(gang):
            short = shortfall(asked.items(), ceiling.held, ceiling.most)
            if short and not (ceiling.first_gang_may_exceed and not ceiling.held):
                return self._needs(gang, ceiling, short)
            if short and lenient is None:
                lenient = self._needs(gang, ceiling, short)
        return lenient


def held_against(queue: Queue, *, own: bool) -> tuple[Sums, Sums]:
    """What counts against a limit: what is held, and what others make room for; and the part that is leaving."""
    held, claimed = (queue.own, queue.own_claimed) if own else (queue.held(), queue.claimed)
    if claimed:
        held = dict(held)
        add(held, claimed.items())
    return held, queue.own_leaving if own else queue.leaving
