"""A budget per team: what the gangs of one namespace may hold together, whatever queues they are in.

    policies: [team_budget.py]
    scheduler:
      policy:
        admission: [{name: teamBudget, cpu: {vision: 400, speech: 100}}]

The Ledger keeps the sum: the engine tells it of every placement and of every end, and makes it anew, from all that is
placed, when a policy is adopted or the scheduler starts. The policy itself stays a value that knows only the budgets.
"""

from dataclasses import dataclass

from flowbatch.model.blockers import Refused

CPU, MILLI = "cpu", 1000


class Held:
    """A Ledger: thousandths of a cpu by namespace."""

    def __init__(self):
        self.of = {}

    def placed(self, gang, shape, count):
        """So many of `shape` took their places; `removed` is the exact inverse."""
        team = team_of(gang)
        self.of[team] = self.of.get(team, 0) + cpu_of(shape) * count

    def removed(self, gang, shape, count):
        """They gave them back."""
        self.placed(gang, shape, -count)


@dataclass(frozen=True)
class TeamBudget:
    """An Admission: a gang whose minimum would lift its team above the budget waits until others of the team end."""

    parts = ("admission",)
    ledgers = (Held,)
    cpu: tuple = ()

    def blocker(self, gang, view):
        """Refused with both numbers; any change in the cluster is a reason to look again."""
        team = team_of(gang)
        budget = dict(self.cpu).get(team)
        if budget is None:
            return None
        held, asked = view.ledgers[Held].of.get(team, 0), asked_by(gang)
        if held + asked <= budget * MILLI:
            return None
        told = f"team {team} holds {held / MILLI:g} of its {budget:g} cpu, and this needs {asked / MILLI:g} more"
        return Refused("teamBudget", told)


def team_of(gang):
    """Its namespace."""
    return gang.id.partition("/")[0]


def cpu_of(shape):
    """What one pod of it requests."""
    return dict(shape.spec.requests).get(CPU, 0)


def asked_by(gang):
    """The cheapest way to complete its minimum; all that wait, where only members beyond it do."""
    waiting = sorted(cpu_of(task.shape) for task in gang.pending.values())
    missing = gang.min_members - gang.ready
    return sum(waiting[:missing] if missing > 0 else waiting)
