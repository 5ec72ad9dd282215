"""What belongs to a flow: its graph, its jobs and pods from the caches, what its pods left, and what probes heard."""

from collections.abc import Sequence

from flowbatch.api.batch import Job
from flowbatch.api.core import Pod
from flowbatch.api.flow import JobFlow, JobTemplate
from flowbatch.api.kinds import POD
from flowbatch.controllers.bounded import each
from flowbatch.controllers.caches import Caches
from flowbatch.controllers.prober import Prober
from flowbatch.kube.client import Client
from flowbatch.kube.errors import NotFound
from flowbatch.workload.cron.runs import FINISHED
from flowbatch.workload.flow.changes import FLOW_ENDS, Ask, FlowChildren, Message
from flowbatch.workload.flow.graph import Graph, compiled


class FlowChildrenReader:
    """Gathers the children of flows; remembers what takes time to find out, and forgets it with the flow."""

    def __init__(self, client: Client, caches: Caches, prober: Prober) -> None:
        self._client = client
        self._caches = caches
        self._prober = prober
        #: By flow uid: the generation, and the graph of its spec.
        self._graphs: dict[str, tuple[int, Graph]] = {}
        #: By flow uid: what the pods of its jobs left. A job that is over leaves nothing more.
        self._messages: dict[str, dict[Message, str | None]] = {}
        #: By flow uid: jobs that had ended when they went, by name.
        self._gone: dict[str, dict[str, Job]] = {}
        #: Keys of jobs that are probed, and of the flows that want to know.
        self.probed: dict[str, str] = {}

    def graph(self, flow: JobFlow) -> Graph:
        """The graph of the flow's spec, read once a generation."""
        known = self._graphs.get(flow.metadata.uid)
        if known is not None and known[0] == flow.metadata.generation:
            return known[1]
        graph = compiled(flow.spec)
        self._graphs[flow.metadata.uid] = flow.metadata.generation, graph
        return graph

    def of(self, flow: JobFlow) -> FlowChildren:
        """Everything that `reconcile` wants to know, as far as it is known."""
        namespace = flow.metadata.namespace
        if flow.status.state.phase in FLOW_ENDS:
            self._gone.pop(flow.metadata.uid, None)
        jobs = self._caches.jobs.store.index("controller", flow.metadata.uid)

        def template(name: str) -> JobTemplate | None:
            return self._caches.job_templates.store.get(f"{namespace}/{name}")

        def pods(job: str) -> Sequence[Pod]:
            self.probed[f"{namespace}/{job}"] = flow.metadata.key
            return self._caches.pods.store.index("job", f"{namespace}/{job}")

        return FlowChildren(
            jobs={job.metadata.name: job for job in jobs},
            template=template,
            gone=self._gone.get(flow.metadata.uid, {}),
            messages=self._messages.get(flow.metadata.uid, {}),
            answers=self._prober.answers(flow.metadata.key),
            pods=pods,
        )

    def went(self, flow_uid: str, job: Job) -> None:
        """A job of a flow is gone; what it came to may not have been looked at."""
        if job.status.state.phase in FINISHED:
            self._gone.setdefault(flow_uid, {})[job.metadata.name] = job

    async def read(self, flow: JobFlow, messages: Sequence[Message], limit: int) -> None:
        """Read what pods left, from the server: the cache may be behind the news that their job is over."""
        known = self._messages.setdefault(flow.metadata.uid, {})

        async def one(message: Message) -> None:
            known[message] = await self._left(message)

        await each(dict.fromkeys(messages), one, limit)

    async def _left(self, message: Message) -> str | None:
        try:
            pod = await self._client.get(POD, message.pod, message.namespace)
        except NotFound:
            return None
        owner = pod.metadata.controller
        if owner is None or owner.uid != message.job_uid:
            return None
        first = pod.spec.containers[0].name if pod.spec.containers else ""
        for status in pod.status.container_statuses:
            if status.name == first and status.state.terminated is not None:
                return status.state.terminated.message or None
        return None

    def probe(self, flow: JobFlow, asks: Sequence[Ask]) -> None:
        """From now on the flow asks just this of pods."""
        self._prober.want(flow.metadata.key, asks)

    def forget(self, flow: JobFlow) -> None:
        """The flow is gone."""
        self._graphs.pop(flow.metadata.uid, None)
        self._messages.pop(flow.metadata.uid, None)
        self._gone.pop(flow.metadata.uid, None)
        self._prober.want(flow.metadata.key, ())
        self.probed = {job: key for job, key in self.probed.items() if key != flow.metadata.key}
