"""What `configurations` of a Volcano scheduler configuration says about single actions.

    configurations:
    - name: preempt
      arguments: {enableTopologyAwarePreemption: true}

Arguments that only tune how Volcano searches (caches, worker threads) are read and have no meaning here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowbatch.errors import SpecError, did_you_mean
from flowbatch.policy.arguments import Arguments


@dataclass(frozen=True, kw_only=True)
class PreemptArguments:
    """How preempt looks for victims; the defaults are Volcano's."""

    #: Suppose the victims gone and look at the whole node again, affinity included.
    topology_aware: bool = False
    #: Of the nodes that would do, how many are looked at: so many of a hundred, at least, at most.
    candidates_percent: int = 10
    candidates_least: int = 1
    candidates_most: int = 100


@dataclass(frozen=True, kw_only=True)
class GangEvictArguments:
    """How gangpreempt or gangreclaim looks for victims; the defaults are Volcano's."""

    #: Topology domains that are tried.
    domains_most: int = 8
    #: A whole gang may go where members beyond the minima of gangs are not enough.
    whole_gangs: bool = True


#: Field of Policy -> what the arguments said.
Said = dict[str, Any]


def _caching(arguments: Arguments) -> Said:
    # Volcano remembers within one cycle which nodes refused; masks and lanes are that memory here, and always on.
    arguments.flag("enablePredicateErrorCache", default=True)
    return {}


def _enqueue(arguments: Arguments) -> Said:
    """`overcommit-factor`: where it stood before the overcommit plugin existed."""
    factor = arguments.number("overcommit-factor", 0.0, least=1.0, most=1000.0)
    return {"overcommit_factor": factor} if factor else {}


def _preempt(arguments: Arguments) -> Said:
    arguments.whole("topologyAwarePreemptWorkerNum", 16, least=1)
    return {
        **_caching(arguments),
        "preempt": PreemptArguments(
            topology_aware=arguments.flag("enableTopologyAwarePreemption", default=False),
            candidates_percent=arguments.whole("minCandidateNodesPercentage", 10, most=100),
            candidates_least=arguments.whole("minCandidateNodesAbsolute", 1),
            candidates_most=arguments.whole("maxCandidateNodesAbsolute", 100, least=1),
        ),
    }


def _gang_evict(field: str) -> Callable[[Arguments], Said]:
    def read(arguments: Arguments) -> Said:
        made = GangEvictArguments(
            domains_most=arguments.whole("maxDomains", 8, least=1),
            whole_gangs=arguments.flag("allowWholeBundle", default=True),
        )
        return {**_caching(arguments), field: made}

    return read


def _consolidate(arguments: Arguments) -> Said:
    """flowbatch's own action; the names are its settings' too."""
    return {
        "moved_most": arguments.whole("movedMost", 16, least=1),
        "move_cooldown_ms": arguments.duration_ms("moveCooldown", 600_000),
    }


#: What reads the arguments of each action.
READERS: Final[dict[str, Callable[[Arguments], Said]]] = {
    "enqueue": _enqueue,
    "allocate": _caching,
    "backfill": _caching,
    "preempt": _preempt,
    "reclaim": _caching,
    "shuffle": lambda _: {},
    "gangpreempt": _gang_evict("gangpreempt"),
    "gangreclaim": _gang_evict("gangreclaim"),
    "consolidate": _consolidate,
}


def read_configurations(value: Any, problems: list[SpecError]) -> Said:
    """What a Policy takes over from `configurations`."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        problems.append(SpecError("configurations", "must be a list", value))
        return {}
    said: Said = {}
    seen: dict[str, str] = {}
    for i, each in enumerate(value):
        said.update(_configuration(f"configurations[{i}]", each, seen, problems))
    return said


def _configuration(path: str, value: Any, seen: dict[str, str], problems: list[SpecError]) -> Said:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        problems.append(SpecError(path, "must be a mapping with a name", value))
        return {}
    unknown = [str(key) for key in value if key not in ("name", "arguments")]
    problems.extend(SpecError(f"{path}.{key}", "no such setting", hint='only "arguments"') for key in unknown)
    name, arguments = value["name"], value.get("arguments") or {}
    if name not in READERS:
        problems.append(SpecError(f"{path}.name", "no such action", name, did_you_mean(name, READERS)))
    elif name in seen:
        problems.append(SpecError(f"{path}.name", f"is there already, at {seen[name]}", name))
    elif not isinstance(arguments, Mapping):
        problems.append(SpecError(f"{path}.arguments", "must be a mapping", arguments))
    else:
        seen[name] = path
        told = Arguments(arguments, f"{path}.arguments", problems)
        said = READERS[name](told)
        told.close()
        return said
    return {}
