"""JAX over several hosts: one process a pod, all of them equal, the first one the coordinator.

The `jax` plugin gives every pod JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, so that a program need
only call `jax.distributed.initialize()`. Source: Kubeflow Trainer, jax policy.
"""

from collections.abc import Mapping

from flowbatch_dsl.job import Job
from flowbatch_dsl.recipes.restarts import max_retry, restart_on_loss
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import DEFAULT_IMAGE, Task, Words


def jax(
    name: str,
    command: Words,
    *,
    processes: int = 1,
    image: str = DEFAULT_IMAGE,
    resources: Resources = Resources(),  # noqa: B008  (frozen)
    env: Mapping[str, str] | None = None,
    workdir: str = "",
    port: int = 6666,
    retries: int = 2,
    queue: str = "default",
    namespace: str = "",
    priority: str = "",
) -> Job:
    """`jax("gemma", ["python", "train.py"], processes=4)`: a task called "worker" with 4 pods, one process each.

    A JAX program has a fixed size: if a pod is lost, all start again, at most `retries` times. `port` is where
    process 0 listens for the others.
    """
    worker = Task(
        "worker",
        command,
        replicas=processes,
        image=image,
        resources=resources,
        env=env or {},
        workdir=workdir,
    )
    return Job(
        name,
        namespace=namespace,
        queue=queue,
        priority=priority,
        retries=max_retry(retries),
        plugins={"svc": (), "jax": ("--worker=worker", f"--port={port}")},
        on=restart_on_loss(),
        tasks=[worker],
    )
