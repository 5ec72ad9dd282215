"""PodDisruptionBudgets, and what is spent of each that its status does not show yet.

The API server counts an eviction when it accepts it; until the pod is seen leaving, our own orders count here. So two
decisions of one cycle never spend the same allowance. Where there are no budgets nothing of this is done.
"""

from flowbatch.model.facts import BudgetSeen, PodSeen
from flowbatch.model.ids import BudgetId, PodUid
from flowbatch.model.labels import passes


class Budgets:
    """Budgets by namespace, with the pods whose eviction each has been charged for."""

    def __init__(self) -> None:
        self._by_namespace: dict[str, dict[BudgetId, BudgetSeen]] = {}
        self._charged: dict[PodUid, tuple[BudgetId, ...]] = {}
        self._spent: dict[BudgetId, int] = {}

    def __bool__(self) -> bool:
        return bool(self._by_namespace) or bool(self._charged)

    def observe(self, fact: BudgetSeen) -> bool:
        """A budget as it now is; whether that is news."""
        budgets = self._by_namespace.setdefault(fact.namespace, {})
        before = budgets.get(fact.id)
        budgets[fact.id] = fact
        return before != fact

    def forget(self, budget: BudgetId) -> bool:
        """The budget is gone; whether it was known."""
        for namespace, budgets in list(self._by_namespace.items()):
            if budgets.pop(budget, None) is not None:
                if not budgets:
                    del self._by_namespace[namespace]
                return True
        return False

    def covering(self, pod: PodSeen) -> list[BudgetSeen]:
        """Budgets that select the pod."""
        budgets = self._by_namespace.get(pod.namespace)
        if not budgets:
            return []
        labels = dict(pod.labels)
        return [each for each in budgets.values() if each.selector is not None and passes(each.selector, labels)]

    def left(self, budget: BudgetSeen) -> int:
        """How many more of its pods may go, our own orders counted."""
        return budget.allowed - self._spent.get(budget.id, 0)

    def charge(self, pod: PodSeen) -> None:
        """The pod is told to go."""
        ids = tuple(each.id for each in self.covering(pod))
        if ids and pod.uid not in self._charged:
            self._charged[pod.uid] = ids
            for each in ids:
                self._spent[each] = self._spent.get(each, 0) + 1

    def settle(self, uid: PodUid) -> None:
        """The pod is seen leaving, has left, or stays: the budget's own status says what is left."""
        for each in self._charged.pop(uid, ()):
            self._spent[each] -= 1
            if not self._spent[each]:
                del self._spent[each]
