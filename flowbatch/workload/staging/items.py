"""The inputs and outputs of one pod: those of its task and those of the job, with its own place in their urls."""

from posixpath import basename, dirname

from flowbatch.api.batch import DataInput, DataOutput, Job, TaskSpec
from flowbatch.api.staging import Item

#: Where a path of the node is mounted in the staging containers.
HOST = "/flowbatch/host"
FILE = "file://"


def inputs_of(job: Job, task: TaskSpec) -> tuple[DataInput, ...]:
    """What every pod of the task fetches; the task's own wins over the job's of the same name."""
    own = {each.name for each in task.inputs}
    return (*task.inputs, *(each for each in job.spec.inputs if each.name not in own))


def outputs_of(job: Job, task: TaskSpec) -> tuple[DataOutput, ...]:
    """What every pod of the task stores; the task's own wins over the job's of the same name."""
    own = {each.name for each in task.outputs}
    return (*task.outputs, *(each for each in job.spec.outputs if each.name not in own))


def input_item(each: DataInput, job: Job, task: TaskSpec, index: int) -> Item:
    """An input for the fetcher; once fetched, it must be the same for ever."""
    url = place_in(each.url, job, task, index)
    digest = each.digest or known_digest(job, task.name, each.name, index, url)
    return Item(each.name, url, reachable(url), digest=digest, file="" if url.endswith("/") else basename(each.path))


def output_item(each: DataOutput, job: Job, task: TaskSpec, index: int) -> Item:
    """An output for the sidecar."""
    url = place_in(each.url, job, task, index)
    file = "" if each.path.endswith("/") else basename(each.path)
    return Item(each.name, url, reachable(url), file=file, always=each.policy == "Always")


def place_in(url: str, job: Job, task: TaskSpec, index: int) -> str:
    """A url with the pod's place in it."""
    for name, value in (("index", str(index)), ("task", task.name), ("job", job.metadata.name)):
        url = url.replace("{" + name + "}", value)
    return url


def known_digest(job: Job, task: str, name: str, index: int, url: str) -> str:
    """What an input was when it was first fetched."""
    for each in job.status.data:
        if (each.task, each.name, each.url, each.state) == (task, name, url, "Fetched") and each.index in (0, index):
            return each.digest
    return ""


def reachable(url: str) -> str:
    """The url as the staging containers reach it: files of the node are mounted elsewhere."""
    return f"{FILE}{HOST}{url.removeprefix(FILE)}" if url.startswith(FILE) else url


def host_folder(url: str) -> str:
    """The first folder of a `file:` url, which is what is mounted of the node; "" for all other urls."""
    path = url.removeprefix(FILE) if url.startswith(FILE) else ""
    return "/" + path.lstrip("/").partition("/")[0] if path.strip("/") else ""


def mount_path(path: str) -> str:
    """The folder that is mounted for an output: itself, or the one its file is in."""
    return path.rstrip("/") if path.endswith("/") else dirname(path)
