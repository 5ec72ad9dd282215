"""From a container's specification to the command that runs: configuration read, volumes written, names expanded."""

from flowbatch.embedded.nodes.directory import Entry
from flowbatch.embedded.nodes.environment import container_env
from flowbatch.embedded.nodes.runnable import RunnablePod
from flowbatch.embedded.nodes.sandbox import TERMINATION_LOG, Command, Sandbox
from flowbatch.embedded.nodes.specification import ADDRESS
from flowbatch.embedded.nodes.volumes import Volume, container_mounts, pod_volumes, references
from flowbatch.embedded.nodes.workplace import Workplace


class Preparation:
    """Prepares the containers of one pod; its volumes are written once, before the first of them."""

    def __init__(self, work: Workplace, entry: Entry, sandbox: Sandbox) -> None:
        self._work = work
        self._entry = entry
        self._sandbox = sandbox
        self._written: dict[str, Volume] | None = None

    @property
    def volumes(self) -> dict[str, Volume]:
        """The pod's volumes by name."""
        return self._written or {}

    async def command(self, name: str, pod: RunnablePod) -> Command | None:
        """What the container runs; None without a command. Raises ConfigError, ApiError, TransportError."""
        spec = next(each for each in pod.containers if each["name"] == name)
        around = await self._work.configuration.surroundings(
            self._entry.namespace,
            references(pod),
            pod_ip=self._entry.ip,
            host_ip=ADDRESS,
            allocatable=self._work.nodes[pod.node].resources,
        )
        if self._written is None:
            volumes = {volume.name: volume for volume in pod_volumes(pod, around)}
            self._sandbox.fill(volumes)
            self._written = volumes
        env = container_env(pod, spec, around, {**self._work.environment, "HOSTNAME": pod.hostname})
        argv = self._work.command_of(spec, env)
        if not argv:
            return None
        mounts = container_mounts(spec, self._written, env)
        path = str(spec.get("terminationMessagePath") or TERMINATION_LOG)
        return Command(argv, env, str(spec.get("workingDir") or self._work.cwd), mounts, path)
