"""What stands in an administrator's file: settings, a Volcano scheduler configuration, or a ConfigMap that holds them.

A folder is a mounted ConfigMap: each of its keys is a file there. `volcano-scheduler.conf` and `flowbatch.yaml` may be
there side by side and are then one tree. Kubernetes swaps a symbolic link to change all of it at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from flowbatch.errors import SpecError, SpecErrors

#: Keys of a ConfigMap, and files of a folder, that are read.
KEYS: Final = ("volcano-scheduler.conf", "flowbatch.yaml")
SUFFIXES: Final = (".conf", ".yaml", ".yml")
#: A larger file is no configuration: a ConfigMap holds one MiB.
MOST_BYTES: Final = 4 * 2**20


def read_file(path: Path | str) -> dict[str, Any]:
    """The mapping that a file or folder holds; an empty file is an empty one. Raises SpecErrors."""
    path = Path(path)
    if path.is_dir():
        texts = {each.name: each for each in sorted(path.iterdir()) if each.suffix in SUFFIXES and each.is_file()}
        return _joined({name: _mapping(_text(texts[name]), f"{path}/{name}") for name in _wanted(path, texts)}, path)
    tree = _mapping(_text(path), str(path))
    return read_config_map(tree, path) if tree.get("kind") == "ConfigMap" else tree


def files_of(path: Path | str) -> list[Path]:
    """The files that `read_file` would read; none where there is nothing."""
    path = Path(path)
    if path.is_dir():
        return [each for each in sorted(path.iterdir()) if each.suffix in SUFFIXES]
    return [path]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SpecErrors([SpecError("$", f"is larger than {MOST_BYTES >> 20} MiB")], str(path))
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecErrors([SpecError("$", f"cannot be read: {error}")], str(path)) from error


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error, not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[object] = []
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f'duplicate key "{key.value}"', key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


def _mapping(text: str, source: str) -> dict[str, Any]:
    try:
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecErrors([SpecError("$", f"cannot be read: {error or 'nested too deeply'}")], source) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SpecErrors([SpecError("$", "must be a mapping", tree)], source)
    return tree


def _wanted(path: Path | str, there: Mapping[str, Any]) -> list[str]:
    """The known names that are there, or the only one of another name."""
    known = [name for name in KEYS if name in there]
    others = [name for name in there if Path(name).suffix in SUFFIXES]
    if known or len(others) == 1:
        return known or others
    told = f"must hold {' or '.join(KEYS)}, or one other file of that kind"
    raise SpecErrors([SpecError("$", told, ", ".join(there) or "nothing")], str(path))


def read_config_map(tree: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """The mapping that a ConfigMap object holds. Raises SpecErrors."""
    data = tree.get("data")
    if not isinstance(data, Mapping) or not all(isinstance(text, str) for text in data.values()):
        raise SpecErrors([SpecError("data", "must map names to text", data)], str(path))
    return _joined({name: _mapping(data[name], f"{path}, {name}") for name in _wanted(path, data)}, path)


def _joined(trees: Mapping[str, dict[str, Any]], path: Path | str) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    problems: list[SpecError] = []
    for name, tree in trees.items():
        problems += [
            SpecError(f"{name}: {key}", "stands in another file of the folder too") for key in tree if key in joined
        ]
        joined.update(tree)
    if problems:
        raise SpecErrors(problems, str(path))
    return joined
