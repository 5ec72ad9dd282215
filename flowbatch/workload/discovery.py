"""HyperNodes made from labels of nodes (Volcano: networkTopologyDiscovery, source label): what to make, and what for.

    networkTopologyDiscovery:
    - source: label
      enabled: true
      config:
        networkTopologyTypes:
          fabric:                                  # from the widest domain to the node
          - nodeLabel: example.com/spine
          - nodeLabel: example.com/leaf
          - nodeLabel: kubernetes.io/hostname

Each value of the label next to the node's own name is a HyperNode of tier 1 that has the nodes with it, each value of
the label above one of tier 2 that has those HyperNodes, and so on. A node takes part up to the first label it lacks.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from flowbatch.api.kinds import HYPER_NODE
from flowbatch.api.meta import JsonObject
from flowbatch.api.topology import HyperNode, HyperNodeSpec
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.changes import Changes, Create, Delete, Patch
from flowbatch.workload.rules.names import label_key_problem
from flowbatch.workload.rules.reading import dict_of, items_of, list_of

#: Which source made a HyperNode; only those of our own are ever changed.
SOURCE: Final = "volcano.sh/network-topology-source"
LABEL: Final = "label"
HOSTNAME: Final = "kubernetes.io/hostname"
LONGEST_NAME: Final = 20
_KEYS: Final = ("source", "enabled", "interval", "config", "credentials")
_CLEAN: Final = re.compile(r"[^a-z0-9.-]")


class TopologyType(msgspec.Struct, frozen=True):
    """One way to cut the cluster: label keys, the narrowest domain first."""

    name: str
    keys: tuple[str, ...]


def read_discovery(value: Any, path: str) -> tuple[tuple[TopologyType, ...], list[SpecError]]:
    """The topology types of the sources that are enabled, and every problem."""
    types: list[TopologyType] = []
    problems: list[SpecError] = []
    for index, each in enumerate(list_of(value)):
        where = f"{path}[{index}]"
        found = list(_source_problems(each, where))
        problems += found
        if found or each.get("enabled") is not True:
            continue
        for name, labels in items_of(each, "config", "networkTopologyTypes"):
            inside = f"{where}.config.networkTopologyTypes.{name[:100]}"
            wrong = list(_type_problems(name, labels, inside, types))
            problems += wrong
            if not wrong:
                types.append(TopologyType(name, tuple(_keys(labels))[-2::-1]))
    return tuple(types), problems


def _source_problems(source: Any, path: str) -> Iterator[SpecError]:
    if not isinstance(source, dict):
        yield SpecError(path, "must be an object", source)
        return
    for key in source:
        if key not in _KEYS:
            yield SpecError(f"{path}.{key}", "is no setting", None, did_you_mean(str(key)[:100], _KEYS))
    if source.get("enabled") is True and source.get("source") != LABEL:
        yield SpecError(f"{path}.source", "is not asked by flowbatch", source.get("source"), f"use {LABEL}")


def _keys(labels: Any) -> Iterator[str]:
    for each in list_of(labels):
        key = dict_of(each).get("nodeLabel")
        yield key if isinstance(key, str) else ""


def _type_problems(name: str, labels: Any, path: str, others: Iterable[TopologyType]) -> Iterator[SpecError]:
    if any(each.name == name for each in others):
        yield SpecError(path, "is there already")
    if not 0 < len(name) <= LONGEST_NAME:
        yield SpecError(path, f"must have a name of 1 to {LONGEST_NAME} characters")
    keys = list(_keys(labels))
    if len(keys) < 2 or keys[-1] != HOSTNAME:
        yield SpecError(path, f"must go from the widest domain to {HOSTNAME}", keys[-1] if keys else None)
    for at, key in enumerate(keys):
        if not key or label_key_problem(key):
            yield SpecError(f"{path}[{at}].nodeLabel", label_key_problem(key) if key else "is missing", key)
        elif key in keys[:at]:
            yield SpecError(f"{path}[{at}].nodeLabel", "is there already", key)


def concerns(types: Iterable[TopologyType], labels: Mapping[str, str]) -> tuple[str | None, ...]:
    """All that discovery looks at of a node's labels."""
    return tuple(labels.get(key) for each in types for key in each.keys)


def discovered(
    types: Iterable[TopologyType], nodes: Iterable[tuple[str, Mapping[str, str]]], existing: Iterable[HyperNode]
) -> dict[str, JsonObject]:
    """The HyperNodes that there should be, by name. Those of today keep their names, whoever gave them."""
    known = _names(existing)
    found: dict[str, JsonObject] = {}
    members: dict[str, dict[str, None]] = {}
    for name, labels in sorted(nodes):
        for each in types:
            inner = name
            for tier, key in enumerate(each.keys, 1):
                if key not in labels:
                    break
                outer = _name(each.name, tier, key, labels[key], known)
                found.setdefault(outer, _manifest(outer, tier, key, labels[key]))
                members.setdefault(outer, {})[inner] = None
                inner = outer
    for name, manifest in found.items():
        kind = "Node" if manifest["spec"]["tier"] == 1 else "HyperNode"
        exact = [{"type": kind, "selector": {"exactMatch": {"name": each}}} for each in sorted(members[name])]
        manifest["spec"]["members"] = exact
    return found


def _names(existing: Iterable[HyperNode]) -> dict[tuple[str, str], list[str]]:
    names: dict[tuple[str, str], list[str]] = {}
    for node in existing:
        for key, value in node.metadata.labels.items():
            names.setdefault((key, value), []).append(node.metadata.name)
    return {label: sorted(each) for label, each in names.items()}


def _name(kind: str, tier: int, key: str, value: str, known: Mapping[tuple[str, str], list[str]]) -> str:
    """As Volcano names them, but with a suffix that is no accident: two of us make the same one."""
    prefix = f"hypernode-{_CLEAN.sub('-', kind.lower()).strip('.-')}-tier{tier}"
    given = next((name for name in known.get((key, value), ()) if name.startswith(prefix + "-")), None)
    digest = hashlib.sha256(f"{kind}\0{key}\0{value}".encode()).hexdigest()
    return given or f"{prefix}-{digest[:8]}"


def _manifest(name: str, tier: int, key: str, value: str) -> JsonObject:
    return {
        "apiVersion": HYPER_NODE.api_version,
        "kind": HYPER_NODE.kind,
        "metadata": {"name": name, "labels": {SOURCE: LABEL, key: value}},
        "spec": {"tier": tier, "tierName": key},
    }


def changes(wanted: Mapping[str, JsonObject], existing: Iterable[HyperNode]) -> Changes:
    """What brings the HyperNodes of today, which are ours, to those that there should be."""
    by_name = {node.metadata.name: node for node in existing}
    creates = (Create(each) for name, each in sorted(wanted.items()) if name not in by_name)
    patches, deletes = [], []
    for name, node in sorted(by_name.items()):
        meta, each = node.metadata, wanted.get(name)
        if meta.deletion_timestamp is not None:
            continue
        if each is None:
            deletes.append(Delete(HYPER_NODE.kind, "", name, meta.uid))
        elif msgspec.convert(each["spec"], HyperNodeSpec) != node.spec:
            patches.append(Patch(HYPER_NODE.kind, "", name, {"spec": each["spec"]}, meta.uid))
    return Changes(creates=tuple(creates), patches=tuple(patches), deletes=tuple(deletes))
