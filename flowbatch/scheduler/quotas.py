"""ResourceQuotas in, facts out."""

from flowbatch.api.core import ResourceQuota
from flowbatch.api.quantity import QuantityError
from flowbatch.engine import events
from flowbatch.scheduler.shapes import quota_amounts
from flowbatch.scheduler.translate import UnreadableError


def quota_fact(quota: ResourceQuota) -> events.QuotaSeen:
    """`quota` as the engine sees it; not counted yet, nothing is used. Raises UnreadableError."""
    hard = quota.status.hard or quota.spec.hard
    try:
        return events.QuotaSeen(
            namespace=quota.metadata.namespace,
            name=quota.metadata.name,
            hard=quota_amounts(hard, "down"),
            used=quota_amounts(quota.status.used),
        )
    except QuantityError as error:
        raise UnreadableError(f"hard or used: a resource amount {error}") from error
