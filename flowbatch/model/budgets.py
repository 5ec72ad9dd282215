"""PodDisruptionBudgets, and what is spent of each that its status does not show yet.

The API server counts an eviction when it accepts it; until the pod is seen leaving, our own orders count here. So two
decisions of one cycle never spend the same allowance. A budget that comes later, or selects others than before, counts
those that are on their way out already. Where there are no budgets nothing of this is done.
"""

from collections.abc import Iterable

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

    def observe(self, fact: BudgetSeen, going: Iterable[PodSeen] = ()) -> bool:
        """A budget as it now is, and all pods told to go; whether it is news."""
        budgets = self._by_namespace.setdefault(fact.namespace, {})
        before = budgets.get(fact.id)
        budgets[fact.id] = fact
        if before is None or before.selector != fact.selector:
            self._discharge(fact.id)
            self._recharge(fact, going)
        return before != fact

    def forget(self, budget: BudgetId) -> bool:
        """The budget is gone; whether it was known."""
        for namespace, budgets in list(self._by_namespace.items()):
            if budgets.pop(budget, None) is not None:
                self._discharge(budget)
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
        return [each for each in budgets.values() if _selects(each, labels)]

    def left(self, budget: BudgetSeen) -> int:
        """How many more of its pods may go, our own orders counted."""
        return budget.allowed - self._spent.get(budget.id, 0)

    def charge(self, pod: PodSeen) -> None:
        """The pod is told to go."""
        if pod.uid not in self._charged:
            for each in self.covering(pod):
                self._count(each.id, pod.uid)

    def settle(self, uid: PodUid) -> None:
        """The pod is seen leaving, has left, or stays: the budget's own status says what is left."""
        for each in self._charged.pop(uid, ()):
            self._spent[each] -= 1
            if not self._spent[each]:
                del self._spent[each]

    def content(self) -> dict[PodUid, list[BudgetId]]:
        """Who counts against which budgets."""
        return {uid: sorted(ids) for uid, ids in self._charged.items()}

    def _count(self, budget: BudgetId, uid: PodUid) -> None:
        self._charged[uid] = (*self._charged.get(uid, ()), budget)
        self._spent[budget] = self._spent.get(budget, 0) + 1

    def _recharge(self, budget: BudgetSeen, going: Iterable[PodSeen]) -> None:
        for pod in going:
            if pod.namespace == budget.namespace and not pod.deleting and _selects(budget, dict(pod.labels)):
                self._count(budget.id, pod.uid)

    def _discharge(self, budget: BudgetId) -> None:
        """Nobody counts against it any more."""
        if not self._spent.pop(budget, 0):
            return
        for uid, ids in list(self._charged.items()):
            left = tuple(each for each in ids if each != budget)
            if left:
                self._charged[uid] = left
            else:
                del self._charged[uid]


def _selects(budget: BudgetSeen, labels: dict[str, str]) -> bool:
    return budget.selector is not None and passes(budget.selector, labels)
