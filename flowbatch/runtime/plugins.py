"""Policies that other packages bring along, found by entry point.

The table is handed down to `policy.conf`, which below the purity line cannot look for itself. A package whose import
fails is left out and named: one bad plugin must not keep a cluster from scheduling.
"""

from importlib.metadata import entry_points
from typing import Any, Final

import structlog

#: `[project.entry-points."flowbatch.policies"]` of a plugin's pyproject.toml.
GROUP: Final = "flowbatch.policies"

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
