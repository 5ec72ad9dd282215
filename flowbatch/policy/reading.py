"""What somebody asks for, to a Policy: a name, a mapping in flowbatch's words (`conf`) or in Volcano's (`volcano`).

`extra` is what people have written themselves, by name: whole Policies, and classes that may stand in a list of a
description or, where they say in `parts` which lists of a Policy they belong to, as a plugin in a tier.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.policy.arguments import Arguments
from flowbatch.policy.conf import argument, made, read_policy
from flowbatch.policy.parts import Parts, Reader
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, PRESETS
from flowbatch.policy.volcano import is_volcano, read_volcano

#: A name, or a description.
Asked = str | Mapping[str, Any]
#: Fields of Parts in which a user's class may stand.
LISTS = tuple(field.name for field in fields(Parts) if field.name not in ("shares", "ledgers", "devices", "geometries"))


def policy_from(asked: Asked, extra: Mapping[str, Any] | None = None) -> Policy:
    """The policy asked for; the default where nothing is. Raises SpecErrors with every problem."""
    extra = extra or {}
    if not asked:
        return DEFAULT
    if isinstance(asked, str):
        return _named(asked, extra)
    makers = {name: found for name, found in extra.items() if isinstance(found, type)}
    if is_volcano(asked):
        return read_volcano(asked, extra={name: plugin_of(made) for name, made in makers.items()})
    return read_policy(asked, makers)


def _named(name: str, extra: Mapping[str, Any]) -> Policy:
    whole = {**PRESETS, **{each: found for each, found in extra.items() if isinstance(found, Policy)}}
    if name not in whole:
        raise SpecErrors([SpecError("$", "no such policy", name, did_you_mean(name, whole))], "policy")
    return whole[name]


def plugin_of(maker: type[Any]) -> Reader:
    """A user's class as a plugin: its fields are the arguments, its `parts` say what it adds."""

    def read(arguments: Arguments) -> Parts:
        problems, before = arguments.problems, len(arguments.problems)
        values = {
            key: argument(f"{arguments.path}.{key}", key, value, maker, problems)
            for key, value in arguments.rest().items()
        }
        places: tuple[Any, ...] = tuple(getattr(maker, "parts", None) or ())
        if not places or any(place not in LISTS for place in places):
            told = f"`parts` of {maker.__name__} must name lists of a Policy"
            problems.append(SpecError(arguments.path, told, places or None, "one of " + ", ".join(LISTS)))
        if len(problems) > before:
            return Parts()
        one = made(arguments.path, maker, values, problems)
        added: dict[str, Any] = dict.fromkeys(places, (one,))
        return Parts() if one is None else replace(Parts(), **added)

    return read
