"""What `>>` makes of jobs: an immutable graph, which a Workflow gives a name.

A graph that could never run is refused by the very `>>` that would make it so, with its line.
"""

from collections.abc import Iterable, Sequence
from typing import NoReturn

from msgspec.structs import replace

from flowbatch.errors import SpecError, SpecErrors
from flowbatch_dsl.chained import Chained, Links
from flowbatch_dsl.job import Job
from flowbatch_dsl.origin import Origin, caller, origin_of, remember
from flowbatch_dsl.workflows.node import Node


class Graph(Chained, frozen=True):
    """Steps with their edges (in `Node.after`); `heads` are entered, and `tails` left, by a further `>>`."""

    nodes: tuple[Node, ...]
    heads: tuple[str, ...] = ()
    tails: tuple[str, ...] = ()


def chain(before: Links, after: Links) -> Graph:
    """The union of both, every head of `after` coming after every tail of `before`. Raises SpecErrors for a circle."""
    left, right = graph_of(before), graph_of(after)
    joined = union([left, right])
    nodes = tuple(_behind(node, left.tails) if node.name in right.heads else node for node in joined.nodes)
    if len(nodes) < len(left.nodes) + len(right.nodes) and (circle := circle_in(nodes)):
        _refuse("spec.flows", f"the steps wait for each other: {' >> '.join(circle)}")
    return Graph(nodes, left.heads, right.tails)


def graph_of(links: Links) -> Graph:
    """Whatever may stand on a side of `>>`, as a graph. Raises TypeError for anything else."""
    if isinstance(links, Graph):
        return links
    if isinstance(links, Job):
        node = Node(links)
        remember(node, origin_of(links))
        return Graph((node,), (node.name,), (node.name,))
    if isinstance(links, Node):
        return Graph((links,), (links.name,), (links.name,))
    if isinstance(links, (list, tuple)):
        return union([graph_of(each) for each in links])
    raise TypeError(f"a workflow is made of jobs, not of {type(links).__name__}: {links!r}")


def union(graphs: Iterable[Graph]) -> Graph:
    """All of them side by side; what they share is one step with the edges of both."""
    nodes: dict[str, Node] = {}
    heads: dict[str, None] = {}
    tails: dict[str, None] = {}
    for graph in graphs:
        for node in graph.nodes:
            nodes[node.name] = _merged(nodes[node.name], node) if node.name in nodes else node
        heads |= dict.fromkeys(graph.heads)
        tails |= dict.fromkeys(graph.tails)
    return Graph(tuple(nodes.values()), tuple(heads), tuple(tails))


def _merged(one: Node, other: Node) -> Node:
    if one != other and with_after(one, ()) != with_after(other, ()):
        hint = f'give one of them another name: Node(job, name="{one.name}-2")'
        _refuse("spec.flows", f'there are two different steps called "{one.name}"', hint)
    return _behind(one, other.after)


def _behind(node: Node, names: Sequence[str]) -> Node:
    """`node`, coming after `names` too."""
    if node.name in names:
        _refuse("spec.flows", f'"{node.name}" would wait for itself')
    return with_after(node, tuple(dict.fromkeys((*node.after, *names))))


def with_after(node: Node, after: tuple[str, ...]) -> Node:
    """A copy with these edges that remembers where the step was written."""
    if node.after == after:
        return node
    copy = replace(node, after=after)
    remember(copy, origin_of(node))
    return copy


def circle_in(nodes: Sequence[Node]) -> list[str]:
    """The names on some circle, its first one at both ends; nothing where there is none. O(edges)."""
    edges = {node.name: node.after for node in nodes}
    done: set[str] = set()
    for start in edges:
        if start not in done and (found := _circle_from(start, edges, done)):
            return found
    return []


def _circle_from(start: str, edges: dict[str, tuple[str, ...] | list[str]], done: set[str]) -> list[str]:
    path = {start: None}
    stack = [iter(edges[start])]
    while stack:
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
            done.add(path.popitem()[0])
        elif name in path:
            names = list(path)
            return [name, *reversed(names[names.index(name) :])]
        elif name in edges and name not in done:
            path[name] = None
            stack.append(iter(edges[name]))
    return []


def _refuse(path: str, problem: str, hint: str = "") -> NoReturn:
    """Raises SpecErrors with the line of the user's file that is running."""
    raise refusal([(SpecError(path, problem, None, hint), "Workflow", caller())], "workflow")


def refusal(found: Iterable[tuple[SpecError, str, Origin | None]], subject: str) -> SpecErrors:
    """Problems with their names in the DSL and where they were written, as one error."""
    from flowbatch_dsl.report import Problem

    return SpecErrors(
        [Problem(each, name, at.file if at else "", at.line if at else 0) for each, name, at in found], subject
    )
