"""The verdict on a job: every problem at once, in the author's words and with the author's lines.

One table of rules serves everybody (`flowbatch.workload.rules`); this module asks it, and translates.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from flowbatch.errors import SpecError, SpecErrors, shorten
from flowbatch_dsl import checks
from flowbatch_dsl.job import Job
from flowbatch_dsl.manifest import job_manifest
from flowbatch_dsl.naming import dsl_name, task_index
from flowbatch_dsl.origin import Origin, origin_of


class Problem(SpecError):
    """One problem: its wire `path`, its DSL `name`, and the `file` and `line` that made it ("" and 0: not known)."""

    def __init__(self, found: SpecError, name: str, file: str = "", line: int = 0) -> None:
        super().__init__(found.path, found.problem, found.value, found.hint)
        self.name = name
        self.file = file
        self.line = line

    @property
    def place(self) -> str:
        """`file:line`, or "" where it is not known."""
        return f"{self.file}:{self.line}" if self.file else ""

    def __str__(self) -> str:
        place = f"{self.place}  " if self.file else ""
        shown = "" if self.value is None else f"{shorten(self.value)} "
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.name}: {shown}{self.problem}{hint}\n      at {self.path or 'the whole'}"


class Report(msgspec.Struct, frozen=True):
    """What `validate()` found: `problems` forbid the job, `warnings` do not."""

    subject: str
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()

    @property
    def ok(self) -> bool:
        """Whether the job may be submitted."""
        return not self.problems

    def raise_problems(self) -> None:
        """Raise SpecErrors if there are problems."""
        if self.problems:
            raise SpecErrors(self.problems, self.subject)

    def __str__(self) -> str:
        if not self.problems and not self.warnings:
            return f"{self.subject}: ok"
        lines = [f"{self.subject}: {_count(self.problems, 'problem')}, {_count(self.warnings, 'warning')}"]
        lines += [f"  {problem}" for problem in self.problems]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def __rich__(self) -> str:
        from flowbatch_dsl.display import escape_markup

        return escape_markup(str(self))

    def _repr_html_(self) -> str:
        from flowbatch_dsl.display import report_html

        return report_html(self)


def _count(found: Sequence[Problem], noun: str) -> str:
    return f"{len(found) or 'no'} {noun}{'' if len(found) == 1 else 's'}"


def check(job: Job) -> Report:
    """Judge `job`: first as Python values, then as the manifest that they make."""
    problems = checks.unbuildable(job)
    if problems:
        return _report(job, problems, ())
    manifest = job_manifest(job)
    problems = [*checks.inexact(job), *checks.foreign(manifest, "")]
    return _report(job, _with_rules(problems, manifest), checks.doubtful(job))


def _with_rules(problems: list[SpecError], manifest: dict[str, object]) -> list[SpecError]:
    """What the rules find beside `problems`; a value that is refused already is not refused twice."""
    from flowbatch.workload.rules import check_job

    if any(problem.problem.startswith("has no JSON form") for problem in problems):
        return problems
    known = tuple(problem.path for problem in problems)
    return problems + [found for found in check_job(manifest) if not found.path.startswith(known or ("\0",))]


def _report(job: Job, problems: Iterable[SpecError], warnings: Iterable[SpecError]) -> Report:
    return Report(str(job.name), tuple(_problem(job, p) for p in problems), tuple(_problem(job, w) for w in warnings))


def _problem(job: Job, found: SpecError) -> Problem:
    origin = origin_of(job)
    if origin is not None and origin.lines:
        return Problem(found, dsl_name(job, found.path), origin.file, origin.line_of(found.path))
    nearest = _nearest(job, found.path) or origin
    return Problem(found, dsl_name(job, found.path), nearest.file if nearest else "", nearest.line if nearest else 0)


def _nearest(job: Job, path: str) -> Origin | None:
    """Where the smallest spec around `path` was written."""
    index = task_index(path)
    if index is None or index >= len(job.tasks):
        return None
    task = job.tasks[index]
    within = task.resources if ".resources." in path and hasattr(task, "resources") else task
    return origin_of(within) or origin_of(task)


def refusal(job: Job, causes: Iterable[Mapping[str, str]], message: str) -> SpecErrors:
    """What a cluster's admission said of `job`, in the same words as `validate()` would say it."""
    found = [SpecError(cause.get("field", ""), cause.get("message", "")) for cause in causes]
    return SpecErrors(problems_of(job, found or [SpecError("", message)]), job.name)


def problems_of(job: Job, found: Iterable[SpecError]) -> list[Problem]:
    """What was found, with names and lines."""
    return [_problem(job, each) for each in found]
