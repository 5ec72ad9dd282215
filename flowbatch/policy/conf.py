"""A mapping (from YAML or JSON) to a Policy, or every problem in it at once.

    name: mine
    preset: default            # what is not said below is as there
    queueOrder: [priority, leastServed]
    gangOrder: [priority, unreadyFirst, dominantShare]
    enqueue: [queueOpen, queueRoom, {name: overcommit, factor: 1.5}]
    waivable: [overcommit]     # not asked of gangs that one of `permits` lets pass
    permits: [{name: waitingTime, wait_ms: 60000}]
    reserving: [{name: waitingTime, wait_ms: 60000}]   # room is kept for gangs that waited so long
    limits: [capability, fairShare]
    shares: proportion         # or null
    strictTurns: false         # true: a queue keeps its turn until nobody in it can go on
    filters: [schedulable, selector, taints]
    scores: [{name: binPack, weight: 2}, preferredAffinity]
    devices: fragmentation     # or null: the fullest that fits
    surplusBatch: 16
    reservationsPerQueue: 1
    evictOverdue: false        # evict pods that outstay their estimate where a window has opened
    evictions: [preempt, reclaim, gangpreempt, gangreclaim, shuffle]   # none but in the preset "preempting"
    preemptable: [surplus, lowerPriority, conformance, cooldown, withinBudget]
    reclaimable: [surplus, overShare, conformance, cooldown, withinBudget]
    holdMs: 300000             # how long room that others left is kept
    preemptMinRuntimeMs: 60000 # how long a pod runs before its own queue, or others, may evict it
    reclaimMinRuntimeMs: 60000

Names are those of the classes in `policy`, with a small first letter; arguments are their fields. People's own policies
come in by name through `extra`, which the shell fills from entry points.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.policy import (
    capacity,
    devicescores,
    fragmentation,
    gates,
    hierarchy,
    lending,
    nodefit,
    numa,
    ordering,
    owners,
    pastuse,
    podaffinity,
    promises,
    quota,
    scores,
    share,
    sla,
    spread,
    victims,
)
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import PRESETS

Maker = type[Any]


def _named(*classes: Maker) -> dict[str, Maker]:
    return {each.__name__[0].lower() + each.__name__[1:]: each for each in classes}


GATES = _named(
    gates.QueueOpen,
    gates.QueueRoom,
    gates.Overcommit,
    quota.NamespaceQuota,
    capacity.LeafOnly,
    owners.OwnerJobs,
    promises.GangRoom,
)
VICTIMS: dict[str, Maker] = _named(
    victims.Surplus,
    victims.LowerPriority,
    victims.Conformance,
    victims.SmallerShare,
    victims.OverShare,
    victims.Cooldown,
    victims.WithinBudget,
)
#: Key in the mapping -> (field of Policy, what may stand there by name).
LISTS: dict[str, tuple[str, dict[str, Maker]]] = {
    "queueOrder": (
        "queue_order",
        {
            "priority": ordering.QueuePriority,
            **_named(ordering.LeastServed, capacity.DeservedOrder, hierarchy.HierarchicalShare, pastuse.PastUse),
        },
    ),
    "gangOrder": (
        "gang_order",
        _named(
            ordering.Priority,
            ordering.UnreadyFirst,
            ordering.DominantShare,
            ordering.Oldest,
            pastuse.OwnerPastUse,
            sla.WaitingTime,
        ),
    ),
    "enqueue": ("enqueue", GATES),
    "waivable": ("waivable", GATES),
    "permits": ("permits", _named(sla.WaitingTime)),
    "reserving": ("reserving", _named(sla.WaitingTime)),
    "admission": ("admission", _named(capacity.LeafOnly, owners.OwnerJobs)),
    "limits": ("limits", _named(share.Capability, share.FairShare)),
    "filters": (
        "filters",
        _named(
            nodefit.Schedulable,
            nodefit.Selector,
            nodefit.Taints,
            numa.NumaAlignment,
            podaffinity.PodAffinity,
            spread.TopologySpread,
        ),
    ),
    "preemptable": ("preemptable", VICTIMS),
    "reclaimable": ("reclaimable", VICTIMS),
    # flowbatch's own come with plugins; these are for policies that people bring.
    "confirmations": ("confirmations", {}),
    "steps": ("steps", {}),
    "gangLimits": ("gang_limits", _named(lending.Borrowing, owners.OwnerShare)),
    "scores": (
        "scores",
        _named(
            scores.BinPack,
            scores.LeastRequested,
            scores.MostRequested,
            scores.Balanced,
            scores.PreferredAffinity,
            scores.PreferredTaints,
            podaffinity.PodAffinityScore,
            spread.TopologySpreadScore,
            fragmentation.Fragmentation,
            devicescores.DevicePack,
            devicescores.DeviceSpread,
            numa.FewNumaNodes,
        ),
    ),
}
SHARES = _named(share.Proportion, capacity.Deserved)
#: Key in the mapping -> field of Policy, where a whole number of at least 1 stands.
COUNTS = {
    "surplusBatch": "surplus_batch",
    "reservationsPerQueue": "reservations_per_queue",
    "holdMs": "hold_ms",
    "preemptMinRuntimeMs": "preempt_min_runtime_ms",
    "reclaimMinRuntimeMs": "reclaim_min_runtime_ms",
    "movedMost": "moved_most",
    "moveCooldownMs": "move_cooldown_ms",
}
#: Actions that evict; all others are there anyway.
EVICTIONS = ("preempt", "reclaim", "gangpreempt", "gangreclaim", "shuffle", "consolidate")
FLAGS = {"strictTurns": "strict_turns", "evictOverdue": "evict_overdue"}
#: How the devices of a node are ranked.
DEVICES = _named(fragmentation.Fragmentation, devicescores.DevicePack, devicescores.DeviceSpread)
#: What stands by itself, or null for none.
ONES: dict[str, dict[str, Maker]] = {"shares": SHARES, "devices": DEVICES}
KEYS = ("name", "preset", *LISTS, *ONES, *COUNTS, *FLAGS, "evictions")
MOST_WEIGHT = 1_000_000


def read_policy(mapping: Mapping[str, Any], extra: Mapping[str, Maker] | None = None) -> Policy:
    """The policy that `mapping` describes; raises SpecErrors with every problem."""
    problems: list[SpecError] = []
    policy = _read(mapping, dict(extra or {}), problems)
    if problems:
        raise SpecErrors(problems, "policy")
    return policy


def _read(mapping: Mapping[str, Any], extra: Mapping[str, Maker], problems: list[SpecError]) -> Policy:
    unknown = [str(key) for key in mapping if key not in KEYS]
    problems.extend(SpecError(key, "no such setting", hint=did_you_mean(key, KEYS)) for key in unknown)
    changes: dict[str, Any] = {"name": _text(mapping, "name", "custom", problems)}
    for key, (field, known) in LISTS.items():
        if key in mapping:
            changes[field] = _list(key, mapping[key], {**known, **extra}, problems)
    for key, known in ONES.items():
        if key in mapping:
            name = mapping[key]
            changes[key] = None if name is None else _one(key, name, {**known, **extra}, problems)
    for key, field in FLAGS.items():
        if not isinstance(mapping.get(key, False), bool):
            problems.append(SpecError(key, "must be true or false", mapping[key]))
        elif key in mapping:
            changes[field] = mapping[key]
    for key, field in COUNTS.items():
        count = mapping.get(key, 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            problems.append(SpecError(key, "must be a whole number of at least 1", count))
        elif key in mapping:
            changes[field] = count
    if "evictions" in mapping:
        changes["actions"] = (*Policy(name="").actions, *_evictions(mapping["evictions"], problems))
    return replace(_preset(mapping, problems), **changes)


def _evictions(value: Any, problems: list[SpecError]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        problems.append(SpecError("evictions", "must be a list of actions", value))
        return ()
    for i, name in enumerate(value):
        if name not in EVICTIONS:
            problems.append(SpecError(f"evictions[{i}]", "no such action", name, did_you_mean(str(name), EVICTIONS)))
    return tuple(str(name) for name in value)


def _text(mapping: Mapping[str, Any], key: str, default: str, problems: list[SpecError]) -> str:
    value = mapping.get(key, default)
    if isinstance(value, str) and value:
        return value
    problems.append(SpecError(key, "must be a name", value))
    return default


def _preset(mapping: Mapping[str, Any], problems: list[SpecError]) -> Policy:
    name = _text(mapping, "preset", "default", problems)
    if name not in PRESETS:
        problems.append(SpecError("preset", "no such preset", name, did_you_mean(name, PRESETS)))
        return PRESETS["default"]
    return PRESETS[name]


def _list(path: str, value: Any, known: Mapping[str, Maker], problems: list[SpecError]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        problems.append(SpecError(path, "must be a list of names", value))
        return ()
    made = [_one(f"{path}[{i}]", item, known, problems) for i, item in enumerate(value)]
    return tuple(each for each in made if each is not None)


def _one(path: str, item: Any, known: Mapping[str, Maker], problems: list[SpecError]) -> Any:
    """One policy: a name, or a mapping with `name` and arguments."""
    if isinstance(item, Mapping):
        arguments = {key: value for key, value in item.items() if key != "name"}
        name, where = item.get("name"), f"{path}.name"
    else:
        name, arguments, where = item, {}, path
    if not isinstance(name, str):
        problems.append(SpecError(where, "must be a name", name))
        return None
    maker = known.get(name)
    if maker is None:
        problems.append(SpecError(where, "no such policy", name, did_you_mean(name, known)))
        return None
    before = len(problems)
    values = {key: argument(f"{path}.{key}", key, value, maker, problems) for key, value in arguments.items()}
    return made(path, maker, values, problems) if len(problems) == before else None


def made(path: str, maker: Maker, values: Mapping[str, Any], problems: list[SpecError]) -> Any:
    """One of `maker`, or None and a problem: a class of somebody else's may want what it was not given."""
    try:
        return maker(**values)
    except Exception as error:  # a user's class may raise anything
        problems.append(SpecError(path, f"{maker.__name__} cannot be made: {type(error).__name__}: {error}"))
        return None


def argument(path: str, key: str, value: Any, maker: Maker, problems: list[SpecError]) -> Any:
    """The value of one field of `maker`, judged by the field's default."""
    allowed = {each.name: each for each in fields(maker) if each.init} if is_dataclass(maker) else {}
    if key not in allowed:
        problems.append(SpecError(path, "no such argument", hint=did_you_mean(key, allowed) if allowed else "none"))
        return value
    default = allowed[key].default
    if isinstance(default, bool):
        if not isinstance(value, bool):
            problems.append(SpecError(path, "must be true or false", value))
    elif isinstance(default, int | float):
        least, most = (
            getattr(maker, bound, {}).get(key, usual) for bound, usual in (("least", 0), ("most", MOST_WEIGHT))
        )
        return _number(path, value, problems, least, most)
    elif isinstance(default, str) and key in getattr(maker, "choices", {}):
        if value not in maker.choices[key]:
            problems.append(
                SpecError(path, "is none of the choices", value, did_you_mean(str(value), maker.choices[key]))
            )
    elif isinstance(default, tuple):
        return _weights(path, value, problems)
    elif isinstance(default, str) and not isinstance(value, str):
        problems.append(SpecError(path, "must be text", value))
    return value


def _number(path: str, value: Any, problems: list[SpecError], least: float = 0, most: float = MOST_WEIGHT) -> float:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if number and least <= value <= most:
        return float(value)
    problems.append(SpecError(path, f"must be a number from {least:g} to {most:.0f}", value))
    return 0.0


def _weights(path: str, value: Any, problems: list[SpecError]) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        problems.append(SpecError(path, "must map names to numbers", value))
        return ()
    return tuple((str(name), _number(f"{path}.{name}", weight, problems)) for name, weight in value.items())
