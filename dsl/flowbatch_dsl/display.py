"""How specs and reports look in a terminal and in a notebook: modest, complete, and escaped."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from flowbatch_dsl.job import Job
from flowbatch_dsl.task import Task

if TYPE_CHECKING:
    from flowbatch_dsl.report import Report
    from flowbatch_dsl.run import Run

_CELL = "text-align:left;padding:0 1em 0 0"


def job_text(job: Job) -> str:
    """A headline and one line per task."""
    least = "" if job.min_available is None else f", starts with {job.min_available}"
    head = f"Job {job.name} in queue {job.queue or 'default'}: {_pods(job)} pods{least}"
    return "\n".join([head, *(f"  {_task_text(task)}" for task in job.tasks)])


def _pods(job: Job) -> int:
    return sum(task.replicas for task in job.tasks if isinstance(task.replicas, int))


def _task_text(task: Task) -> str:
    parts = [f"{task.name} x{task.replicas}", _requests(task), " ".join(map(str, task.command))]
    if task.after:
        parts.append("after " + ", ".join(task.after))
    return "  ".join(part for part in parts if part)


def _requests(task: Task) -> str:
    return " ".join(f"{name}={value}" for name, value in task.resources.requests().items())


def job_html(job: Job) -> str:
    """A small table, for notebooks."""
    head = ("task", "pods", "each asks for", "command", "after")
    rows = [
        (task.name, str(task.replicas), _requests(task), " ".join(map(str, task.command)), ", ".join(task.after))
        for task in job.tasks
    ]
    title = f"Job <b>{_safe(job.name)}</b> in queue <b>{_safe(job.queue or 'default')}</b>"
    return f"<div>{title}{table(head, rows)}</div>"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """An HTML table of escaped text."""
    top = "".join(f'<th style="{_CELL}">{_safe(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_safe(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def report_html(report: "Report") -> str:
    """The problems of a report as a table."""
    if report.ok and not report.warnings:
        return f"<div><b>{_safe(report.subject)}</b>: ok</div>"
    found = [("problem", p) for p in report.problems] + [("warning", w) for w in report.warnings]
    rows = [(kind, p.place, p.name, f"{p.problem} {p.hint}".strip(), p.path) for kind, p in found]
    return f"<div><b>{_safe(report.subject)}</b>{table(('', 'where', 'field', 'what', 'path'), rows)}</div>"


def _safe(value: Any) -> str:
    return escape(str(value), quote=True)


def escape_markup(text: str) -> str:
    """`text` with rich's square-bracket markup made harmless."""
    return text.replace("\\", "\\\\").replace("[", "\\[")


def run_html(run: "Run") -> str:
    """A handle's pods as a table, read now."""
    status = run.status()
    rows = [(pod.name, pod.task, str(pod.index), pod.phase, pod.node) for pod in run.pods()]
    title = f"Job <b>{_safe(run.namespace)}/{_safe(run.name)}</b>: {_safe(status.phase)} {_safe(status.message)}"
    return f"<div>{title}{table(('pod', 'task', 'index', 'phase', 'node'), rows)}</div>"
