"""What one pod has to fetch and to store, and what became of it: an environment variable and a termination message.

Written by `flowbatch.workload.staging` and read by `flowbatch.staging`, which runs in the pod, and the other way round.
"""

import msgspec

#: The environment variable that holds a Plan as JSON.
PLAN = "FLOWBATCH_STAGE"
#: Where the pod's staging volume is mounted in this program's containers.
ROOT = "/flowbatch/data"
#: Folders in it: inputs, outputs, exit codes of the pod's containers, reports.
INPUTS, OUTPUTS, EXITS, REPORTS = "in", "out", "exit", "report"
#: The file in it that says that the kubelet has told the sidecar to end: all containers of the pod have.
ENDED = "ended"
#: Kubernetes keeps so many bytes of a termination message.
MESSAGE_BYTES = 4096
#: The exit code of a fetch or store that failed (BSD's EX_IOERR).
EXIT_FAILED = 74


class Item(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One thing to move. `place` is the url as this container reaches it; `file` is the name of a single file."""

    name: str
    url: str
    place: str
    digest: str = ""
    file: str = ""
    always: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is a directory."""
        return not self.file


class Plan(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Everything that one container of this program has to do; `containers` are those whose ends it waits for."""

    items: tuple[Item, ...] = ()
    containers: tuple[str, ...] = ()


class Moved(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of one item: its size and digest, or why not. `skipped`: the containers had failed."""

    name: str
    bytes: int = 0
    digest: str = ""
    reason: str = ""
    message: str = ""
    skipped: bool = False


def report(moved: tuple[Moved, ...]) -> bytes:
    """A termination message; long stories are cut until all of it fits."""
    for limit in (1000, 300, 80, 0):
        cut = [msgspec.structs.replace(each, message=each.message[:limit]) for each in moved]
        if len(text := msgspec.json.encode(cut)) <= MESSAGE_BYTES:
            return text
    return msgspec.json.encode([each for each in cut if each.reason][:10])


def read_report(text: str) -> tuple[Moved, ...]:
    """The items of a termination message; none where it is not one of ours."""
    try:
        return msgspec.json.decode(text, type=tuple[Moved, ...])
    except msgspec.DecodeError:
        return ()
