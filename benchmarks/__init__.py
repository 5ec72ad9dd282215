"""Every figure of docs/performance.md has its command here: `python -m benchmarks [NAME...]`.

A module of this package whose name has no underscore in front is a benchmark if it has `figures()`.
"""

import importlib
import pkgutil
from collections.abc import Iterator

from benchmarks.figure import Figure

__all__ = ["Figure", "names", "run"]


def names() -> list[str]:
    """The benchmarks there are, in alphabetical order; `quality` takes half an hour and has a command of its own."""
    found = (module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return [name for name in found if name not in ("figure", "podfactory", "quality")]


def run(name: str) -> Iterator[Figure]:
    """Measures one benchmark, figure by figure."""
    module = importlib.import_module(f"benchmarks.{name}")
    yield from module.figures()
