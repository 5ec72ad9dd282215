"""Which nodes a local cluster has, from the flags that describe them."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowbatch.api.quantity import QuantityError, amount
from flowbatch.embedded.nodes import NodeSpecification, ProcessNodes, SimulatedNodes
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.informer import Informer
from flowbatch.kube.client import Client

MAX_NODES = 10_000


class Nodes(Protocol):
    """Process nodes or simulated ones."""

    async def run(self) -> None:
        """Register the nodes and run their pods until cancelled."""
        ...


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """`count` equal nodes."""

    count: int = 4
    cpus: str = "2"
    memory: str = "4Gi"
    pods: int = 110
    simulate: bool = False
    images: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, *, count: int, cpus: str, memory: str, simulate: bool, images: Sequence[str]) -> "NodePlan":
        """A plan from flags. Raises SpecErrors with every problem."""
        problems = [each for each in (_quantity("--cpus", cpus), _quantity("--memory", memory)) if each]
        if not 0 <= count <= MAX_NODES:
            problems.append(SpecError("--nodes", f"must be 0 to {MAX_NODES}", count))
        commands: dict[str, list[str]] = {}
        for pair in images:
            name, equals, command = pair.partition("=")
            if not (name and equals and command):
                problems.append(SpecError("--image", "expected NAME=COMMAND", pair, "e.g. busybox='sleep 60'"))
            else:
                commands[name] = shlex.split(command)
        if problems:
            raise SpecErrors(problems, "nodes")
        return cls(count=count, cpus=cpus, memory=memory, simulate=simulate, images=commands)

    def specifications(self) -> list[NodeSpecification]:
        """The nodes, named node-0, node-1, ..."""
        return [
            NodeSpecification(name=f"node-{index}", cpu=self.cpus, memory=self.memory, pods=self.pods)
            for index in range(self.count)
        ]


def make_nodes(client: Client, plan: NodePlan, informer: Callable[..., Informer[Any]] = Informer) -> Nodes:
    """The nodes of `plan`, attached to whatever cluster `client` speaks to; `informer` makes simulated ones' watch."""
    specifications = plan.specifications()
    nodes: Nodes
    if plan.simulate:
        nodes = SimulatedNodes(client, specifications, informer=informer)
    else:
        nodes = ProcessNodes(client, specifications, images=plan.images)
    return nodes


def _quantity(flag: str, text: str) -> SpecError | None:
    try:
        return None if amount(text) > 0 else SpecError(flag, "must be more than zero", text)
    except QuantityError as error:
        return SpecError(flag, str(error), text)
