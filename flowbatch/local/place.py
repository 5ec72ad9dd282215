"""Where a local cluster leaves its kubeconfig, so that the next command finds it without a flag, and whose file it is.

A running cluster holds a lock on its kubeconfig. The kernel lets go of it however the process ends, so a file without
a lock is a leftover, and no pid is ever guessed at.
"""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from flowbatch.errors import FlowbatchError, SpecError

#: The name of cluster, user and context in a local cluster's kubeconfig.
OUR_NAME = "flowbatch"


def state_dir() -> Path:
    """The user's state directory for flowbatch (XDG Base Directory)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "flowbatch"


def default_kubeconfig() -> Path:
    """Where `flowbatch up` writes its kubeconfig unless told otherwise."""
    return state_dir() / "kubeconfig"


def running_kubeconfig() -> Path | None:
    """The kubeconfig of a `flowbatch up` on this machine that is still alive, if there is one."""
    path = default_kubeconfig()
    try:
        with path.open("rb") as file:
            return None if _lock(file.fileno(), fcntl.LOCK_SH) else path
    except OSError:
        return None


@contextlib.contextmanager
def owned_kubeconfig(path: Path) -> Iterator[None]:
    """Hold `path` as this cluster's kubeconfig, and take it away at the end.

    A file that is not a local cluster's is never touched: it may be the way to somebody's real clusters. Raises
    SpecError for one that cannot or must not be written, FlowbatchError while another cluster runs with it.
    """
    file = _open(path)
    try:
        if not _lock(file, fcntl.LOCK_EX):
            raise FlowbatchError(
                f"a cluster runs already with the kubeconfig {path}\nuse it, stop it with Ctrl-C where it runs, "
                "or give this one a file of its own: flowbatch up --kubeconfig FILE"
            )
        if not _ours(os.pread(file, os.fstat(file).st_size, 0)):
            raise SpecError("--kubeconfig", "exists and is not a local cluster's", str(path), "name a new file")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(file)


def _open(path: Path) -> int:
    """The open file, made with its folder where it is not there. Only a plain file will do."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and not path.is_file():
            raise SpecError("--kubeconfig", "is not a plain file", str(path), "name a new file")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpecError("--kubeconfig", f"cannot be written: {error.strerror}", str(path)) from error
    assert stat.S_ISREG(os.fstat(file).st_mode)
    return file


def _lock(file: int, kind: int) -> bool:
    """Whether the lock could be had. A file that was taken away meanwhile belongs to a cluster that is just ending."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file).st_nlink > 0


def _ours(text: bytes) -> bool:
    """Whether this is an empty file, or the kubeconfig of a local cluster that died before it could remove it."""
    if not text.strip():
        return True
    try:
        config = json.loads(text)
        return [each["name"] for each in config["clusters"] + config["contexts"]] == [OUR_NAME, OUR_NAME]
    except (ValueError, LookupError, TypeError):
        return False
