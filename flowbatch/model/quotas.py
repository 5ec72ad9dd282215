"""ResourceQuotas of namespaces, and what is promised to gangs that are in but whose pods have not all been made.

A quota's own `used` counts pods that exist; what a gang will still make is counted here, so that two gangs are never
let in on the same remainder.
"""

from collections.abc import Mapping

from flowbatch.model.facts import QuotaGone, QuotaSeen
from flowbatch.model.ids import GangId

#: Amounts by a quota's names ("cpu", "requests.cpu", "pods").
ByName = dict[str, int]


class Quotas:
    """Quotas by namespace, with the sums of promises."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, QuotaSeen]] = {}
        self._promised: dict[str, ByName] = {}
        self._of: dict[GangId, ByName] = {}

    def __bool__(self) -> bool:
        return bool(self._seen)

    def observe(self, fact: QuotaSeen) -> bool:
        """A quota as it now is; whether that is news."""
        here = self._seen.setdefault(fact.namespace, {})
        before, here[fact.name] = here.get(fact.name), fact
        return before != fact

    def forget(self, fact: QuotaGone) -> None:
        """The quota is gone."""
        here = self._seen.get(fact.namespace, {})
        here.pop(fact.name, None)
        if not here:
            self._seen.pop(fact.namespace, None)

    def of(self, namespace: str) -> tuple[QuotaSeen, ...]:
        """The quotas of one namespace, by name."""
        here = self._seen.get(namespace)
        return tuple(here[name] for name in sorted(here)) if here else ()

    def promised(self, namespace: str) -> Mapping[str, int]:
        """What gangs that are in will still make there."""
        return self._promised.get(namespace, {})

    def promise(self, gang: GangId, amounts: ByName) -> bool:
        """What `gang` will still make, from now on; whether that is less of anything than before."""
        before = self._of.get(gang, {})
        if before == amounts:
            return False
        namespace = namespace_of(gang)
        sums = self._promised.setdefault(namespace, {})
        for change, sign in ((before, -1), (amounts, 1)):
            for name, units in change.items():
                sums[name] = sums.get(name, 0) + sign * units
                if not sums[name]:
                    del sums[name]
        if not sums:
            del self._promised[namespace]
        if amounts:
            self._of[gang] = amounts
        else:
            self._of.pop(gang, None)
        return any(amounts.get(name, 0) < units for name, units in before.items())


def namespace_of(gang: GangId) -> str:
    """The namespace in "namespace/name"."""
    return gang.partition("/")[0]
