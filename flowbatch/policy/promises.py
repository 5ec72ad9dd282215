"""What borrowing and owners' limits say at the enqueue gate, before pods are made."""

from dataclasses import dataclass

from flowbatch.model.blockers import Blocker, NeedsQuota
from flowbatch.model.gangs import Gang
from flowbatch.model.resources import Sums, add, shortfall
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Ceiling, GangLimit
from flowbatch.policy.gates import minimum_of
from flowbatch.policy.lending import Borrowing
from flowbatch.policy.owners import OwnerShare


@dataclass(frozen=True)
class GangRoom:
    """A gang whose stated minimum is above one of its limits, with what is promised already, gets no pods yet.

    Otherwise it would be let in, never start, and keep what was promised to it from those who could.
    """

    limits: tuple[GangLimit, ...] = (Borrowing(), OwnerShare())
    alike = True

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """NeedsQuota for the first limit in the way."""
        minimum = minimum_of(gang)
        names = view.axes.amounts
        for limit in self.limits if minimum else ():
            for ceiling in limit.ceilings(gang, view):
                short = shortfall(minimum, taken(ceiling), ceiling.most)
                if short:
                    holds = names({axis: ceiling.held.get(axis, 0) for axis in short}) if ceiling.owner else ()
                    hopeless = bool(ceiling.owner) and bool(shortfall(minimum, {}, ceiling.most))
                    return NeedsQuota(ceiling.queue.name, ceiling.kind, names(short), hopeless, ceiling.owner, holds)
        return None


def taken(ceiling: Ceiling) -> Sums:
    """What is held, and what is promised to gangs of the queue that have not started; of owners only what is held."""
    sums = dict(ceiling.held)
    if not ceiling.owner:
        add(sums, ceiling.queue.inqueue.items())
        add(sums, ceiling.queue.elastic.items(), -1)
    return sums
