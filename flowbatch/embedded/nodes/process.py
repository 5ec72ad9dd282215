"""Nodes whose pods are real processes of this machine."""

import asyncio
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowbatch.api.core import Service
from flowbatch.api.kinds import SERVICE
from flowbatch.embedded.clock import Clock, RealClock
from flowbatch.embedded.nodes import nameserver
from flowbatch.embedded.nodes.cluster import Cluster, Isolation, NamespacesForbidden
from flowbatch.embedded.nodes.configuration import Configuration
from flowbatch.embedded.nodes.events import Events
from flowbatch.embedded.nodes.kubelet import Kubelet
from flowbatch.embedded.nodes.podrun import PodRun, confirm_deletion
from flowbatch.embedded.nodes.registration import Registration
from flowbatch.embedded.nodes.remote import Remote
from flowbatch.embedded.nodes.runnable import BOUND, RUNNABLE_POD, RunnablePod
from flowbatch.embedded.nodes.specification import NOTE, NodeSpecification
from flowbatch.embedded.nodes.workplace import Names, Workplace
from flowbatch.informer.informer import Informer
from flowbatch.kube.client import Client

log = logging.getLogger(__name__)

IMAGES_NOTE = "images are not pulled: commands run on this machine's files, and what they write is private to the pod"
PLAIN_NOTE = (
    "pods are plain processes with a loopback address each: host and service names do not resolve (ssh knows them), "
    "ports are shared, volumes are not mounted but lie in $FLOWBATCH_VOLUMES, files are not private"
)
_OVER = ("Succeeded", "Failed")


class ProcessNodes:
    """Registers `nodes` and runs the pods bound to them until `run` is cancelled, then kills them.

    `images` maps an image to the command of containers that name none. `root` is where pods' private files go,
    instead of memory. Where namespaces are forbidden, pods run as plain processes; the nodes say so.
    """

    def __init__(
        self,
        client: Client,
        nodes: Sequence[NodeSpecification],
        *,
        images: Mapping[str, Sequence[str]] | None = None,
        root: Path | None = None,
        clock: Clock | None = None,
        heartbeat_s: float | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        self._client = client
        self._nodes = {node.name: node for node in nodes}
        self._images = dict(images or {})
        self._root = root
        self._clock = clock or RealClock()
        self._heartbeat_s = heartbeat_s
        self._isolation: Isolation | None = isolation
        self._runs: dict[str, PodRun] = {}
        self._numbers = itertools.count(1)
        #: Set once the nodes are registered and their pods are watched.
        self.ready = asyncio.Event()
        #: Pods whose run ended in an error of this program.
        self.failures = 0

    async def run(self) -> None:
        """Be these nodes until cancelled. Raises ApiError, TransportError at the start, ClusterLost."""
        cluster, note = await self._start_cluster()
        work = self._workplace(cluster)
        kubelet = Kubelet(self._runs, self._clock)
        registration = Registration(
            self._client, self._clock, tuple(self._nodes.values()), "process", notes={NOTE: note}
        )
        try:
            await kubelet.start()
            registration.port = kubelet.port
            await registration.register()
            await self._announce(work, note)
            await self._serve(work, registration)
        finally:
            await asyncio.shield(self._end(cluster, kubelet, registration))

    async def probe(
        self, pod: str, uid: str, port: int, path: str | None, timeout_s: float, header: str
    ) -> bool | None:
        """Whether something answers inside the pod of this key and uid; None for one that does not run here."""
        run = self._runs.get(pod)
        if run is None or run.over or run.pod.metadata.uid != uid:
            return None
        return await run.sandbox.probe(port, path, timeout_s, header)

    async def _start_cluster(self) -> tuple[Cluster, str]:
        """The best isolation there is, and what people should know of it."""
        if self._isolation is not None:
            cluster = await Cluster.start(root=self._root, isolation=self._isolation)
            return cluster, PLAIN_NOTE if self._isolation == "none" else IMAGES_NOTE
        try:
            return await Cluster.start(root=self._root), IMAGES_NOTE
        except NamespacesForbidden as reason:
            note = f"namespaces are forbidden here ({reason}); {PLAIN_NOTE}"
            log.warning(note)
            return await Cluster.start(root=self._root, isolation="none"), note

    async def _announce(self, work: Workplace, note: str) -> None:
        plain = work.cluster.isolation == "none"
        for node in self._nodes:
            await work.events.on_node(node, "PodsNotIsolated" if plain else "ImagesNotPulled", note, warning=plain)

    async def _end(self, cluster: Cluster, kubelet: Kubelet, registration: Registration) -> None:
        await cluster.close()
        await kubelet.close()
        await registration.say_goodbye()

    def _workplace(self, cluster: Cluster) -> Workplace:
        return Workplace(
            client=self._client,
            clock=self._clock,
            cluster=cluster,
            names=Names(cluster),
            remote=Remote(),
            configuration=Configuration(self._client),
            events=Events(self._client, self._clock),
            nodes=self._nodes,
            images=self._images,
        )

    async def _serve(self, work: Workplace, registration: Registration) -> None:
        pods = Informer(self._client, RUNNABLE_POD, field_selector=BOUND)
        services = Informer(self._client, SERVICE)
        async with asyncio.TaskGroup() as group:
            group.create_task(work.cluster.watch())
            directory = work.names.directory
            if work.cluster.names is not None:
                group.create_task(nameserver.serve(work.cluster.names, directory.resolve))
            services.on_change(lambda old, new: _note_service(directory.services, old, new))
            pods.on_change(lambda old, new: self._note_pod(group, work, old, new))
            group.create_task(pods.run())
            group.create_task(services.run())
            if self._heartbeat_s is not None:
                group.create_task(registration.keep_alive(self._heartbeat_s))
            await pods.wait_synced()
            self.ready.set()

    def _note_pod(
        self, group: asyncio.TaskGroup, work: Workplace, old: RunnablePod | None, new: RunnablePod | None
    ) -> None:
        pod = new or old
        if pod is None or pod.node not in self._nodes:
            return
        key = pod.metadata.key
        run = self._runs.get(key)
        if new is None:
            if run is not None:
                del self._runs[key]
                run.gone()
                if run.over:
                    run.sandbox.forget()
        elif run is not None:
            run.update(new)
            if new.metadata.deletion_timestamp is not None and run.over:
                group.create_task(confirm_deletion(work, new))
        elif new.status.phase not in _OVER:
            run = self._runs[key] = PodRun(work, new, next(self._numbers))
            if new.metadata.deletion_timestamp is not None:
                run.update(new)
            group.create_task(self._follow(run))
        elif new.metadata.deletion_timestamp is not None:
            group.create_task(confirm_deletion(work, new))

    async def _follow(self, run: PodRun) -> None:
        """One pod's run; an error in it is that pod's alone."""
        try:
            await run.run()
        except Exception:
            self.failures += 1
            log.exception("the run of pod %s failed", run.pod.metadata.key)
        run.over = True
        if self._runs.get(run.pod.metadata.key) is not run:
            run.sandbox.forget()


def _note_service(services: dict[str, Service], old: Service | None, new: Service | None) -> None:
    if new is not None:
        services[new.metadata.key] = new
    elif old is not None:
        services.pop(old.metadata.key, None)
