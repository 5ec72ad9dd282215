"""A Volcano scheduler configuration to a Policy, or every problem in it at once.

    actions: "enqueue, allocate, backfill"
    tiers:
    - plugins:
      - name: priority
      - name: gang
        enablePreemptable: false
    - plugins:
      - name: binpack
        arguments: {binpack.weight: 2}
    configurations:
    - name: allocate
      arguments: {}

Tiers are read in order and joined: orders and scores keep it, a veto of any plugin in any tier is final (in Volcano a
later tier may overrule it, which is known there as a bug).
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.policy.actions import read_configurations
from flowbatch.policy.arguments import FALSE, TRUE, Arguments
from flowbatch.policy.gates import Overcommit
from flowbatch.policy.measuring import read_metrics
from flowbatch.policy.parts import SWITCHES, Parts, Reader
from flowbatch.policy.plugins import PLUGINS
from flowbatch.policy.policy import ACTIONS, Policy

#: What Volcano does where nothing is said.
DEFAULT_ACTIONS: Final = "enqueue, allocate, backfill"
DRF_TREE: Final = "drf with enableHierarchy"
#: Plugins of which one configuration may have only one.
RIVALS: Final = (("proportion", "capacity"), (DRF_TREE, "proportion"))
KEYS: Final = ("actions", "tiers", "configurations", "metrics")
_SPELLINGS: Final = {f"enable{d}{name}": name for name in SWITCHES for d in ("", "d")}


def read_volcano(
    mapping: Mapping[str, Any], name: str = "volcano", extra: Mapping[str, Reader] | None = None
) -> Policy:
    """The policy that a scheduler configuration describes; raises SpecErrors with every problem.

    `extra` are plugins that are not flowbatch's own; they cannot take the place of one that is.
    """
    problems = [
        SpecError(str(key), "no such setting", hint=did_you_mean(str(key), KEYS)) for key in mapping if key not in KEYS
    ]
    actions = _actions(mapping.get("actions", DEFAULT_ACTIONS), problems)
    parts = _tiers(mapping.get("tiers") or (), {**(extra or {}), **PLUGINS}, problems)
    said = read_configurations(mapping.get("configurations") or (), problems)
    said["metrics"] = read_metrics(mapping.get("metrics"), problems)
    factor = said.pop("overcommit_factor", None)
    policy = replace(_joined(name, actions, parts), **said)
    if factor is not None and "enqueue" in actions:
        policy = _overcommitted(policy, factor)
    if problems:
        raise SpecErrors(problems, "scheduler configuration")
    return policy


def _overcommitted(policy: Policy, factor: float) -> Policy:
    """With the factor that stands with the enqueue action; the overcommit plugin's own wins."""
    if any(isinstance(each, Overcommit) for each in policy.enqueue):
        return policy
    return replace(policy, enqueue=(*policy.enqueue, Overcommit(factor)))


def is_volcano(mapping: Mapping[str, Any]) -> bool:
    """Whether a mapping is written in Volcano's words rather than in those of `policy.conf`."""
    return any(key in mapping for key in KEYS)


def _actions(value: Any, problems: list[SpecError]) -> tuple[str, ...]:
    if not isinstance(value, str):
        problems.append(SpecError("actions", "must be text: names with commas between", value))
        return ()
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    unknown = [name for name in names if name not in ACTIONS]
    problems.extend(SpecError("actions", "no such action", name, did_you_mean(name, ACTIONS)) for name in unknown)
    return names


def _tiers(value: Any, known: Mapping[str, Reader], problems: list[SpecError]) -> list[Parts]:
    if not isinstance(value, list | tuple):
        problems.append(SpecError("tiers", "must be a list", value))
        return []
    parts: list[Parts] = []
    seen: dict[str, str] = {}
    for i, tier in enumerate(value):
        overruled = any(each.permits for each in parts)
        plugins = tier.get("plugins") if isinstance(tier, Mapping) else None
        if not isinstance(plugins, list | tuple):
            problems.append(SpecError(f"tiers[{i}].plugins", "must be a list of plugins", plugins))
            continue
        for j, each in enumerate(plugins):
            found = _plugin(f"tiers[{i}].plugins[{j}]", each, known, seen, problems)
            if found is not None:
                parts.append(_overruled(found) if overruled else found)
    return parts


def _overruled(parts: Parts) -> Parts:
    """A permit in an earlier tier opens the gates of this one, as in Volcano; but never that of a closed queue."""
    firm = tuple(each for each in parts.enqueue if getattr(each, "firm", False))
    return replace(parts, enqueue=firm, waivable=tuple(each for each in parts.enqueue if each not in firm))


def _plugin(
    path: str, value: Any, known: Mapping[str, Reader], seen: dict[str, str], problems: list[SpecError]
) -> Parts | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        problems.append(SpecError(path, "must be a mapping with a name", value))
        return None
    name = value["name"]
    reader = known.get(name)
    if reader is None:
        problems.append(SpecError(f"{path}.name", "no such plugin", name, did_you_mean(name, known)))
        return None
    if name in seen:
        problems.append(SpecError(f"{path}.name", f"is there already, at {seen[name]}", name))
        return None
    seen[name] = path
    arguments = value.get("arguments") or {}
    if not isinstance(arguments, Mapping):
        problems.append(SpecError(f"{path}.arguments", "must be a mapping", arguments))
        return None
    off, hierarchy = _switches(path, value, problems)
    seen.update({DRF_TREE: path} if name == "drf" and hierarchy else {})
    for one, other in RIVALS:
        if name in (one.split()[0], other) and one in seen and other in seen:
            problems.append(SpecError(path, f"{one} and {other} divide the cluster both: they cannot be used together"))
    told = Arguments(arguments, f"{path}.arguments", problems, hierarchy=hierarchy, off=off)
    parts = reader(told)
    told.close()
    empty = Parts()
    return replace(parts, **{field: getattr(empty, field) for switch in off for field in SWITCHES[switch]})


def _switches(path: str, value: Mapping[str, Any], problems: list[SpecError]) -> tuple[list[str], bool]:
    """Switches that are off, and whether the plugin's hierarchy is on."""
    off: list[str] = []
    hierarchy = False
    for key, raw in value.items():
        if key in ("name", "arguments"):
            continue
        switch = _SPELLINGS.get(key)
        if switch is None:
            hint = did_you_mean(str(key), ["name", "arguments", *_SPELLINGS])
            problems.append(SpecError(f"{path}.{key}", "no such switch", hint=hint))
        elif not isinstance(raw, bool) and str(raw) not in (*TRUE, *FALSE):
            problems.append(SpecError(f"{path}.{key}", "must be true or false", raw))
        elif str(raw) in FALSE:
            off.append(switch)
        elif switch == "Hierarchy":
            hierarchy = True
    return off, hierarchy


def _joined(name: str, actions: tuple[str, ...], parts: list[Parts]) -> Policy:
    joined: dict[str, Any] = {}
    for field in fields(Parts):
        values = [getattr(each, field.name) for each in parts]
        if field.name in ("shares", "eviction_domains", "devices", "buckets", "geometries"):
            joined[field.name] = next((value for value in values if value is not None), None)
        else:
            joined[field.name] = tuple(item for value in values for item in value)
    # Closeness is kept whatever is configured: so there is always an order.
    for name_of in ("domain_order", "eviction_domains", "geometries"):
        if not joined[name_of]:
            del joined[name_of]
    if "enqueue" not in actions:
        joined["enqueue"] = joined["waivable"] = ()
    return Policy(name=name, actions=actions, **joined)
