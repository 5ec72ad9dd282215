"""The one form in which a workflow keeps its steps, so that equal workflows compare equal, and what that form refuses.

Whatever a step needs of another makes that one a dependency, and is written down as one: whoever reads the JobFlow sees
every edge.
"""

from collections.abc import Iterator, Sequence

from flowbatch.errors import SpecError, did_you_mean
from flowbatch_dsl.origin import Origin, origin_of, remember
from flowbatch_dsl.workflows.graph import circle_in, refusal, with_after
from flowbatch_dsl.workflows.node import Node, Output, renamed

Found = tuple[SpecError, str, Origin | None]


def settled(name: str, namespace: str, nodes: Sequence[Node], origin: Origin | None) -> tuple[Node, ...]:
    """`nodes` with every edge in `after` and no namespace of their own. Raises SpecErrors with all that is wrong."""
    found = list(_strangers(namespace, nodes))
    nodes = tuple(_plain(node) for node in nodes)
    found += _unknown(nodes)
    if not nodes:
        found.append((SpecError("spec.flows", "has no steps"), f'Workflow("{name}").graph', origin))
    elif circle := circle_in(nodes):
        problem = SpecError("spec.flows", f"the steps wait for each other: {' >> '.join(circle)}")
        found.append((problem, f'Workflow("{name}").graph', origin))
    if found:
        raise refusal(found, name)
    return nodes


def _strangers(namespace: str, nodes: Sequence[Node]) -> Iterator[Found]:
    for node in nodes:
        if node.job.namespace and node.job.namespace != namespace:
            hint = f'a workflow and its jobs share one: Workflow(..., namespace="{node.job.namespace}")'
            problem = SpecError("metadata.namespace", "is not the workflow's", node.job.namespace, hint)
            yield problem, f'Job("{node.name}").namespace', origin_of(node.job)


def _plain(node: Node) -> Node:
    """`node` without a namespace of its own, and behind every step whose values it takes."""
    needed = (source.partition(".")[0] for source in node.sources)
    node = with_after(node, tuple(dict.fromkeys((*node.after, *needed))))
    if not node.job.namespace:
        return node
    origin = origin_of(node)
    node = node.but(job=renamed(node.job, namespace=""))
    remember(node, origin)
    return node


def _unknown(nodes: Sequence[Node]) -> Iterator[Found]:
    """Names of steps and outputs that are not there."""
    outputs = {node.name: [each.name for each in node.outputs if isinstance(each, Output)] for node in nodes}
    for index, node in enumerate(nodes):
        at, title = f"spec.flows[{index}]", f'Node("{node.name}")'
        for place, name in enumerate(node.after):
            if name not in outputs:
                path = f"{at}.dependsOn.targets[{place}]"
                yield SpecError(path, "is no step", name, _near(name, outputs)), f"{title}.after", origin_of(node)
        for source in node.sources:
            step, dot, output = source.partition(".")
            if step in outputs and output not in outputs[step]:
                said = f"does not say which value of {step} is meant" if not dot else f"is no output of {step}"
                hint = _near(output, outputs[step]) or f'name it: Node(..., outputs=["{output or "loss"}"])'
                yield SpecError(at, said, source, hint), title, origin_of(node)


def _near(name: str, known: "dict[str, list[str]] | list[str]") -> str:
    return did_you_mean(name, known) if known else ""
