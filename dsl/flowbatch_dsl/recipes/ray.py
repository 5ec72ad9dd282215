"""Ray: a head, workers that join it, and a driver that submits the program and ends the job with its own end.

The `ray` plugin starts head and workers and gives the head a Service. The driver waits until the head answers and runs
`ray job submit`, as KubeRay's submitter does: the program runs on the head, its output is the driver's log. Source:
Volcano, ray plugin; KubeRay, RayJob.
"""

from collections.abc import Mapping

from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On
from flowbatch_dsl.recipes.restarts import max_retry, restart_on_loss
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import DEFAULT_IMAGE, Task, Words

#: What the driver needs: it only submits, and passes output on.
DRIVER = Resources(cpu="100m", memory="256Mi")
#: Where the head listens: for workers, and for submissions.
PORT, DASHBOARD_PORT = 6379, 8265
#: `$0` is the head's host name.
SUBMIT = (
    f'until ray health-check --address "$0:{PORT}" >/dev/null 2>&1; do sleep 1; done; '
    f'exec ray job submit --address "http://$0:{DASHBOARD_PORT}" -- "$@"'
)


def ray(
    name: str,
    command: Words,
    *,
    workers: int | tuple[int, int] = 1,
    image: str = DEFAULT_IMAGE,
    resources: Resources = Resources(),  # noqa: B008  (frozen)
    head: Resources = Resources(),  # noqa: B008  (frozen)
    driver: Resources = DRIVER,
    env: Mapping[str, str] | None = None,
    workdir: str = "",
    retries: int = 2,
    queue: str = "default",
    namespace: str = "",
    priority: str = "",
) -> Job:
    """`ray("tune", ["python", "tune.py"], workers=(1, 10))`: tasks called "head", "worker" and "driver" in one gang.

    `resources` are of each worker, `head` and `driver` of those pods. `workers=(1, 10)` starts with one and grows to
    ten as room allows; a lost worker is then replaced alone, otherwise the whole job starts again, at most `retries`
    times. When the program ends, head and workers are stopped. The image needs Ray with its dashboard.
    """
    least, most = workers if isinstance(workers, tuple) else (workers, workers)
    elastic = least != most
    pod = Task("", image=image, env=env or {}, workdir=workdir)
    replace_alone = [On(["PodFailed", "PodEvicted"], do="RestartPod")]
    return Job(
        name,
        namespace=namespace,
        queue=queue,
        priority=priority,
        retries=max_retry(retries),
        min_available=least + 2 if elastic else None,
        plugins={"svc": (), "ray": ("--head=head", "--worker=worker", f"--port={PORT}")},
        on=restart_on_loss(),
        tasks=[
            pod.but(name="head", resources=head),
            pod.but(
                name="worker",
                replicas=most,
                min=least if elastic else None,
                resources=resources,
                after=["head"],
                on=replace_alone if elastic else [],
            ),
            pod.but(
                name="driver",
                command=["sh", "-c", SUBMIT, "$(VC_HEAD_HOSTS)", *command],
                resources=driver,
                after=["head"],
                on=[On("TaskCompleted", do="CompleteJob")],
            ),
        ],
    )
