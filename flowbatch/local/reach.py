"""How flows' probes reach the pods of a local cluster: through the node that runs them.

Pods as processes have networks of their own, in which this process is not; the node asks from inside the pod, as its
kubelet does for a readiness probe. Simulated pods listen to nobody, so that one that runs is taken to answer.
"""

import asyncio

from flowbatch.controllers.reach import TIMEOUT_S, Reach, request, straight
from flowbatch.embedded.nodes import ProcessNodes, SimulatedNodes
from flowbatch.local.nodes import Nodes
from flowbatch.workload.flow.changes import Ask


def reach_through(nodes: Nodes) -> Reach:
    """The way to pods on these nodes; to any others it is straight."""
    if isinstance(nodes, SimulatedNodes):
        return _simulated
    if not isinstance(nodes, ProcessNodes):
        return straight

    async def ask(question: Ask) -> str:
        header = ": ".join(question.header) if question.header is not None and question.header[0] else ""
        key = f"{question.namespace}/{question.pod}"
        try:
            request(question)
            async with asyncio.timeout(TIMEOUT_S + 1):
                said = await nodes.probe(key, question.uid, question.port, question.path or None, TIMEOUT_S, header)
        except TimeoutError:
            return f"{question}: no answer within {TIMEOUT_S:g} s"
        except ValueError as problem:
            return f"{question}: {problem}"
        if said is None:
            return await straight(question)
        return "" if said else f"{question}: nobody answers" + (" with success" if question.path else "")

    return ask


async def _simulated(_question: Ask) -> str:
    return ""
