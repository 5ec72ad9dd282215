"""Parameter servers and workers: servers hold the parameters, workers compute gradients.

The `tensorflow` plugin tells every pod the whole cluster and its own place in it (`TF_CONFIG`), the `svc` plugin names
the hosts (`VC_PS_HOSTS`, `VC_WORKER_HOSTS`). Any program that reads one of them will do; it need not be TensorFlow.
"""

from collections.abc import Mapping

from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On
from flowbatch_dsl.recipes.restarts import max_retry, restart_on_loss
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import DEFAULT_IMAGE, Task, Words


def ps(
    name: str,
    command: Words,
    *,
    servers: int = 1,
    workers: int | tuple[int, int] = 1,
    image: str = DEFAULT_IMAGE,
    resources: Resources = Resources(),  # noqa: B008  (frozen)
    server_command: Words | None = None,
    server_resources: Resources | None = None,
    env: Mapping[str, str] | None = None,
    workdir: str = "",
    port: int = 2222,
    retries: int = 2,
    queue: str = "default",
    namespace: str = "",
    priority: str = "",
) -> Job:
    """`ps("ctr", ["python", "train.py"], servers=2, workers=4)`: tasks called "ps" and "worker" in one gang.

    Servers run the same command unless `server_command` says otherwise, and never end by themselves: the job completes,
    and they are stopped, once all workers completed. `workers=(3, 8)` starts with 3 and grows to 8 as room allows.
    """
    least, most = workers if isinstance(workers, tuple) else (workers, workers)
    pod = Task("", image=image, env=env or {}, workdir=workdir, resources=resources)
    server = pod.but(name="ps", command=server_command or command, replicas=servers)
    worker = pod.but(
        name="worker",
        command=command,
        replicas=most,
        min=None if least == most else least,
        on=[On("TaskCompleted", do="CompleteJob")],
    )
    return Job(
        name,
        namespace=namespace,
        queue=queue,
        priority=priority,
        retries=max_retry(retries),
        min_available=None if least == most else servers + least,
        plugins={"svc": (), "tensorflow": ("--ps=ps", "--worker=worker", f"--port={port}")},
        on=restart_on_loss(),
        tasks=[server.but(resources=server_resources or resources), worker],
    )
