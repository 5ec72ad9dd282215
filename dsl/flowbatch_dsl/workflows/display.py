"""How workflows and their runs look in a terminal and in a notebook."""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from flowbatch_dsl.display import table
from flowbatch_dsl.workflows.node import Each, Node
from flowbatch_dsl.workflows.picture import MOST_STEPS, drawing
from flowbatch_dsl.workflows.workflow import Workflow

if TYPE_CHECKING:
    from flowbatch_dsl.workflows.run import FlowRun
    from flowbatch_dsl.workflows.views import FlowStatus


def workflow_text(workflow: Workflow) -> str:
    """A headline and one line per step."""
    count = len(workflow.steps)
    head = f"Workflow {workflow.name}: {count} step{'' if count == 1 else 's'}"
    return "\n".join([head, *(f"  {_step_text(node)}" for node in workflow.steps)])


def _step_text(node: Node) -> str:
    parts = [node.name, note(node)]
    if node.after:
        parts.append("after " + ", ".join(node.after))
    return "  ".join(part for part in parts if part)


def note(node: Node) -> str:
    """What is special about a step, in a few words."""
    tasks = " ".join(f"{task.name} x{task.replicas}" for task in node.job.tasks)
    parts = [tasks, _each_text(node.each) if isinstance(node.each, Each) else ""]
    parts += [f"if {when.source} {when.operator} {', '.join(map(str, when.values))}".strip() for when in node.when]
    parts += [f"{node.retries} retries"] if node.retries else []
    return "; ".join(part for part in parts if part)


def _each_text(each: Each) -> str:
    what = f"each of {each.source}" if each.source else f"each of {len(each.items)} items"
    return what + (f", {each.max_parallel} at once" if each.max_parallel else "")


def workflow_html(workflow: Workflow, states: Mapping[str, str] | None = None, title: str = "") -> str:
    """The graph as a picture, or a table where there are too many steps for one."""
    shown = title or f"Workflow <b>{escape(workflow.name)}</b>"
    if len(workflow.steps) > MOST_STEPS:
        rows = [(node.name, note(node), ", ".join(node.after)) for node in workflow.steps]
        return f"<div>{shown}{table(('step', 'what', 'after'), rows)}</div>"
    after = {node.name: node.after for node in workflow.steps}
    notes = {node.name: note(node) for node in workflow.steps}
    return f"<div>{shown}<br/>{drawing(after, notes, states or {})}</div>"


def status_html(status: "FlowStatus[Any]", title: str = "Workflow") -> str:
    """The graph with the state of each step."""
    after = {step.name: step.after for step in status.steps}
    states = {step.name: step.state for step in status.steps}
    notes = {step.name: str(step).removeprefix(f"{step.name} ") for step in status.steps}
    head = f"{title}: {escape(status.phase)} {escape(status.message)}"
    if len(status.steps) > MOST_STEPS:
        return f"<div>{head}{table(('step', 'state'), list(notes.items()))}</div>"
    return f"<div>{head}<br/>{drawing(after, notes, states)}</div>"


def run_html(run: "FlowRun[Any]") -> str:
    """A handle's graph with the state of each step, read now."""
    return status_html(run.status(), f"Workflow <b>{escape(run.namespace)}/{escape(run.name)}</b>")
