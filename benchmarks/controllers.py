"""Controllers that start in a large cluster: `python -m benchmarks controllers`.

An embedded API server holds 20,000 settled jobs of five running pods each; the controllers start against it in a
process of their own, list all of it and look at every job once.

controllers_mib: what that process has grown to, its code included. controllers_restart_ratio: from its start to the
last job looked at, in times of the lists. controllers_restart_writes: what it found to write; nothing was to be done.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import orjson

from benchmarks.decode import resident_bytes
from benchmarks.figure import Figure
from flowbatch.admission.crds import crds
from flowbatch.api.meta import JsonObject
from flowbatch.controllers.app import Controllers
from flowbatch.controllers.settings import Settings
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch.runtime import memory

JOBS, SIZE = 20_000, 5
MIB = 1 << 20
#: Stand for a job's name and uid in the objects from which all are made.
NAME, UID = "name-of-the-job", "uid-of-the-job"


@dataclass(frozen=True)
class Start:
    """What one start of the controllers took."""

    mib: float
    list_s: float
    whole_s: float
    writes: int


def figures(jobs: int = JOBS) -> Iterator[Figure]:
    """One start."""
    start = asyncio.run(measure(jobs))
    note = f"{jobs:,} jobs, {jobs * SIZE:,} pods; lists {start.list_s:.1f} s"
    yield Figure("controllers_mib", start.mib, "MiB", 400, "lower", note=note)
    yield Figure("controllers_restart_ratio", start.whole_s / start.list_s, "times the lists", 1.2, "lower")
    yield Figure("controllers_restart_writes", start.writes, "writes", 0, "lower")


async def measure(jobs: int) -> Start:
    """The server here, the controllers in a child."""
    async with ApiServer(tls=False) as server:
        for crd in crds():
            await server.install(crd)
        fill(server, jobs)
        with TemporaryDirectory() as folder:
            kubeconfig = Path(folder) / "kubeconfig"
            server.write_kubeconfig(kubeconfig)
            command = ["-m", "benchmarks.controllers", str(kubeconfig), str(jobs)]
            child = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
            output, _ = await child.communicate()
        return Start(**json.loads(output))


def fill(server: ApiServer, jobs: int) -> None:
    """Put the objects of so many settled jobs into the server's store, as if they had come by HTTP."""
    patterns = list(settled_job())
    for number in range(jobs):
        for storage, text in patterns:
            obj = orjson.loads(text.replace(NAME, f"job-{number:05d}").replace(UID, f"uid-{number:05d}"))
            key = f"default/{obj['metadata']['name']}"
            server.store.put(server.store.collection(storage), key, obj)


def settled_job() -> Iterator[tuple[str, str]]:
    """(storage name, JSON) of each object of a job that runs and for which nothing is to be done."""
    from tests.jobworld import START, TEMPLATE, a_job, a_task, running

    world = running(a_job(a_task(replicas=SIZE, template=TEMPLATE), name=NAME, queue="default", maxRetry=3))
    meta = {"namespace": "default", "uid": UID, "creationTimestamp": START}
    job = msgspec.to_builtins(world.job)
    yield "batch.volcano.sh/jobs", _text(job, "batch.volcano.sh/v1alpha1", "Job", {**meta, "name": NAME})
    assert world.group is not None
    group = msgspec.to_builtins(world.group)
    group_meta = {**group["metadata"], **meta, "name": f"{NAME}-{UID}", "uid": f"{UID}-group"}
    yield "scheduling.volcano.sh/podgroups", _text(group, "scheduling.volcano.sh/v1beta1", "PodGroup", group_meta)
    for index, pod in enumerate(world.pods.values()):
        value = msgspec.to_builtins(pod)
        pod_meta = {**value["metadata"], **meta, "uid": f"{UID}-{index}"}
        value["spec"]["nodeName"] = "node-0"
        yield "/pods", _text(value, "v1", "Pod", pod_meta)


def _text(value: JsonObject, version: str, kind: str, metadata: JsonObject) -> str:
    for owner in metadata.get("ownerReferences", ()):
        owner["uid"] = UID
    whole = {"apiVersion": version, "kind": kind, **value, "metadata": metadata}
    return orjson.dumps(whole).decode().replace("job-1", UID)


async def start(kubeconfig: Path, jobs: int) -> Start:
    """Run the controllers until they have looked at every job; this is the child."""
    config = await load_config(kubeconfig)
    began = time.monotonic()
    async with Client(config, component="controllers") as client:
        controllers = Controllers(client, Settings(enabled=frozenset({"job"})))
        running = asyncio.create_task(controllers.run())
        for informer in controllers.informers:
            await informer.wait_synced()
        listed = time.monotonic()
        await controllers.wait_ready()
        memory.settle()
        job = controllers.running["job"]
        while not job.queue.idle or job.queue.delayed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ended = time.monotonic()
        writes = job.effects.writes  # type: ignore[attr-defined]  # it is the job controller
        running.cancel()
    return Start(resident_bytes() / MIB, listed - began, ended - began, writes)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(start(Path(sys.argv[1]), int(sys.argv[2]))))))
