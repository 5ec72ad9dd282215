"""Distributed data parallel training: torchrun on every node, one rendezvous, fixed or elastic.

The `pytorch` plugin gives `MASTER_ADDR`, `MASTER_PORT` and `RANK`. A fixed job uses them as they are; an elastic one
meets at the master through torchrun's c10d rendezvous, so that workers may come and go.
"""

from collections.abc import Mapping

from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On
from flowbatch_dsl.recipes.restarts import max_retry, restart_on_loss
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import DEFAULT_IMAGE, Task, Words


def ddp(
    name: str,
    command: Words,
    *,
    nodes: int | tuple[int, int] = 1,
    procs: int | None = None,
    image: str = DEFAULT_IMAGE,
    resources: Resources = Resources(),  # noqa: B008  (frozen)
    env: Mapping[str, str] | None = None,
    workdir: str = "",
    port: int = 23456,
    retries: int = 2,
    queue: str = "default",
    namespace: str = "",
    priority: str = "",
) -> Job:
    """`ddp("llama", ["train.py", "--lr", "0.1"], nodes=(2, 8))`: what torchrun runs, on 2 to 8 nodes.

    Tasks are called "master" (rank 0) and "worker". `procs` is the number of processes per node: one per GPU, if not
    given. With `nodes=(least, most)` training starts as soon as the least fit; an elastic job loses single workers
    without starting again. `retries` is how often the whole job starts again otherwise.
    """
    least, most = nodes if isinstance(nodes, tuple) else (nodes, nodes)
    elastic = least != most
    words = [*_torchrun(name, least, most, procs or _gpus(resources), elastic, retries, port), *command]
    pod = Task("", words, image=image, resources=resources, env=env or {}, workdir=workdir)
    master = pod.but(name="master", on=[On("TaskCompleted", do="CompleteJob")])
    worker = pod.but(
        name="worker",
        replicas=most - 1,
        min=least - 1 if elastic else None,
        on=[On(["PodFailed", "PodEvicted"], do="RestartPod")] if elastic else [],
    )
    return Job(
        name,
        namespace=namespace,
        queue=queue,
        priority=priority,
        retries=max_retry(retries),
        min_available=least if elastic else None,
        plugins={"svc": (), "pytorch": ("--master=master", "--worker=worker", f"--port={port}")},
        on=restart_on_loss(),
        tasks=[master, worker] if most > 1 else [master],
    )


def _torchrun(name: str, least: int, most: int, procs: int, elastic: bool, retries: int, port: int) -> list[str]:
    """torchrun and its options; Kubernetes puts the plugin's variables in place of `$(...)`."""
    per_node = f"--nproc-per-node={procs}"
    if not elastic:
        place = [f"--nnodes={most}", per_node, "--node-rank=$(RANK)"]
        return ["torchrun", *place, "--master-addr=$(MASTER_ADDR)", f"--master-port={port}"]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint=$(MASTER_ADDR):{port}", f"--rdzv-id={name}"]
    return ["torchrun", f"--nnodes={least}:{most}", per_node, *meeting, f"--max-restarts={retries}"]


def _gpus(resources: Resources) -> int:
    """One process per GPU where that is a plain number."""
    count = str(resources.gpu or "")
    return int(count) if count.isascii() and count.isdigit() and int(count) > 0 else 1
