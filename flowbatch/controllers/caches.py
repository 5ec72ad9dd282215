"""What the controllers know of the cluster: one informer per kind, shared, filtered by the server, indexed.

Secrets, services and config maps are not watched: reading all of them is a right that a batch system should not have.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from flowbatch.api.batch import Job
from flowbatch.api.bus import Command
from flowbatch.api.core import Namespace, Node, Pod, PriorityClass
from flowbatch.api.cron import CronJob
from flowbatch.api.flow import JobFlow, JobTemplate
from flowbatch.api.kinds import (
    COMMAND,
    CRON_JOB,
    HYPER_NODE,
    JOB,
    JOB_FLOW,
    JOB_TEMPLATE,
    NAMESPACE,
    NODE,
    POD,
    POD_GROUP,
    PRIORITY_CLASS,
    QUEUE,
    Kind,
)
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.names import CREATED_BY_TEMPLATE, DEFAULT_QUEUE, GROUP_NAME, JOB_NAME, VOLCANO_GROUP_NAME
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.topology import HyperNode
from flowbatch.controllers.expectations import metadata_of
from flowbatch.informer import Informer
from flowbatch.kube.client import Client


class Caches:
    """The informers, of which only those that an enabled controller needs are run.

    `informer` is called like `Informer`; a program that holds several shells hands in one that shares watches.
    """

    def __init__(
        self, client: Client, scheduler_names: Iterable[str], informer: Callable[..., Informer[Any]] = Informer
    ) -> None:
        self.jobs: Informer[Job] = informer(
            client,
            JOB,
            indexes={"queue": _queue_of_job, "controller": _controller_of_job, "template": _template_of_job},
        )
        #: Pods made by the job controller, by the job they say they belong to.
        self.pods: Informer[Pod] = informer(client, POD, label_selector=JOB_NAME, indexes={"job": _job_of_pod})
        #: Pods of anybody else that ask for one of our schedulers.
        self.bare_pods: tuple[Informer[Pod], ...] = tuple(
            informer(
                client,
                POD,
                label_selector=f"!{JOB_NAME}",
                field_selector=f"spec.schedulerName={name}",
                indexes={"group": _group_of_pod},
            )
            for name in scheduler_names
        )
        self.pod_groups: Informer[PodGroup] = informer(client, POD_GROUP, indexes={"queue": _queue_of_group})
        self.queues: Informer[Queue] = informer(client, QUEUE, indexes={"parent": _parent_of_queue})
        self.commands: Informer[Command] = informer(client, COMMAND, indexes={"target": _target_of_command})
        self.priority_classes: Informer[PriorityClass] = informer(client, PRIORITY_CLASS)
        self.namespaces: Informer[Namespace] = informer(client, NAMESPACE)
        #: Kinds that a cluster on which Volcano came first may not serve, or not all of them.
        self.cron_jobs: Informer[CronJob] = informer(client, CRON_JOB)
        self.job_flows: Informer[JobFlow] = informer(client, JOB_FLOW)
        self.job_templates: Informer[JobTemplate] = informer(client, JOB_TEMPLATE)
        self._watched: dict[str, tuple[Informer[Any], ...]] = {
            POD.kind: (self.pods, *self.bare_pods),
            JOB.kind: (self.jobs,),
            POD_GROUP.kind: (self.pod_groups,),
            QUEUE.kind: (self.queues,),
            COMMAND.kind: (self.commands,),
        }

        self._make: Callable[[Kind[Any]], Informer[Any]] = lambda kind: informer(client, kind)

    @cached_property
    def nodes(self) -> Informer[Node]:
        """Every node: much to keep, so only where somebody asks."""
        return self._make(NODE)

    @cached_property
    def hyper_nodes(self) -> Informer[HyperNode]:
        """The same; their kind may be missing."""
        made = self._make(HYPER_NODE)
        self._watched[HYPER_NODE.kind] = (made,)
        return made

    def for_controllers(self, enabled: frozenset[str]) -> list[Informer[Any]]:
        """The informers that these controllers read."""
        needed: list[Informer[Any]] = [self.jobs, self.queues, self.commands] if enabled else []
        if enabled & {"job", "queue"}:
            needed.append(self.pod_groups)
        if enabled & {"job", "jobflow"}:
            needed.append(self.pods)
        if "job" in enabled:
            needed.append(self.priority_classes)
        if "podgroup" in enabled:
            needed += [*self.bare_pods, self.namespaces]
        if "hypernode" in enabled:
            needed.append(self.nodes)
        return needed

    def optional(self, enabled: frozenset[str]) -> list[Informer[Any]]:
        """The informers of kinds that may be missing, of which these controllers read."""
        kinds: list[Informer[Any]] = [self.cron_jobs] if "cronjob" in enabled else []
        if "jobflow" in enabled:
            kinds.append(self.job_flows)
        if enabled & {"jobflow", "jobtemplate"}:
            kinds.append(self.job_templates)
        if "hypernode" in enabled:
            kinds.append(self.hyper_nodes)
        return kinds

    def queues_from(self, name: str) -> list[str]:
        """The queue called `name` and all below it."""
        found, todo = {name: None}, [name]
        while todo:
            for child in self.queues.store.index("parent", todo.pop()):
                if child.metadata.name not in found:
                    found[child.metadata.name] = None
                    todo.append(child.metadata.name)
        return list(found)

    def look(self, kind: Kind[Any], key: str) -> ObjectMeta | None:
        """The cached metadata of an object of a kind that is watched."""
        for informer in self._watched.get(kind.kind, ()):
            if (found := metadata_of(informer.store.get(key))) is not None:
                return found
        return None

    def watches(self, kind: Kind[Any]) -> bool:
        """Whether writes to this kind come back by a watch."""
        return kind.kind in self._watched


async def wait_synced(informers: Iterable[Informer[Any]], optional: Iterable[Informer[Any]] = ()) -> None:
    """Wait until every first list is in: from then on, absence means absence. What is not served is absent."""
    waits = [informer.wait_synced() for informer in informers]
    await asyncio.gather(*waits, *(informer.wait_settled() for informer in optional))


def group_of_pod(pod: Pod) -> str:
    """The PodGroup that a pod names, or an empty string."""
    annotations = pod.metadata.annotations
    return annotations.get(GROUP_NAME) or annotations.get(VOLCANO_GROUP_NAME) or ""


def job_of_pod(pod: Pod) -> str:
    """The key of the job that a pod says it belongs to; whether that is so, its owner tells."""
    return f"{pod.metadata.namespace}/{pod.metadata.labels.get(JOB_NAME, '')}"


def target_key(kind: str, namespace: str, name: str) -> str:
    """Where Commands for this object are found in the index `target`."""
    return f"{kind}|{namespace}|{name}"


def _job_of_pod(pod: Pod) -> list[str]:
    return [job_of_pod(pod)]


def _group_of_pod(pod: Pod) -> list[str]:
    name = group_of_pod(pod)
    return [f"{pod.metadata.namespace}/{name}"] if name else []


def _queue_of_job(job: Job) -> list[str]:
    return [job.spec.queue or DEFAULT_QUEUE]


def _controller_of_job(job: Job) -> list[str]:
    owner = job.metadata.controller
    return [owner.uid] if owner is not None else []


def _template_of_job(job: Job) -> list[str]:
    template = job.metadata.annotations.get(CREATED_BY_TEMPLATE)
    return [template] if template else []


def _queue_of_group(group: PodGroup) -> list[str]:
    return [group.spec.queue or DEFAULT_QUEUE]


def _parent_of_queue(queue: Queue) -> list[str]:
    return [queue.spec.parent] if queue.spec.parent else []


def _target_of_command(command: Command) -> list[str]:
    target = command.target
    if target is None:
        return []
    # A queue has no namespace; Commands for it live wherever their author put them.
    namespace = "" if target.kind == "Queue" else command.metadata.namespace
    return [target_key(target.kind, namespace, target.name)]
