"""Policies that other people bring along: found by entry point, or in Python files that the settings name.

The table is handed down to `policy.reading`, which below the purity line cannot look for itself. A package whose import
fails is left out and named: one bad plugin must not keep a cluster from scheduling. A file whose import fails is a
mistake in the settings: at start it ends the program, later the policy in force stays.
"""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import structlog

from flowbatch.errors import SpecError
from flowbatch.policy.describe import name_of
from flowbatch.policy.policy import Policy

#: `[project.entry-points."flowbatch.policies"]` of a plugin's pyproject.toml.
GROUP: Final = "flowbatch.policies"
#: A class with one of these is a policy.
METHODS: Final = ("key", "blocker", "admits", "score", "limit", "divide", "spares", "question", "steps")

log = structlog.get_logger()


def found_policies() -> dict[str, Any]:
    """Entry point names to the objects behind them, in name order."""
    table: dict[str, Any] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            table[entry.name] = entry.load()
        except Exception as error:
            # A plugin's module may raise anything when it is imported.
            log.error("policy plugin left out", plugin=entry.name, error=repr(error))
    return table


class PolicyFiles:
    """Python files with policies. A file that did not change is not run again, so its classes stay the same ones."""

    def __init__(self) -> None:
        self._loaded: dict[Path, tuple[bytes, dict[str, Any]]] = {}
        self._count = count(1)

    def read(self, paths: Sequence[Path], problems: list[SpecError]) -> dict[str, Any]:
        """Names to policies of all files."""
        table: dict[str, Any] = {}
        for i, path in enumerate(paths):
            for name, found in self._file(f"policies[{i}]", path, problems).items():
                if name in table:
                    problems.append(SpecError(f"policies[{i}]", f"{path.name} defines what another file does", name))
                table[name] = found
        return table

    def _file(self, where: str, path: Path, problems: list[SpecError]) -> dict[str, Any]:
        try:
            text = path.read_bytes()
        except OSError as error:
            problems.append(SpecError(where, f"cannot be read: {error.strerror}", str(path)))
            return {}
        known = self._loaded.get(path)
        if known is not None and known[0] == text:
            return known[1]
        try:
            table = dict(policies_in(self._run(path)))
        except (Exception, SystemExit) as error:  # somebody's own code may raise anything
            told = f"line {_line(error, path)}: {type(error).__name__}: {error}"
            problems.append(SpecError(where, told, str(path)))
            return {}
        if not table:
            hint = "a dataclass with key, blocker, admits or score; @per_node; or a Policy"
            problems.append(SpecError(where, "defines no policy", str(path), hint))
        self._loaded[path] = (text, table)
        return table

    def _run(self, path: Path) -> ModuleType:
        """A new module each time: what an earlier version defined stays with those who hold it."""
        name = f"flowbatch_policies_{path.stem}_{next(self._count)}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError("is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def policies_in(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module defines itself, by the names that a description uses."""
    for key, value in vars(module).items():
        if isinstance(value, Policy):
            yield value.name, value
        elif isinstance(value, type) and value.__module__ == module.__name__ and _is_policy(key, value):
            yield name_of(value), value


def _is_policy(key: str, value: type) -> bool:
    return not key.startswith("_") and any(callable(getattr(value, method, None)) for method in METHODS)


def _line(error: BaseException, path: Path) -> int:
    """Where in the file it went wrong."""
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
