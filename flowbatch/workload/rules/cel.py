"""The rule table as CEL, for CRDs: each rule at its path, plus the transitions that only a CRD can see.

Kubernetes bounds what rules may cost; over lists without maxItems only comparisons of numbers fit. The rest stays with
the webhook and with whoever applies the table itself.
"""

from collections.abc import Iterable

from flowbatch.workload.rules.cron import CRON_RULES
from flowbatch.workload.rules.flow import FLOW_RULES
from flowbatch.workload.rules.hypernode import HYPER_NODE_RULES
from flowbatch.workload.rules.job import JOB_RULES
from flowbatch.workload.rules.others import POD_GROUP_RULES
from flowbatch.workload.rules.queue import QUEUE_RULES
from flowbatch.workload.rules.table import Rule

#: (path, rule, message) that have no predicate on a single manifest.
_ALSO: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Job": (
        ("spec", "has(self.tasks) && size(self.tasks) > 0", "tasks must have at least one task"),
        (
            "spec",
            "!has(oldSelf.queue) || (has(self.queue) && self.queue == oldSelf.queue)",
            "queue must not change",
        ),
        (
            "spec",
            "!has(oldSelf.tasks) || (has(self.tasks) && size(self.tasks) == size(oldSelf.tasks))",
            "tasks must not be added or removed",
        ),
    ),
}
_TABLES: dict[str, Iterable[Rule]] = {
    "Job": JOB_RULES,
    "Queue": QUEUE_RULES,
    "PodGroup": POD_GROUP_RULES,
    "HyperNode": HYPER_NODE_RULES,
    "CronJob": CRON_RULES,
    "JobFlow": FLOW_RULES,
    "JobTemplate": JOB_RULES,
}


def cel_rules(kind: str) -> list[tuple[str, str, str]]:
    """(path, rule, message) of every rule of `kind` that has a CEL form; `self` is the value at `path`."""
    said = [
        (rule.path, rule.cel, f"{rule.at}: {rule.message}" if rule.at else rule.message)
        for rule in _TABLES.get(kind, ())
        if rule.cel is not None
    ]
    return said + list(_ALSO.get(kind, ()))
