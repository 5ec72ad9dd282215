"""The verdict on a workflow: that on each of its jobs, and what the rules say of the JobFlow itself."""

import re
from collections.abc import Iterable, Mapping

from flowbatch.errors import SpecError, SpecErrors
from flowbatch_dsl import checks, report
from flowbatch_dsl.origin import Origin, origin_of
from flowbatch_dsl.report import Problem, Report
from flowbatch_dsl.workflows.manifest import flow_manifest, template_names
from flowbatch_dsl.workflows.node import Node
from flowbatch_dsl.workflows.workflow import Workflow

_ENTRY = re.compile(r"spec\.flows\[([0-9]+)\]\.?(.*)", re.DOTALL)
#: Fields of an entry, longest first, and what a Node calls them.
_NODE_FIELDS = {
    "dependsOn.targets": "after",
    "dependsOn.states": "after_ends",
    "forEach": "each",
    "jobTemplate": "job",
    "inputs": "inputs",
    "outputs": "outputs",
    "retry.limit": "retries",
    "retry.backoffSeconds": "backoff_s",
    "retry.maxBackoffSeconds": "max_backoff_s",
    "when": "when",
    "name": "name",
}
_WORKFLOW_FIELDS = {
    "metadata.name": "name",
    "metadata.namespace": "namespace",
    "metadata.labels": "labels",
    "metadata.annotations": "annotations",
    "spec.jobRetainPolicy": "retain",
    "spec.suspend": "suspend",
    "spec.flows": "graph",
}


def check(workflow: Workflow) -> Report:
    """Judge every job, then the JobFlow."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    names = template_names(workflow)
    for node in workflow.steps:
        found = report.check(node.job)
        where = f"JobTemplate/{names[node.name]} "
        problems += [_moved(problem, where) for problem in found.problems]
        warnings += [_moved(warning, where) for warning in found.warnings]
    return Report(workflow.name, (*problems, *problems_of(workflow, _flow_problems(workflow))), tuple(warnings))


def _moved(problem: Problem, where: str) -> Problem:
    """A job's problem, seen from the workflow."""
    found = SpecError(where + problem.path, problem.problem, problem.value, problem.hint)
    return Problem(found, problem.name, problem.file, problem.line)


def _flow_problems(workflow: Workflow) -> list[SpecError]:
    manifest = flow_manifest(workflow)
    return list(checks.foreign(manifest, "")) or _by_rules(manifest)


def _by_rules(manifest: dict[str, object]) -> list[SpecError]:
    from flowbatch.workload.rules import check_job_flow

    return check_job_flow(manifest)


def problems_of(workflow: Workflow, found: Iterable[SpecError]) -> list[Problem]:
    """What was found in the JobFlow, with the names and lines of the steps that it is about."""
    return [_problem(workflow, each) for each in found]


def refusal(workflow: Workflow, causes: Iterable[Mapping[str, str]], message: str) -> SpecErrors:
    """What a cluster's admission said of the JobFlow, in the same words as `validate()` would say it."""
    found = [SpecError(cause.get("field", ""), cause.get("message", "")) for cause in causes]
    return SpecErrors(problems_of(workflow, found or [SpecError("", message)]), workflow.name)


def _problem(workflow: Workflow, found: SpecError) -> Problem:
    match = _ENTRY.fullmatch(found.path)
    node = workflow.steps[int(match.group(1))] if match and int(match.group(1)) < len(workflow.steps) else None
    origin = origin_of(node) if node is not None else origin_of(workflow)
    name = _node_name(node, match.group(2)) if match and node else _workflow_name(workflow, found.path)
    return Problem(found, name, *_place(origin, found.path))


def _place(origin: Origin | None, path: str) -> tuple[str, int]:
    return (origin.file, origin.line_of(path)) if origin else ("", 0)


def _node_name(node: Node, rest: str) -> str:
    field = _field(rest, _NODE_FIELDS)
    return f'Node("{node.name}")' + (f".{field or f'extra.{rest}'}" if rest else "")


def _workflow_name(workflow: Workflow, path: str) -> str:
    field = _field(path, _WORKFLOW_FIELDS)
    return f'Workflow("{workflow.name}")' + (f".{field or f'extra.{path}'}" if path else "")


def _field(path: str, fields: dict[str, str]) -> str:
    """The DSL's field of the longest known prefix of `path`, with what follows it kept."""
    for wire, field in fields.items():
        if path == wire or (path.startswith(wire) and path[len(wire)] in ".["):
            return field + path[len(wire) :]
    return ""
