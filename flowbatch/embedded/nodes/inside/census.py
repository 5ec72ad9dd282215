"""Who runs in this pod, read from its own /proc; only ever used where that /proc is the pod's."""
# pathlib would double what every pod's first process loads.
# ruff: noqa: PTH116, PTH208

import os


def pids() -> list[int]:
    """Every process of the pod."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def in_mount_namespace(inode: int) -> list[int]:
    """The processes of one container: each container has a mount namespace to itself."""
    return [pid for pid in pids() if pid != 1 and _mount_namespace(pid) == inode]


def family(root: int) -> list[int]:
    """`root`, its descendants, and whoever shares its session."""
    parents: dict[int, tuple[int, int]] = {pid: _parent_and_session(pid) for pid in pids()}
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, (parent, session) in parents.items() if parent in found or session == root}
        grown = not more <= found
        found |= more
    return sorted(found - {1})


def _mount_namespace(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0  # gone meanwhile


def _parent_and_session(pid: int) -> tuple[int, int]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[1]), int(fields[3])
    except OSError:
        return 0, 0
