"""The tree of network domains: which HyperNode holds which nodes, kept up as nodes and HyperNodes come, go and change.

A broken tree degrades by domain and never as a whole. What cannot be read, belongs to several parents, or is not below
its parent, is left out of what is above it, and the domain says so in `problem`: jobs that fit elsewhere go on.

Facts are noted when they come and folded in by `refresh`, once before somebody looks; without HyperNodes nothing is
noted at all.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.domainindex import DomainIndex
from flowbatch.model.facts import HyperNodeSeen, Members
from flowbatch.model.ids import HyperNodeName, NodeName, Row
from flowbatch.model.labels import passes
from flowbatch.model.nodes import Node
from flowbatch.model.patterns import compiled
from flowbatch.model.shapes import Term
from flowbatch.model.table import Ints

#: With more changed domains than this, all nodes are matched anew instead of each domain's.
FEW = 4
NO_ROWS: Ints = np.zeros(0, np.int64)


@dataclass(slots=True, eq=False)
class Domain:
    """One HyperNode: its own nodes, the domains inside it, and the rows of all of them."""

    name: HyperNodeName
    fact: HyperNodeSeen
    #: Nodes that its own members name.
    nodes: dict[NodeName, Row] = field(default_factory=dict)
    children: "list[Domain]" = field(default_factory=list)
    parents: "list[Domain]" = field(default_factory=list)
    #: All rows inside it, sorted.
    rows: Ints = field(default_factory=lambda: NO_ROWS)
    #: What is wrong with it, for people; empty where nothing is.
    problem: str = ""

    @property
    def tier(self) -> int:
        """The lower, the closer."""
        return self.fact.tier


class Matchers:
    """Which domains name a node, found through its name and labels rather than domain by domain."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        self._names: dict[str, list[Domain]] = {}
        self._labels: dict[str, dict[str, list[Domain]]] = {}
        self._tests: list[tuple[Term, Domain]] = []
        self._patterns: list[tuple[re.Pattern[str], Domain]] = []
        for domain in domains:
            for members in domain.fact.members:
                if members.kind == "Node":
                    self._add(members, domain)

    def _add(self, members: Members, domain: Domain) -> None:
        tests, pattern = members.labels, compiled(members.pattern)
        if members.name:
            self._names.setdefault(members.name, []).append(domain)
        elif len(tests) == 1 and tests[0].operator == "In" and len(tests[0].values) == 1 and not tests[0].field:
            by_value = self._labels.setdefault(tests[0].key, {})
            by_value.setdefault(tests[0].values[0], []).append(domain)
        elif tests:
            self._tests.append((tests, domain))
        elif isinstance(pattern, re.Pattern):
            self._patterns.append((pattern, domain))

    def of(self, node: Node) -> list[Domain]:
        """Domains that name `node`; none for a node that nobody has shown us."""
        if node.fact is None:
            return []
        found = list(self._names.get(node.name, ()))
        for key, by_value in self._labels.items():
            value = node.labels.get(key)
            if value is not None:
                found += by_value.get(value, ())
        found += [domain for tests, domain in self._tests if passes(tests, node.labels, node.name)]
        found += [domain for pattern, domain in self._patterns if pattern.search(node.name)]
        return found


class Topology:
    """All domains by name, and the vectors over them."""

    def __init__(self, nodes: Mapping[NodeName, Node]) -> None:
        self._nodes = nodes
        self.by_name: dict[HyperNodeName, Domain] = {}
        #: Grows whenever a domain is not what it was.
        self.version = 0
        self.index = DomainIndex([])
        self._matchers = Matchers(())
        self._of_node: dict[NodeName, list[Domain]] = {}
        self._changed: dict[HyperNodeName, None] = {}
        self._touched: dict[NodeName, None] = {}

    # -- facts

    def observe(self, fact: HyperNodeSeen) -> None:
        """A HyperNode as it now is."""
        domain = self.by_name.get(fact.name)
        if domain is not None and domain.fact == fact:
            return
        if domain is None:
            self.by_name[fact.name] = Domain(fact.name, fact)
        else:
            domain.fact = fact
        self._changed[fact.name] = None

    def forget(self, name: HyperNodeName) -> None:
        """The HyperNode is gone."""
        if self.by_name.pop(name, None) is not None:
            self._changed[name] = None

    def touch(self, name: NodeName) -> None:
        """A node came, went or changed its labels."""
        if self.by_name or self._changed:
            self._touched[name] = None

    @property
    def stale(self) -> bool:
        """Something was noted since the last `refresh`."""
        return bool(self._changed or self._touched)

    # -- up to date

    def refresh(self) -> bool:
        """Fold in what was noted; whether any domain is not what it was."""
        if not self.stale:
            return False
        changed, self._changed = self._changed, {}
        touched, self._touched = self._touched, {}
        moved: dict[HyperNodeName, None] = dict(changed)
        if changed:
            self._matchers = Matchers(self.by_name.values())
        for name in self._to_place(changed, touched):
            moved |= self._place(name)
        if changed:
            self._link()
        if moved:
            self._gather(moved, whole=bool(changed))
            self.version += 1
            self.index = DomainIndex(self.by_name.values())
        return bool(moved)

    def _to_place(self, changed: Mapping[HyperNodeName, None], touched: Mapping[NodeName, None]) -> Iterable[NodeName]:
        """Nodes that may belong elsewhere now."""
        everybody = {**dict.fromkeys(self._of_node), **dict.fromkeys(self._nodes)}
        if len(changed) > FEW:
            return everybody
        lost = [name for name, domains in self._of_node.items() if any(each.name in changed for each in domains)]
        members = [each for name in changed if name in self.by_name for each in self.by_name[name].fact.members]
        mine = [each for each in members if each.kind == "Node"]
        if all(each.name for each in mine):
            return {**touched, **dict.fromkeys(lost), **{NodeName(each.name): None for each in mine}}
        return everybody

    def _place(self, name: NodeName) -> dict[HyperNodeName, None]:
        """Bring one node's membership up to date; the domains that lost or won it, or know it by another row now."""
        node = self._nodes.get(name)
        before = self._of_node.pop(name, [])
        after = self._matchers.of(node) if node is not None else []
        if after:
            self._of_node[name] = after
        moved: dict[HyperNodeName, None] = {}
        for domain in before:
            if domain not in after:
                domain.nodes.pop(name, None)
                moved[domain.name] = None
        for domain in after:
            assert node is not None
            if domain.nodes.get(name) != node.row:
                domain.nodes[name] = node.row
                moved[domain.name] = None
        return moved

    def _link(self) -> None:
        """Who is inside whom; each HyperNode hangs in at most one parent, of a higher tier."""
        inside = {domain.name: self._inside(domain) for domain in self.by_name.values()}
        for domain in self.by_name.values():
            domain.children, domain.parents, domain.problem = [], [], problem_of(domain.fact)
        for parent in self.by_name.values():
            for child in inside[parent.name]:
                child.parents.append(parent)
        for child in sorted(self.by_name.values(), key=lambda each: each.name):
            self._hang(child, inside)

    def _inside(self, parent: Domain) -> list[Domain]:
        """HyperNodes that `parent` names, each once."""
        found: dict[HyperNodeName, Domain] = {}
        for members in parent.fact.members:
            if members.kind != "HyperNode":
                continue
            named = self.by_name.get(HyperNodeName(members.name))
            pattern = compiled(members.pattern)
            if named is not None:
                found[named.name] = named
            elif not members.name and isinstance(pattern, re.Pattern):
                found |= {name: each for name, each in self.by_name.items() if pattern.search(name)}
        return list(found.values())

    @staticmethod
    def _hang(child: Domain, inside: Mapping[HyperNodeName, list[Domain]]) -> None:
        """Find `child` its place, or say why it has none."""
        below = [parent for parent in child.parents if child.tier < parent.tier]
        for parent in child.parents:
            if parent not in below:
                circle = "; they contain each other" if reaches(child, parent, inside) else ""
                note(
                    child, f"its tier {child.tier} is not below tier {parent.tier} of its parent {parent.name}{circle}"
                )
        if len(below) > 1:
            names = " and ".join(sorted(parent.name for parent in below))
            note(child, f"it belongs to several HyperNodes ({names}), so none of them counts it")
        child.parents = below if len(below) == 1 else []
        for parent in child.parents:
            parent.children.append(child)

    def _gather(self, moved: Mapping[HyperNodeName, None], *, whole: bool) -> None:
        """Rows of the domains that changed, and of those above them; `whole`: of all, because the tree itself did."""
        dirty = dict(moved)
        for domain in sorted(self.by_name.values(), key=lambda each: each.tier):
            if whole or domain.name in dirty:
                own = np.fromiter(domain.nodes.values(), np.int64, len(domain.nodes))
                domain.rows = np.unique(np.concatenate([own, *(child.rows for child in domain.children)]))
                dirty |= {parent.name: None for parent in domain.parents}

    # -- questions

    def problems(self) -> dict[HyperNodeName, str]:
        """What is wrong, by HyperNode."""
        return {name: each.problem for name, each in sorted(self.by_name.items()) if each.problem}


def reaches(start: Domain, goal: Domain, inside: Mapping[HyperNodeName, list[Domain]]) -> bool:
    """Whether `goal` is `start`, or somewhere inside it."""
    seen: dict[HyperNodeName, None] = {}
    ahead = [start]
    while ahead:
        domain = ahead.pop()
        if domain is goal:
            return True
        if domain.name not in seen:
            seen[domain.name] = None
            ahead += inside[domain.name]
    return False


def note(domain: Domain, problem: str) -> None:
    """One more thing is wrong with `domain`."""
    domain.problem = f"{domain.problem}; {problem}" if domain.problem else problem


def problem_of(fact: HyperNodeSeen) -> str:
    """What is wrong with a HyperNode by itself."""
    for members in fact.members:
        pattern = compiled(members.pattern) if members.pattern else ""
        if isinstance(pattern, str) and pattern:
            return f"the pattern {members.pattern[:80]!r} {pattern}"
        if not (members.name or members.pattern or members.labels):
            return "one of its members has no selector"
        if members.kind == "HyperNode" and members.labels:
            return "HyperNodes cannot be selected by labels"
    return "" if fact.tier >= 0 else f"tier {fact.tier} is negative"
