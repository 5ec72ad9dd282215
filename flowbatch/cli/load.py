"""Manifests out of a file: YAML or JSON documents, or the jobs a Python file defines.

A Python file is imported under a name other than `__main__`, so its own `submit()` does not run; every module-level
value with a `manifests()` method counts, and `FILE.py:NAME` picks one.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import yaml

from flowbatch.api.meta import JsonObject
from flowbatch.cli import heed_interrupts
from flowbatch.errors import SpecError, SpecErrors, did_you_mean

#: A manifest file larger than this is refused before it is parsed: the API server takes 3 MiB at most.
MAX_FILE_BYTES = 16 * 2**20
FILE_SUFFIXES = (".py", ".yaml", ".yml", ".json")
#: How many of them a hint names.
SHOWN_FILES = 8


@runtime_checkable
class Manifests(Protocol):
    """Anything that can say which objects it wants created."""

    def manifests(self) -> list[JsonObject]:
        """The objects, in the order of creation."""
        ...


def load(spec: str, *, submitting: bool = False) -> list[JsonObject]:
    """All manifests of `FILE.yaml`, `FILE.json`, `FILE.py`, `FILE.py:NAME` or `-` (YAML on stdin).

    `submitting`: as they are sent from here, where a value makes a difference (pods may start in another directory).
    """
    if spec.startswith("-") and spec != "-":
        raise SpecError("FILE", "is no file but an unknown option", spec, "see --help")
    if spec == "-":
        return list(_documents(sys.stdin.read(), "standard input"))
    file, _, name = spec.partition(":") if ".py:" in spec else (spec, "", "")
    path = Path(file)
    _check_readable(path)
    if path.suffix == ".py":
        values = python_values(path, name)
        return [manifest for value in values for manifest in (_sent(value) if submitting else value.manifests())]
    return list(_documents(_text(path), file))


def _sent(value: Manifests) -> list[JsonObject]:
    made: list[JsonObject] = getattr(value, "submission", value.manifests)()
    return made


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise SpecError(str(path), "is a directory; name a file in it", hint=_nearby(path, ""))
    if not path.exists():
        raise SpecError(str(path), "no such file", hint=_nearby(path.parent, path.name))
    if not os.access(path, os.R_OK):
        raise SpecError(str(path), "may not be read by this user")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise SpecError(str(path), f"is larger than {MAX_FILE_BYTES >> 20} MiB")


def _nearby(folder: Path, name: str) -> str:
    """The file in `folder` that was probably meant, or a few that could be."""
    there = sorted(each.name for each in folder.glob("[!.]*") if each.suffix in FILE_SUFFIXES)
    return did_you_mean(name, there[:SHOWN_FILES]) if there else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(str(path), f"is not UTF-8 text: byte {error.start}") from error


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without the traps: no duplicate keys, no aliases (a handful of bytes can become gigabytes)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", None)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f'duplicate key "{key.value}"', key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads an unquoted date as a date; Kubernetes reads it as text.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(text: str, source: str) -> Iterator[JsonObject]:
    try:
        documents = list(yaml.load_all(text, Loader=_StrictLoader))
    except yaml.YAMLError as error:
        raise SpecError(source, f"is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise SpecError(source, "is nested too deeply") from error
    found = [document for document in documents if document is not None]
    if not found:
        raise SpecError(source, "holds no object")
    problems = []
    for number, document in enumerate(found):
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or []
        elif not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
            problems.append(SpecError(f"{source}, document {number + 1}", "has no apiVersion and kind"))
        else:
            yield document
    if problems:
        raise SpecErrors(problems, source)


def python_values(path: Path, name: str = "") -> list[Manifests]:
    """The values with `manifests()` at the module level of a Python file, in order of definition.

    Without a name, those that are parts of another one (jobs of a workflow) do not count, nor those that still need
    arguments (flows that no value binds).
    """
    module = _import(path)
    found = {key: value for key, value in vars(module).items() if _is_value(key, value)}
    if name:
        if name not in found:
            raise SpecError(f"{path}:{name}", "no such job in the file", hint=did_you_mean(name, found))
        return [found[name]]
    parts = {id(part) for value in found.values() for part in getattr(value, "parts", ())}
    whole = [value for value in found.values() if id(value) not in parts]
    values = list({id(value): value for value in whole if getattr(value, "runnable", True)}.values())
    if not values and whole:
        return whole  # what they need is for them to say
    if not values:
        there = ", ".join(key for key in vars(module) if not key.startswith("_")) or "nothing"
        raise SpecError(str(path), f"defines no job at module level; found: {there}", hint='e.g. job = mpi("pi", ...)')
    return values


def _is_value(key: str, value: object) -> bool:
    return not key.startswith("_") and not isinstance(value, type) and isinstance(value, Manifests)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"flowbatch_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    heed_interrupts()  # the file may do anything, and clean up after itself
    try:
        spec.loader.exec_module(module)
    except (SpecError, SpecErrors):
        raise
    except Exception as error:  # the user's own code: say where it broke, in one line
        raise SpecError(_origin(error, path), f"{type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def _origin(error: BaseException, path: Path) -> str:
    """`file:line` of the last frame of `error` that lies in the user's file."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    return f"{path}:{line}"
