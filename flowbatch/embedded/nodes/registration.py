"""Node objects: made in bulk, adopted where they exist, kept alive where asked, marked as stopped at the end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowbatch.api.core import Node
from flowbatch.api.kinds import LEASE, NODE
from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_micro_time
from flowbatch.embedded.clock import Clock
from flowbatch.embedded.nodes.specification import (
    NodeSpecification,
    conditions,
    node_labels,
    node_manifest,
    node_status,
)
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists, ApiError, NotFound, TransportError

_AT_ONCE = 32
_LEASE_NAMESPACE = "kube-node-lease"
_LEASE_S = 40
#: What API servers and their controllers put on a node that has not reported yet.
_UNREADY_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
#: Saying goodbye may not hold up the end for longer.
_GOODBYE_S = 2.0


@dataclass(slots=True)
class Registration:
    """The Node objects of one program."""

    client: Client
    clock: Clock
    nodes: Sequence[NodeSpecification]
    kind: str
    port: int = 0
    notes: dict[str, str] = field(default_factory=dict)

    async def register(self) -> None:
        """Make every Node, or take over the one of that name. Raises ApiError, TransportError."""
        await self._each(self._register)

    async def _each(self, step: Callable[[NodeSpecification], Awaitable[None]]) -> None:
        waiting = iter(self.nodes)

        async def lane() -> None:
            for node in waiting:
                await step(node)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(self.nodes))):
                group.create_task(lane())

    async def _register(self, node: NodeSpecification) -> None:
        now = self.clock.now()
        manifest = node_manifest(node, self.kind, now, port=self.port, notes=self.notes)
        try:
            made = await self.client.create(NODE, manifest)
        except AlreadyExists:
            made = await self._adopt(node, now)
        await self._untaint(node, made)

    async def _adopt(self, node: NodeSpecification, now: datetime) -> Node:
        """A node of that name is there, perhaps from an earlier run: its labels, taints and status become ours."""
        meta: JsonObject = {"labels": node_labels(node, self.kind), "annotations": self.notes}
        body: JsonObject = {"metadata": meta, "spec": {"taints": list(node.taints), "unschedulable": None}}
        await self.client.patch(NODE, node.name, body)
        status = {"status": node_status(node, now, ready=True, port=self.port)}
        return await self.client.patch(NODE, node.name, status, subresource="status")

    async def _untaint(self, node: NodeSpecification, made: Node) -> None:
        """Nobody else would: where no node lifecycle controller runs, a new node stays tainted for ever."""
        if any(taint.key in _UNREADY_TAINTS for taint in made.spec.taints):
            await self.client.patch(NODE, node.name, {"spec": {"taints": list(node.taints) or None}})

    async def keep_alive(self, every_s: float) -> None:
        """Renew every node's Lease until cancelled, for clusters whose controllers watch for heartbeats."""
        while True:
            with contextlib.suppress(ApiError, TransportError, ExceptionGroup):
                await self._each(self._renew)
            await self.clock.sleep(every_s)

    async def _renew(self, node: NodeSpecification) -> None:
        spec = {"holderIdentity": node.name, "leaseDurationSeconds": _LEASE_S}
        spec["renewTime"] = format_micro_time(self.clock.now())
        try:
            await self.client.patch(LEASE, node.name, {"spec": spec}, _LEASE_NAMESPACE)
        except NotFound:
            lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"name": node.name}, "spec": spec}
            await self.client.create(LEASE, lease, _LEASE_NAMESPACE)

    async def say_goodbye(self) -> None:
        """Mark the nodes as stopped, so that nothing is placed on them; quick, and silent when nobody listens."""
        body = {"status": {"conditions": conditions(self.clock.now(), ready=False)[:1]}}

        async def stopped(node: NodeSpecification) -> None:
            await self.client.patch(NODE, node.name, body, subresource="status", content="strategic")

        with contextlib.suppress(TimeoutError, ApiError, TransportError, ExceptionGroup):
            async with asyncio.timeout(_GOODBYE_S):
                await self._each(stopped)
