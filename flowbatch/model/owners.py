"""What each namespace, and each user, holds in one queue: kept only where that is limited, or a policy looks at it.

A limit that names somebody is theirs alone; one with "*" holds for each of all the others, each by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from flowbatch.model.facts import OwnerLimit
from flowbatch.model.ids import GangId
from flowbatch.model.memory import Memory
from flowbatch.model.resources import PODS, Axes, Sums, add

Kind = Literal["namespace", "user"]
#: (kind, name); a gang has one of each kind. The user without a name is one user.
Owner = tuple[Kind, str]
ANYBODY = "*"


@dataclass(slots=True, eq=False)
class Allowance:
    """The most that one owner may hold."""

    most: Sums
    jobs: int | None


@dataclass(slots=True, eq=False)
class Accounts:
    """One queue's accounts: what its limits are, and what their owners hold in it and below it."""

    held: dict[Owner, Sums] = field(default_factory=dict)
    #: Gangs that hold something, with their pods.
    jobs: dict[Owner, dict[GangId, int]] = field(default_factory=dict)
    allowances: dict[Owner, Allowance] = field(default_factory=dict)
    #: Kinds of owners that are counted whether they are limited or not.
    tracked: tuple[Kind, ...] = ()
    #: What they have used, while a policy asks for it.
    memories: dict[Owner, Memory] = field(default_factory=dict)

    @staticmethod
    def of(limits: Iterable[OwnerLimit], axes: Axes, tracked: tuple[Kind, ...] = ()) -> "Accounts":
        """Accounts under `limits`, empty; of two limits for the same owner the first counts."""
        accounts = Accounts(tracked=tracked)
        for limit in limits:
            allowance = Allowance(axes.sums(limit.most), limit.jobs)
            owners: list[Owner] = []
            owners.extend(("namespace", name) for name in limit.namespaces)
            owners.extend(("user", name) for name in limit.users)
            for owner in owners:
                accounts.allowances.setdefault(owner, allowance)
        return accounts

    def allowance(self, owner: Owner) -> Allowance | None:
        """What limits `owner`, by name or as one of all the others."""
        kind, _ = owner
        return self.allowances.get(owner) or self.allowances.get((kind, ANYBODY))

    def charge(self, gang: GangId, owners: Iterable[Owner], request: Iterable[tuple[int, int]], count: int) -> None:
        """`count` times `request` more for the gang's owners; a negative count takes it away."""
        request = tuple(request)
        for owner in owners:
            if self.allowance(owner) is None and owner[0] not in self.tracked:
                continue
            held = self.held.setdefault(owner, {})
            add(held, request, count)
            jobs = self.jobs.setdefault(owner, {})
            pods = jobs.get(gang, 0) + count * next((amount for axis, amount in request if axis == PODS), 0)
            if pods:
                jobs[gang] = pods
            else:
                jobs.pop(gang, None)
            if not held:
                del self.held[owner]
            if not jobs:
                del self.jobs[owner]
