"""Why something could not be moved, in one word that people and programs can go by."""

import errno

from flowbatch.errors import FlowbatchError

#: Worth another try: the network, not the request.
TRANSIENT = ("Incomplete", "Unreachable", "Timeout")


class StagingError(FlowbatchError):
    """An item could not be moved: a reason in CamelCase, and the story."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def explained(error: Exception, url: str) -> StagingError:
    """Any failure of fsspec or of a file system as a StagingError."""
    if isinstance(error, StagingError):
        return error
    text = f"{url}: {error or type(error).__name__}"
    return StagingError(_reason(error), text)


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    status = getattr(error, "status", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "NoSpace"
    if isinstance(error, FileNotFoundError | NotADirectoryError) or status in (404, 410):
        return "NotFound"
    if isinstance(error, PermissionError) or status in (401, 403) or number == errno.EROFS:
        return "Forbidden"
    if isinstance(error, TimeoutError):
        return "Timeout"
    if type(error).__name__ in ("ClientPayloadError", "IncompleteRead", "ServerDisconnectedError"):
        return "Incomplete"
    if isinstance(error, ConnectionError) or type(error).__name__.startswith(("ClientConnector", "ClientOS")):
        return "Unreachable"
    if isinstance(error, ValueError | ImportError | NotImplementedError):
        return "BadUrl"
    return "Unreachable" if status is not None and status >= 500 else "Failed"
