"""A compiled Policy as plain values, for people: what a configuration came to, whoever wrote it in whatever words.

Names are those a description uses (`policy.conf`), so most of it can be read back.
"""

from dataclasses import fields, is_dataclass
from typing import Any

from flowbatch.policy.policy import Policy


def describe(policy: Policy) -> dict[str, Any]:
    """The policy, field by field; values are text, numbers, lists and mappings."""
    names = dict.fromkeys(("name", "actions", *(field.name for field in fields(policy))))
    return {_camel(name): _plain(getattr(policy, name)) for name in names}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        pairs = [each for each in value if isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)]
        if value and len(pairs) == len(value):
            return {name: _plain(inner) for name, inner in pairs}
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    return name_of(value)


def _object(value: Any) -> Any:
    """A name, with the arguments that can be shown."""
    shown = {_camel(each.name): _plain(getattr(value, each.name)) for each in fields(value) if each.repr and each.init}
    return {"name": name_of(value), **shown} if shown else name_of(value)


def name_of(value: object) -> str:
    """What a description calls a policy: its class's name with a small first letter."""
    name = str(getattr(value, "__name__", type(value).__name__))
    return name[0].lower() + name[1:]


def _camel(name: str) -> str:
    first, *rest = name.strip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)
