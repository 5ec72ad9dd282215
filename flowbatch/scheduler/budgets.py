"""PodDisruptionBudgets as the engine is told them."""

from flowbatch.api.disruption import PodDisruptionBudget
from flowbatch.engine import events
from flowbatch.model.ids import BudgetId
from flowbatch.scheduler.topology_facts import tests_of


def budget_fact(budget: PodDisruptionBudget) -> events.BudgetSeen:
    """`budget` as the engine sees it; one without a selector selects nobody."""
    selector = budget.spec.selector
    return events.BudgetSeen(
        id=BudgetId(budget.metadata.key),
        namespace=budget.metadata.namespace,
        selector=None if selector is None else tests_of(selector),
        allowed=max(0, budget.status.disruptions_allowed),
    )


def labels_asked_by(budget: PodDisruptionBudget) -> list[str]:
    """Labels of pods that its selector looks at."""
    return [test.key for test in tests_of(budget.spec.selector)]
