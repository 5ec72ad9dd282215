"""policy/v1: how many pods of a set may be disrupted at once."""

from flowbatch.api.meta import LabelSelector, ObjectMeta, Wire


class PodDisruptionBudgetSpec(Wire, frozen=True, kw_only=True):
    """policy/v1 PodDisruptionBudgetSpec: no selector selects no pod, the empty one every pod of the namespace."""

    selector: LabelSelector | None = None


class PodDisruptionBudgetStatus(Wire, frozen=True, kw_only=True):
    """policy/v1 PodDisruptionBudgetStatus, as the disruption controller counts it."""

    disruptions_allowed: int = 0


class PodDisruptionBudget(Wire, frozen=True, kw_only=True):
    """policy/v1 PodDisruptionBudget."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()
