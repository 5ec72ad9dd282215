"""YAML in and out, on the safe side: no tag makes an object, no key is lost, no scalar changes its meaning.

YAML 1.1 reads `010` as 8, `1:30` as 90, `yes` as true and `2026-01-01` as a date. Here such scalars are text if they
can only be text, and are refused with a hint where two readers of YAML would disagree.
"""

import re
from typing import Any

import msgspec
import yaml

from flowbatch.errors import SpecError, SpecErrors

#: No Kubernetes object is larger than etcd's 1.5 MiB; YAML is wordier than JSON.
MAX_CHARS = 8 * 1024 * 1024
#: After aliases are expanded: what a document may hold at most.
MAX_NODES = 500_000
MAX_DEPTH = 100
_AMBIGUOUS = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*_[0-9_]*|(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)")
_KINDS = ("str", "int", "float", "bool", "null", "map", "seq")


class Document(msgspec.Struct, frozen=True):
    """One YAML document as JSON values, with the line on which each path starts (counted from 1)."""

    value: Any
    file: str
    lines: dict[str, int]


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's idea of what is a number or a boolean."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that writes lists indented, text of several lines as a block, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if _looks_like_no_text(text) else "|" if "\n" in text and _plain(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _looks_like_no_text(text: str) -> bool:
    """Whether some reader would take `text`, unquoted, for a number, a boolean or nothing (the dumper knows 1.1)."""
    resolvers = _Loader.yaml_implicit_resolvers.get(text[:1], [])
    return any(pattern.match(text) for _, pattern in resolvers)


def _plain(text: str) -> bool:
    """Whether a block scalar shows `text` faithfully: nothing but printable lines that start without a space."""
    return all(line.isprintable() and not line.startswith(" ") for line in text.split("\n"))


_Dumper.add_representer(str, _represent_text)


def dump(value: Any) -> str:
    """`value` as one YAML document in the order of its keys."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=10_000)
    return text


def load(text: str, file: str) -> Document:
    """The one document in `text`. Raises SpecErrors for anything else, and for all that is doubtful in it."""
    documents = load_all(text, file)
    if len(documents) != 1:
        raise SpecErrors([SpecError("", f"expected one YAML document, found {len(documents)}")], file)
    return documents[0]


def load_all(text: str, file: str) -> list[Document]:
    """Every non-empty document in `text`, separated by `---`."""
    if len(text) > MAX_CHARS:
        raise SpecErrors([SpecError("", f"is longer than {MAX_CHARS} characters")], file)
    try:
        nodes = [node for node in yaml.compose_all(text.removeprefix("\ufeff"), Loader=_Loader) if node is not None]
        return [_document(node, file) for node in nodes if not _is_null(node)]
    except RecursionError:
        raise SpecErrors([SpecError("", f"is nested deeper than {MAX_DEPTH} levels")], file) from None
    except yaml.YAMLError as error:
        raise SpecErrors([_syntax(error)], file) from None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _syntax(error: yaml.YAMLError) -> SpecError:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "text"
    return SpecError(where, f"is not YAML: {getattr(error, 'problem', None) or error}")


class _Walk:
    """One pass over a node tree: the values, their lines, and every problem."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.problems: list[SpecError] = []
        self.nodes = 0

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        self.nodes += 1
        self.lines[path] = node.start_mark.line + 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise SpecErrors([SpecError(path, "is too deep or, with its aliases, too large")])
        kind = node.tag.rpartition(":")[2]
        if kind not in _KINDS:
            self.problem(path, f"has the tag {node.tag}, which makes no JSON value", None, "remove the tag")
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            inner = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str) or not isinstance(key_node, yaml.ScalarNode):
                self.problem(path, "has a key that is not text", None, "")
            elif key_node.value == "<<" and key_node.style is None:
                self.problem(inner, "is a merge key, which Kubernetes does not know", None, "write the fields out")
            elif key in built:
                self.problem(inner, "is given twice", None, "keep one of them")
            else:
                built[key] = self.value(value_node, inner, depth + 1)
        return built

    def scalar(self, node: yaml.Node, path: str) -> Any:
        text: str = node.value
        kind = node.tag.rpartition(":")[2]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if plain and kind == "str" and _AMBIGUOUS.fullmatch(text):
            self.problem(path, "means different things to different readers of YAML", text, f'write "{text}" in quotes')
        return text if kind == "str" else _converted(kind, text)

    def problem(self, path: str, problem: str, value: object, hint: str) -> None:
        self.problems.append(SpecError(path, problem, value, hint))


def _converted(kind: str, text: str) -> Any:
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        return text
    return text.lower() == "true" if kind == "bool" else None


def _document(node: yaml.Node, file: str) -> Document:
    walk = _Walk()
    value = walk.value(node, "", 0)
    if walk.problems:
        raise SpecErrors(walk.problems, file)
    return Document(value, file, walk.lines)
