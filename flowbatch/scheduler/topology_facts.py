"""HyperNodes in, HyperNodeSeen out; and what PodGroups say about how close their members must be.

A member that cannot be understood selects nobody, and the engine says so on the HyperNode: the others still count.
"""

from collections.abc import Iterable

import msgspec

from flowbatch.api import names
from flowbatch.api.batch import NetworkTopologySpec
from flowbatch.api.meta import LabelSelector
from flowbatch.api.scheduling import PodGroup, SubGroupPolicy
from flowbatch.api.topology import HyperNode, MemberSpec
from flowbatch.engine import events
from flowbatch.model.ids import HyperNodeName
from flowbatch.scheduler.translate import UnreadableError

#: An empty selector selects every node; every node has a name.
_EVERY_NODE = (events.LabelTest("metadata.name", "Exists", field=True),)


def hyper_node_fact(node: HyperNode) -> events.HyperNodeSeen:
    """`node` as the engine sees it."""
    spec = node.spec
    members = tuple(_members(member) for member in spec.members)
    return events.HyperNodeSeen(HyperNodeName(node.metadata.name), spec.tier, spec.tier_name, members)


def _members(member: MemberSpec) -> events.Members:
    kind, selector = "HyperNode" if member.type == "HyperNode" else "Node", member.selector
    given = [each for each in (selector.exact_match, selector.regex_match, selector.label_match) if each is not None]
    if len(given) != 1:
        return events.Members(kind)  # type: ignore[arg-type]  # one of the two
    if selector.exact_match is not None:
        return events.Members(kind, name=selector.exact_match.name)  # type: ignore[arg-type]
    if selector.regex_match is not None:
        return events.Members(kind, pattern=selector.regex_match.pattern)  # type: ignore[arg-type]
    assert selector.label_match is not None
    return events.Members(kind, labels=tests_of(selector.label_match) or _EVERY_NODE)  # type: ignore[arg-type]


def tests_of(selector: LabelSelector | None) -> tuple[events.LabelTest, ...]:
    """A label selector as tests that must all hold."""
    if selector is None:
        return ()
    equal = [events.LabelTest(key, "In", (value,)) for key, value in sorted(selector.match_labels.items())]
    others = [events.LabelTest(each.key, each.operator, each.values) for each in selector.match_expressions]
    return (*equal, *others)


def reach_of(topology: NetworkTopologySpec | None, path: str) -> events.Reach | None:
    """How close members must be. Raises UnreadableError for what contradicts itself."""
    if topology is None:
        return None
    if topology.highest_tier_allowed is not None and topology.highest_tier_name:
        raise UnreadableError(f"{path} names both highestTierAllowed and highestTierName")
    if topology.mode == "soft":
        return events.Reach(soft=True)
    return events.Reach(highest=topology.highest_tier_allowed, name=topology.highest_tier_name or "")


def sub_groups_of(policies: Iterable[SubGroupPolicy]) -> tuple[events.SubGroups, ...]:
    """How members are cut into sub-gangs. Raises UnreadableError."""
    return tuple(
        events.SubGroups(
            each.name,
            max(1, each.sub_group_size),
            max(0, each.min_sub_groups),
            tests_of(each.label_selector),
            each.match_label_keys,
            reach_of(each.network_topology, f"spec.subGroupPolicy[{index}].networkTopology"),
        )
        for index, each in enumerate(policies)
    )


def labels_asked_by(group: PodGroup) -> list[str]:
    """Labels of pods that the group's sub-gangs are cut by."""
    keys: dict[str, None] = {}
    for policy in group.spec.sub_group_policy:
        keys |= dict.fromkeys(policy.match_label_keys)
        keys |= {test.key: None for test in tests_of(policy.label_selector)}
    return list(keys)


def home_of(group: PodGroup) -> HyperNodeName:
    """Where it was last, or an empty name."""
    return HyperNodeName(group.metadata.annotations.get(names.ALLOCATED_HYPER_NODE, ""))


def with_topology(fact: events.GangSeen | None, group: PodGroup) -> events.GangSeen | None:
    """`fact` with what the group says about closeness; the same one where it says nothing. Raises UnreadableError."""
    spec, home = group.spec, home_of(group)
    if fact is None or not (spec.network_topology or spec.sub_group_policy or home):
        return fact
    return msgspec.structs.replace(
        fact,
        reach=reach_of(spec.network_topology, "spec.networkTopology"),
        sub_groups=sub_groups_of(spec.sub_group_policy),
        home=home,
    )
