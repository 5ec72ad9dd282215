"""Where a local cluster leaves its kubeconfig, so that the next command finds it without a flag."""

import os
from pathlib import Path


def state_dir() -> Path:
    """The user's state directory for flowbatch (XDG Base Directory)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "flowbatch"


def default_kubeconfig() -> Path:
    """Where `flowbatch up` writes its kubeconfig unless told otherwise."""
    return state_dir() / "kubeconfig"


def running_kubeconfig() -> Path | None:
    """The kubeconfig of a `flowbatch up` on this machine that is still alive, if there is one."""
    path = default_kubeconfig()
    pid_file = path.with_suffix(".pid")
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return None
    return path if path.exists() else None
