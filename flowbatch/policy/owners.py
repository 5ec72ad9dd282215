"""Limits of namespaces and users inside a queue, at every level of the tree (peers: YuniKorn's limits)."""

from collections.abc import Iterable
from dataclasses import dataclass

from flowbatch.model.blockers import Blocker, NeedsQuota
from flowbatch.model.gangs import Gang
from flowbatch.model.owners import Accounts, Owner
from flowbatch.model.resources import Sums, add
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Ceiling


@dataclass(frozen=True)
class OwnerShare:
    """What a gang's namespace and user may hold in each queue on its path. Costs nothing where nobody limits them."""

    def ceilings(self, gang: Gang, view: ClusterView) -> Iterable[Ceiling]:
        """One for each limit that names one of the gang's owners."""
        queue = gang.queue
        if queue is None or not queue.limits_owners:
            return ()
        return [
            Ceiling(
                each,
                "owner",
                each.accounts.held.get(owner, {}),
                allowance.most,
                named(owner),
                leaving=leaving(each.accounts, owner, view) if each.leaving else {},
            )
            for each in queue.path
            if each.accounts is not None
            for owner in gang.owners
            if (allowance := each.accounts.allowance(owner)) is not None and allowance.most
        ]


def leaving(accounts: Accounts, owner: Owner, view: ClusterView) -> Sums:
    """What gangs of this owner are about to give back."""
    total: Sums = {}
    for gang_id in accounts.jobs.get(owner, {}):
        gang = view.gangs.get(gang_id)
        add(total, gang.leaving.items() if gang else ())
    return total


@dataclass(frozen=True)
class OwnerJobs:
    """How many gangs a namespace or user may have running, before pods are made and before they are placed."""

    alike = True

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """NeedsQuota while its owner has as many as it may; a gang that holds something already goes on."""
        queue = gang.queue
        for each in queue.path if queue is not None and queue.limits_owners else ():
            accounts = each.accounts
            for owner in gang.owners if accounts is not None else ():
                assert accounts is not None
                allowance = accounts.allowance(owner)
                running = accounts.jobs.get(owner, {})
                if allowance is None or allowance.jobs is None or gang.id in running:
                    continue
                short = len(running) + 1 - allowance.jobs
                if short > 0:
                    holds = (("jobs", len(running)),)
                    return NeedsQuota(each.name, "owner", (("jobs", short),), allowance.jobs < 1, named(owner), holds)
        return None


def named(owner: Owner) -> str:
    """As people read it: "user ann"."""
    kind, name = owner
    return f"{kind} {name}" if name else f"{kind} without a name"
