"""The rules of a Numatopology. Volcano has none; what cannot be read there is left out by its scheduler."""

import re
from collections.abc import Iterator
from typing import Final

from flowbatch.api.meta import JsonObject
from flowbatch.api.nodeinfo import CPU_MANAGER, TOPOLOGY_MANAGER
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules.reading import dict_of, dicts_of, items_of, text_of
from flowbatch.workload.rules.resources import read_quantity
from flowbatch.workload.vocabulary import TOPOLOGY_POLICIES

#: More cpus than Linux can be built for; ids beyond are slips of the keyboard.
MOST_CPUS: Final = 8192
CPU_POLICIES: Final = ("none", "static")
_ID: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_RANGE: Final = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", re.ASCII)
_POLICIES: Final = {CPU_MANAGER: CPU_POLICIES, TOPOLOGY_MANAGER: TOPOLOGY_POLICIES}


def check_cpus(manifest: JsonObject) -> Iterator[SpecError]:
    """Policies that exist, cpus with ids, sets that can be read, amounts that are some."""
    spec = dict_of(manifest, "spec")
    for name, policy in items_of(spec, "policies"):
        yield from _policy(name, policy)
    for name, value in items_of(spec, "resReserved"):
        _, problem = read_quantity(value, f"spec.resReserved.{name}")
        if problem is not None:
            yield problem
    for name, _ in items_of(spec, "cpuDetail"):
        if not _ID.fullmatch(name) or int(name) >= MOST_CPUS:
            yield SpecError(f"spec.cpuDetail.{name[:100]}", f"must be the id of a cpu, at most {MOST_CPUS - 1}")
    yield from _places(spec)
    yield from _set(text_of(spec, "numares", "cpu", "allocatable"), "spec.numares.cpu.allocatable")
    for index, pod in dicts_of(spec, "podAllocations"):
        for at, container in dicts_of(pod, "containerAllocations"):
            path = f"spec.podAllocations[{index}].containerAllocations[{at}].allocations.cpu"
            yield from _set(text_of(container, "allocations", "cpu"), path)


def _policy(name: str, policy: object) -> Iterator[SpecError]:
    path, known = f"spec.policies.{name[:100]}", _POLICIES.get(name)
    if known is None:
        yield SpecError(path, "is not the policy of a manager", None, did_you_mean(name[:100], _POLICIES))
    elif isinstance(policy, str) and policy and policy not in known:
        yield SpecError(path, "is no policy of this manager", policy, did_you_mean(policy[:100], known))


def _places(spec: JsonObject) -> Iterator[SpecError]:
    for name, info in items_of(spec, "cpuDetail"):
        for field, value in items_of(info):
            if field in ("numa", "socket", "core") and isinstance(value, int) and value < 0:
                yield SpecError(f"spec.cpuDetail.{name[:100]}.{field}", "must be at least 0", value)


def _set(text: str, path: str) -> Iterator[SpecError]:
    for part in text.split(",") if text else ():
        found = _RANGE.fullmatch(part.strip())
        last = int(found[2] or found[1]) if found else 0
        if found is None or last < int(found[1]) or last >= MOST_CPUS:
            yield SpecError(path, 'must be a set of cpus such as "0-3,8"', text[:100])
            return
