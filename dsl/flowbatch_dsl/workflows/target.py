"""How a pod finds a function again: MODULE:QUALNAME, and the directory in which the module lies.

Source text is never looked at, and nothing is pickled unasked: the pod imports the same file. On a real cluster the
image has it; on a local one pods see this machine's files.
"""

import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import msgspec

from flowbatch.errors import FlowbatchError


class Target(msgspec.Struct, frozen=True):
    """`module:name`, importable with `root` on sys.path."""

    module: str
    name: str
    root: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


class Unreachable(FlowbatchError):
    """A function that no other process can import."""


def target_of(function: FunctionType) -> Target:
    """Where a pod finds `function`. Raises Unreachable, saying what to do."""
    name = function.__qualname__
    if "<locals>" in name or "<lambda>" in name:
        raise Unreachable(f"{name} is made inside another function: a pod can only import functions of a module")
    file = Path(function.__code__.co_filename)
    if not file.is_file():
        raise Unreachable(f"{name} is in no file, so a pod cannot import it: put it into a module beside the notebook")
    module = _imported(function.__module__)
    path = file.resolve()
    if not module:
        module = _module_of(path)
    depth = module.count(".") + (path.name == "__init__.py")
    return Target(module, name, str(path.parents[depth]))


def _imported(name: str) -> str:
    """The name under which any process imports the module, "" where it is known here under a name of our own."""
    module: Any = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return "" if spec is None or spec.name.startswith("flowbatch_file_") else str(spec.name)


def _module_of(file: Path) -> str:
    """The dotted name of a file within the outermost package around it."""
    parts = [] if file.name == "__init__.py" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def place_of(root: str) -> str:
    """What a pod must be told of `root`: nothing where it starts there, or where the module is installed."""
    own = (sys.prefix, sys.base_prefix)
    installed = "site-packages" in Path(root).parts or any(Path(root).is_relative_to(prefix) for prefix in own)
    return "" if installed or Path(root) == Path.cwd() else root
