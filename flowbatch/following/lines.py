"""One line of a job's log, and where the pod that printed it stands."""

import msgspec

from flowbatch.api.core import Pod
from flowbatch.api.names import TASK_INDEX, TASK_SPEC

#: Pod phases in which there is, or was, something to read.
STARTED = ("Running", "Succeeded", "Failed")


class LogLine(msgspec.Struct, frozen=True):
    """One line that a pod printed."""

    text: str
    pod: str
    task: str
    index: int

    def __str__(self) -> str:
        return f"{self.pod}: {self.text}"


def place_of(pod: Pod) -> tuple[str, int]:
    """The task of a pod and its place in it."""
    labels, notes = pod.metadata.labels, pod.metadata.annotations
    index = notes.get(TASK_INDEX) or labels.get(TASK_INDEX) or ""
    return labels.get(TASK_SPEC) or notes.get(TASK_SPEC) or "", int(index) if index.isdecimal() else 0
