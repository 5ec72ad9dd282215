"""What of this machine's file system a container sees, and how its writes stay private.

Every writable file system becomes the lower layer of an overlay whose upper layer belongs to one container attempt;
what cannot be overlaid is bound read-only. So commands find this machine's files, may write anywhere they may
write, and nothing reaches the machine.
"""
# pathlib would double what every pod's first process loads.
# ruff: noqa: PTH101, PTH102, PTH103, PTH112, PTH116, PTH118, PTH119, PTH120, PTH123, PTH211

import os
import re
import shutil

from flowbatch.embedded.nodes.inside import linux

#: File systems that are made anew for each container or mean nothing inside one.
_PSEUDO = {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs"}
_PSEUDO |= {
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
}
_PSEUDO |= {"tracefs"}
_PRIVATE = ("/proc", "/sys", "/dev", "/run")
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Layout:
    """The mounts below `/` that containers get; worked out once, inherited by fork."""

    def __init__(self, work: str, *, user_namespace: bool) -> None:
        self.work = work
        self.user_namespace = user_namespace
        #: (mount point, whether an overlay works there), parents first; the first is `/`.
        self.mounts: list[tuple[str, bool]] = []

    def survey(self) -> None:
        """Find the mounts and try an overlay on each. Raises OSError where not even `/` can be overlaid."""
        self._overlay("/", f"{self.work}/survey/0", f"{self.work}/survey/0/root")
        linux.detach(f"{self.work}/survey/0/root")
        self.mounts.append(("/", True))
        for number, (point, writable) in enumerate(self._host_mounts(), 1):
            self.mounts.append((point, writable and self._can_overlay(point, f"{self.work}/survey/{number}")))
        shutil.rmtree(f"{self.work}/survey", ignore_errors=True)

    def _host_mounts(self) -> list[tuple[str, bool]]:
        found: dict[str, bool] = {}
        with open("/proc/self/mountinfo") as lines:
            for line in lines:
                before, _, after = line.partition(" - ")
                fields = before.split()
                point = _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), fields[4])
                if after.split()[0] not in _PSEUDO and _is_wanted(point, self.work):
                    found[point] = "rw" in fields[5].split(",")
        return sorted(found.items())

    def _can_overlay(self, point: str, layer: str) -> bool:
        try:
            self._overlay(point, layer, f"{layer}/root")
        except OSError:
            return False
        linux.detach(f"{layer}/root")
        return True

    def _overlay(self, lower: str, layer: str, target: str) -> None:
        for path in (f"{layer}/upper", f"{layer}/work", target):
            os.makedirs(path, exist_ok=True)
        options = f"lowerdir={_escape(lower)},upperdir={_escape(layer)}/upper,workdir={_escape(layer)}/work"
        linux.mount("overlay", target, "overlay", 0, options + (",userxattr" if self.user_namespace else ""))

    def upper_of(self, path: str, layer: str) -> tuple[str, str]:
        """The mount point that holds `path`, and the directory of its private layer."""
        for number, (point, _) in reversed(list(enumerate(self.mounts))):
            if point == "/" or path == point or path.startswith(point + "/"):
                return point, f"{layer}/{number}/upper"
        raise AssertionError("/ holds every path")

    def prepare(self, path: str, layer: str, *, directory: bool) -> str:
        """Make `path` exist in the private layer before it is mounted; return it with links followed.

        Done in the layer and not through the overlay, because as root of a user namespace one may not create in
        directories that belong to the machine's root. Directories copy the machine's modes.
        """
        real = os.path.realpath(path)
        point, upper = self.upper_of(real, layer)
        parent = real if directory else os.path.dirname(real)
        self._mirror(point, upper, os.path.relpath(parent, point))
        if not directory:
            name = os.path.join(upper, os.path.relpath(real, point))
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return real

    def _mirror(self, point: str, upper: str, relative: str) -> None:
        os.makedirs(upper, exist_ok=True)
        here, there = point, upper
        for part in ("." if relative == "." else f"./{relative}").split("/"):
            here, there = os.path.join(here, part), os.path.join(there, part)
            if part != "." and os.path.isdir(there):
                continue
            if part != ".":
                os.mkdir(there, 0o755)
            _copy_owner(here, there)

    def link(self, path: str, target: str, layer: str) -> None:
        """Make `path` a symbolic link to `target` in the private layer, whatever the machine has there."""
        parent = self.prepare(os.path.dirname(path), layer, directory=True)
        point, upper = self.upper_of(parent, layer)
        name = os.path.join(upper, os.path.relpath(parent, point), os.path.basename(path))
        if not os.path.lexists(name):
            os.symlink(target, name)

    def write(self, path: str, text: str, layer: str) -> None:
        """Make `path` a plain file with `text` in the private layer, whatever the machine has there."""
        parent = self.prepare(os.path.dirname(path), layer, directory=True)
        point, upper = self.upper_of(parent, layer)
        with open(os.path.join(upper, os.path.relpath(parent, point), os.path.basename(path)), "w") as file:
            file.write(text)

    def mount(self, layer: str) -> str:
        """Mount everything; returns where the container's `/` now is."""
        root = f"{layer}/root"
        self._overlay("/", f"{layer}/0", root)
        for number, (point, overlaid) in enumerate(self.mounts[1:], 1):
            if overlaid:
                self._overlay(point, f"{layer}/{number}", root + point)
            else:
                _bind_what_there_is(point, root + point)
        return root


def _is_wanted(point: str, work: str) -> bool:
    inside = any(point == private or point.startswith(private + "/") for private in (*_PRIVATE, work))
    return point != "/" and not inside and os.path.isdir(point)


def _bind_what_there_is(source: str, target: str) -> None:
    try:
        linux.bind(source, target, recursive=True)
        linux.bind_read_only(target)
    except OSError:
        return  # a file system that this user may not even look at


def _copy_owner(source: str, target: str) -> None:
    try:
        status = os.stat(source)
        os.chmod(target, status.st_mode & 0o7777)
        os.chown(target, status.st_uid, status.st_gid)
    except OSError:
        return  # not there, or owned by someone this user namespace does not know


def _escape(path: str) -> str:
    return re.sub(r"([\\,:])", r"\\\1", path)
