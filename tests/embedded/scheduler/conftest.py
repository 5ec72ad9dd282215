"""A cluster without controllers or kubelets: an API server over HTTP, nodes and pods made by hand, a scheduler."""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from flowbatch import __version__
from flowbatch.admission.crds import crds
from flowbatch.api.core import Pod
from flowbatch.api.kinds import NODE, POD, POD_GROUP, Kind
from flowbatch.api.meta import Condition
from flowbatch.api.scheduling import PodGroup
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.engine.engine import Engine
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig, from_kubeconfig
from flowbatch.runtime.clock import now_ms
from flowbatch.scheduler.driver import Habits, Scheduler
from flowbatch.scheduler.statuses import Pace

#: Statuses settle faster than in production, so that tests need not wait.
BRISK = Habits(
    pace=Pace(settle_s=0.1, count_s=0.3, reword_s=0.5, queue_s=0.1, pod_s=0.1, pods_per_s=200), run_id="test"
)
VALIDATED = partial(Engine, validate=True)


class Cluster:
    """The user's side of it."""

    def __init__(self, server: ApiServer, config: ClusterConfig, user: Client):
        self.server, self.config, self.user = server, config, user

    async def node(self, name: str, cpu: str = "4", **spec) -> None:
        await self.user.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})
        status = {
            "allocatable": {"cpu": cpu, "memory": "32Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        await self.user.patch(NODE, name, {"status": status}, subresource="status")

    async def group(self, name: str, minimum: int, **spec) -> None:
        body = {"apiVersion": POD_GROUP.api_version, "kind": "PodGroup", "metadata": {"name": name}}
        await self.user.create(POD_GROUP, {**body, "spec": {"minMember": minimum, **spec}}, "default")

    async def pod(
        self,
        name: str,
        group: str = "",
        cpu: str = "1",
        scheduler: str = "volcano",
        annotations: dict[str, str] | None = None,
        **spec,
    ) -> None:
        annotations = {**(annotations or {}), **({"scheduling.k8s.io/group-name": group} if group else {})}
        container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu}}}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"schedulerName": scheduler, "containers": [container], **spec},
        }
        await self.user.create(POD, manifest, "default")

    async def gang(self, name: str, count: int, cpu: str = "1", minimum: int | None = None) -> None:
        await self.group(name, count if minimum is None else minimum)
        for index in range(count):
            await self.pod(f"{name}-{index}", name, cpu)

    async def pods(self) -> dict[str, Pod]:
        return {pod.metadata.name: pod for pod in await self.user.list(POD)}

    async def bound(self, prefix: str = "") -> dict[str, str]:
        """Names of bound pods to their nodes."""
        pods = (await self.pods()).items()
        return {name: pod.spec.node_name for name, pod in pods if name.startswith(prefix) and pod.spec.node_name}

    async def see_group(self, name: str) -> PodGroup:
        return await self.user.get(POD_GROUP, name, "default")

    async def finish(self, name: str, phase: str = "Succeeded") -> None:
        await self.user.patch(POD, name, {"status": {"phase": phase}}, "default", subresource="status")

    def requests(self, verb: str = "", resource: str = "", component: str = "scheduler") -> int:
        """How many requests a component sent."""
        return self.server.audit.total(verb, resource, f"flowbatch/{__version__} ({component}")

    def accepted_bindings(self) -> int:
        counts = self.server.audit.counts.items()
        return sum(number for each, number in counts if each.resource == "pods/binding" and each.code == 201)

    def tamper(self, kind: Kind, namespace: str, name: str, change: Callable[[dict], object]) -> None:
        """Change a stored object past every check."""
        resource = self.server.registry.of_kind(kind.api_version, kind.kind)
        assert resource is not None
        collection = self.server.rest.collection(resource)
        key = f"{namespace}/{name}" if namespace else name
        thing = copy.deepcopy(collection.entries[key].obj)
        change(thing)
        self.server.store.put(collection, key, thing)

    @asynccontextmanager
    async def scheduler(
        self, habits: Habits = BRISK, component: str = "scheduler", make: Callable = VALIDATED
    ) -> AsyncIterator[Scheduler]:
        """A scheduler that works until the block ends."""
        async with Client(self.config, component=component) as client, anyio.create_task_group() as tasks:
            scheduler = Scheduler(client, make_engine=make, now=now_ms, habits=habits)
            tasks.start_soon(scheduler.run)
            yield scheduler
            tasks.cancel_scope.cancel()
        assert scheduler.cycles.failures == 0

    async def until(self, condition: Callable, timeout_s: float = 10.0):
        """Wait until the (async) condition gives something true, and give that."""
        with anyio.fail_after(timeout_s):
            while not (result := await condition()):  # noqa: ASYNC110  (the condition asks a server)
                await anyio.sleep(0.01)
        return result

    async def until_bound(self, prefix: str, count: int, timeout_s: float = 10.0) -> dict[str, str]:
        async def all_bound():
            bound = await self.bound(prefix)
            return bound if len(bound) >= count else None

        return await self.until(all_bound, timeout_s)

    async def until_phase(self, group: str, phase: str) -> PodGroup:
        async def reached():
            seen = await self.see_group(group)
            return seen if seen.status.phase == phase else None

        return await self.until(reached)

    async def until_condition(self, group: str, kind: str) -> Condition:
        async def there():
            conditions = (await self.see_group(group)).status.conditions
            return next((each for each in conditions if each.type == kind), None)

        return await self.until(there)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with ApiServer(tls=False) as server:
        for crd in crds():
            await server.install(crd)
        config = await from_kubeconfig(server.kubeconfig())
        async with Client(config, component="user") as user:
            yield Cluster(server, config, user)
