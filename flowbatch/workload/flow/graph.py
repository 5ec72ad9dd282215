"""The graph of a flow, read once for each version of its spec: whom each step waits for, and an order to look in.

Volcano gates a step on the targets it names. Here a step also waits for every step whose outputs it reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from flowbatch.api.flow import Flow, JobFlowSpec


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps by their place in the spec; every list of places is in the order of the spec."""

    steps: tuple[Flow, ...]
    places: dict[str, int]
    #: Whom a step waits for: the targets it names, then those it only reads from.
    sources: tuple[tuple[int, ...], ...]
    #: Those of its sources that it reads outputs of, and so sees end whatever probes say.
    read: tuple[frozenset[int], ...]
    #: Every step after all of its sources.
    order: tuple[int, ...]
    #: Why nothing can be made of it, where rules were not asked before it was stored.
    problem: str = ""


def compiled(spec: JobFlowSpec) -> Graph:
    """The graph of `spec`; time and space are those of its steps and edges."""
    steps = spec.flows
    places = {step.name: index for index, step in enumerate(steps)}
    if len(places) < len(steps):
        return _bad(steps, places, "two steps have the same name")
    sources: list[tuple[int, ...]] = []
    read: list[frozenset[int]] = []
    for step in steps:
        named = step.depends_on.targets if step.depends_on is not None else ()
        asked = dict.fromkeys(reference.partition(".")[0] for reference in references(step))
        unknown = [name for name in (*named, *asked) if name not in places]
        if unknown:
            return _bad(steps, places, f"step {step.name} waits for {unknown[0]}, which is no step")
        sources.append(tuple(dict.fromkeys(places[name] for name in (*named, *asked))))
        read.append(frozenset(places[name] for name in asked))
    order = _ordered(sources)
    if len(order) < len(steps):
        return _bad(steps, places, f"{len(steps) - len(order)} steps wait for each other in a circle")
    return Graph(steps, places, tuple(sources), tuple(read), order)


def references(step: Flow) -> Iterator[str]:
    """Every STEP.OUTPUT that a step reads."""
    for condition in step.when:
        yield condition.from_
    if step.for_each is not None and step.for_each.items is None:
        yield step.for_each.from_
    for value in step.inputs:
        yield value.from_


def _bad(steps: tuple[Flow, ...], places: dict[str, int], problem: str) -> Graph:
    return Graph(steps, places, (), (), (), problem)


def _ordered(sources: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Kahn's order; what is in a circle, or behind one, is left out."""
    left = [len(each) for each in sources]
    followers: list[list[int]] = [[] for _ in sources]
    for index, each in enumerate(sources):
        for source in each:
            followers[source].append(index)
    order = [index for index, count in enumerate(left) if count == 0]
    for index in order:
        for follower in followers[index]:
            left[follower] -= 1
            if left[follower] == 0:
                order.append(follower)
    return tuple(order)
