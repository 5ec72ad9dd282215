"""ResourceQuotas of namespaces at the enqueue gate (Volcano: resourcequota plugin).

A gang whose pods the API server would refuse half way is not let in at all. Quotas with scopes are judged like any
other, as in Volcano.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flowbatch.model.blockers import Blocker, NeedsNamespaceQuota
from flowbatch.model.facts import QuotaSeen
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import Amounts
from flowbatch.model.quotas import ByName, namespace_of
from flowbatch.model.view import ClusterView


def quota_needs(gang: Gang) -> ByName:
    """What the gang's minimum counts as, by every name that a quota may use for it; empty where nothing is stated."""
    fact = gang.fact
    if fact is None or fact.min_resources is None:
        return {}
    needs: ByName = {}
    for resource, units in fact.min_resources:
        for name in quota_names(resource):
            needs[name] = units
    for name in quota_names("pods"):
        needs[name] = max(needs.get(name, 0), gang.min_members)
    needs.update(fact.min_quota)
    return needs


def quota_names(resource: str) -> tuple[str, str]:
    """The two names by which a quota may limit a resource."""
    return (resource, "count/pods") if resource == "pods" else (resource, f"requests.{resource}")


@dataclass(frozen=True)
class NamespaceQuota:
    """Used, promised to gangs that are in, and asked for must be within `hard`, name by name."""

    alike = True

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """NeedsNamespaceQuota for the first quota, by name, that has no room."""
        namespace = namespace_of(gang.id)
        quotas = view.quotas.of(namespace)
        if not quotas:
            return None
        needs, promised = quota_needs(gang), view.quotas.promised(namespace)
        return next((told for quota in quotas if (told := _short(quota, needs, promised))), None)


def _short(quota: QuotaSeen, needs: ByName, promised: Mapping[str, int]) -> Blocker | None:
    hard, used = dict(quota.hard), dict(quota.used)
    taken = {name: used.get(name, 0) + promised.get(name, 0) for name in hard}
    short = {
        name: taken[name] + needs[name] - hard[name]
        for name in hard
        if needs.get(name, 0) > 0 and taken[name] + needs[name] > hard[name]
    }
    if not short:
        return None
    hopeless = any(needs[name] > hard[name] for name in short)
    return NeedsNamespaceQuota(
        quota.namespace,
        quota.name,
        _amounts(short, short),
        _amounts(needs, short),
        _amounts(hard, short),
        _amounts(taken, short),
        hopeless,
    )


def _amounts(sums: Mapping[str, int], names: Mapping[str, int]) -> Amounts:
    return tuple(sorted((name, sums.get(name, 0)) for name in names))
