"""What makes a specification wrong: one table for the DSL, the CRDs' CEL, admission and the controllers.

Each `check_*` works on raw JSON, structure first and meaning after, and gives every problem it finds, so a user mends
a file once and not once per problem. Nothing here recurses into what it is given or grows with its nesting.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flowbatch.api.kinds import (
    COMMAND,
    CRON_JOB,
    HYPER_NODE,
    JOB,
    JOB_FLOW,
    JOB_TEMPLATE,
    NUMATOPOLOGY,
    POD_GROUP,
    QUEUE,
    Kind,
)
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.rules import job, schema
from flowbatch.workload.rules.cel import cel_rules
from flowbatch.workload.rules.cron import CRON_RULES, check_cron, child_of
from flowbatch.workload.rules.data import check_data
from flowbatch.workload.rules.flow import FLOW_RULES, check_flow, check_flow_served
from flowbatch.workload.rules.flowgraph import check_flow_graph
from flowbatch.workload.rules.graph import check_graph
from flowbatch.workload.rules.hypernode import HYPER_NODE_RULES, check_hyper_members
from flowbatch.workload.rules.metadata import check_metadata, check_template_name, check_type, disruption_budget
from flowbatch.workload.rules.numatopology import check_cpus
from flowbatch.workload.rules.others import POD_GROUP_RULES, check_declared, check_members, check_order
from flowbatch.workload.rules.plugins import check_plugins
from flowbatch.workload.rules.pods import check_pods
from flowbatch.workload.rules.policies import check_policies
from flowbatch.workload.rules.queue import (
    QUEUE_RULES,
    check_claims,
    check_hierarchy,
    check_queue_choices,
    check_queue_names,
)
from flowbatch.workload.rules.reading import dict_of
from flowbatch.workload.rules.retries import check_retries
from flowbatch.workload.rules.served import check_served
from flowbatch.workload.rules.shapes import Shape
from flowbatch.workload.rules.table import Rule, bounded, broken
from flowbatch.workload.rules.update import check_changes
from flowbatch.workload.rules.volumes import check_volumes
from flowbatch.workload.vocabulary import Action, Event

__all__ = [
    "CHECKS",
    "Action",
    "Event",
    "Rule",
    "cel_rules",
    "check_command",
    "check_cron_job",
    "check_hyper_node",
    "check_job",
    "check_job_flow",
    "check_job_template",
    "check_job_update",
    "check_numatopology",
    "check_pod",
    "check_pod_group",
    "check_queue",
]

Check = Callable[[JsonObject], Iterable[SpecError]]

_JOB_CHECKS: tuple[Check, ...] = (
    job.check_counts,
    job.check_names,
    job.check_choices,
    check_graph,
    check_policies,
    check_plugins,
    check_volumes,
    check_pods,
    check_retries,
    check_data,
)


def check_job(manifest: JsonObject, *, served: frozenset[str] | None = None) -> list[SpecError]:
    """Every problem of a Job. `served`: the optional fields that the cluster's schema has (None: not known, all)."""
    checks = (*_JOB_CHECKS, lambda raw: check_served(raw, served))
    return _check(manifest, JOB, schema.JOB, job.JOB_RULES, checks)


def check_job_update(old: JsonObject, new: JsonObject) -> list[SpecError]:
    """Every change that an existing Job does not allow; the new one is checked by `check_job` besides."""
    return bounded(check_changes(old, new))


def check_cron_job(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a CronJob, and of the Job that it makes."""
    checks = (check_cron, _run_of_cron)
    return _check(manifest, CRON_JOB, schema.CRON_JOB, CRON_RULES, checks)


def _run_of_cron(manifest: JsonObject) -> Iterator[SpecError]:
    for problem in check_job(child_of(manifest)) if _has_template(manifest) else ():
        inside = problem.path.startswith(("spec", "metadata.labels", "metadata.annotations"))
        path = f"spec.jobTemplate.{problem.path}" if inside else problem.path
        yield SpecError(path, problem.problem, problem.value, problem.hint)


def _has_template(manifest: JsonObject) -> bool:
    spec = manifest.get("spec")
    return isinstance(spec, dict) and isinstance(spec.get("jobTemplate"), dict)


def check_job_template(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a JobTemplate: those of a Job, whose name is still to come."""
    checks = (check_template_name, *(check for check in _JOB_CHECKS if check is not job.check_names), job.check_tasks)
    return _check(manifest, JOB_TEMPLATE, schema.JOB_TEMPLATE, job.JOB_RULES, checks)


def check_job_flow(manifest: JsonObject, *, served: frozenset[str] | None = None) -> list[SpecError]:
    """Every problem of a JobFlow. `served`: as for a Job."""
    checks = (check_flow, check_flow_graph, lambda raw: check_flow_served(raw, served))
    return _check(manifest, JOB_FLOW, schema.JOB_FLOW, FLOW_RULES, checks)


def check_queue(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a Queue."""
    checks = (check_queue_names, check_queue_choices, check_claims, check_hierarchy)
    return _check(manifest, QUEUE, schema.QUEUE, QUEUE_RULES, checks)


def check_pod_group(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a PodGroup."""
    return _check(manifest, POD_GROUP, schema.POD_GROUP, POD_GROUP_RULES, (check_members, check_declared))


def check_hyper_node(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a HyperNode."""
    return _check(manifest, HYPER_NODE, schema.HYPER_NODE, HYPER_NODE_RULES, (check_hyper_members,))


def check_numatopology(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a Numatopology."""
    return _check(manifest, NUMATOPOLOGY, schema.NUMATOPOLOGY, (), (check_cpus,))


def check_command(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a Command."""
    return _check(manifest, COMMAND, schema.COMMAND, (), (check_order,))


def check_pod(manifest: JsonObject) -> list[SpecError]:
    """Every problem of a bare pod that is ours to name: its disruption budget. The rest is Kubernetes' own."""
    return list(disruption_budget(dict_of(manifest, "metadata", "annotations"), "metadata.annotations"))


#: (apiVersion, kind) -> everything that one manifest can be told by itself.
CHECKS: dict[tuple[str, str], Callable[[JsonObject], list[SpecError]]] = {
    (kind.api_version, kind.kind): check
    for kind, check in (
        (JOB, check_job),
        (CRON_JOB, check_cron_job),
        (JOB_FLOW, check_job_flow),
        (JOB_TEMPLATE, check_job_template),
        (QUEUE, check_queue),
        (POD_GROUP, check_pod_group),
        (COMMAND, check_command),
        (HYPER_NODE, check_hyper_node),
        (NUMATOPOLOGY, check_numatopology),
    )
}


def _check(
    manifest: Any, kind: Kind[Any], shape: Shape, rules: Iterable[Rule], checks: Iterable[Check]
) -> list[SpecError]:
    if not isinstance(manifest, dict):
        return list(shape.problems(manifest, ""))

    def everything() -> Iterator[SpecError]:
        yield from shape.problems(manifest, "")
        yield from check_type(manifest, kind.api_version, kind.kind)
        yield from check_metadata(manifest, "metadata")
        yield from broken(rules, manifest)
        for check in checks:
            yield from check(manifest)

    return bounded(everything())
