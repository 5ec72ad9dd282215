"""What of this machine's file system a container sees, and how its writes stay private.

Every writable file system becomes the lower layer of an overlay whose upper layer belongs to one container attempt;
what cannot be overlaid is bound read-only. So commands find this machine's files, may write anywhere they may
write, and nothing reaches the machine.
"""
# pathlib would double what every pod's first process loads.
# ruff: noqa: PTH110, PTH114, PTH115, PTH101, PTH102, PTH103, PTH112, PTH116, PTH118, PTH119, PTH120, PTH211

import contextlib
import os
import re
import shutil
from typing import Literal

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
Piece = Literal["overlay", "bind", "link", "rebuild"]
_PRIVATE = ("/proc", "/sys", "/dev", "/run")
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Layout:
    """The pieces of `/` that containers get; worked out once, inherited by fork."""

    def __init__(self, work: str, *, user_namespace: bool) -> None:
        self.work = work
        self.user_namespace = user_namespace
        #: (path, how it is shown), parents first; the first is `/`, overlaid or rebuilt piece by piece.
        self.pieces: list[tuple[str, Piece]] = []

    def survey(self) -> None:
        """Decide how each part of the machine's tree is shown, by trying. Raises OSError where nothing works."""
        points = _mount_points()
        self._survey("/", points)
        shutil.rmtree(f"{self.work}/survey", ignore_errors=True)
        if not any(piece == "overlay" for _, piece in self.pieces):
            raise OSError("this kernel makes no overlay mounts here")

    def _survey(self, path: str, points: dict[str, str]) -> None:
        below = [point for point in points if point != path and point.startswith(path.rstrip("/") + "/")]
        if self._can_overlay(path):
            self.pieces.append((path, "overlay"))
            for point in below:
                if points[point] not in _PSEUDO and not self._is_private(point) and os.path.isdir(point):
                    self._survey(point, {name: kind for name, kind in points.items() if name != path})
        elif below:  # a user namespace may not look under mounts it did not make: so, entry by entry
            self.pieces.append((path, "rebuild"))
            self._survey_entries(path, points)
        else:
            self.pieces.append((path, "bind"))

    def _survey_entries(self, path: str, points: dict[str, str]) -> None:
        with contextlib.suppress(PermissionError), os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if self._is_private(entry.path) or points.get(entry.path) in _PSEUDO:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    self._survey(entry.path, points)
                else:
                    self.pieces.append((entry.path, "link" if entry.is_symlink() else "bind"))

    def _is_private(self, path: str) -> bool:
        return any(path == private or path.startswith(private + "/") for private in (*_PRIVATE, self.work))

    def _can_overlay(self, path: str) -> bool:
        layer = f"{self.work}/survey/{len(self.pieces)}"
        try:
            self._overlay(path, layer, f"{layer}/root")
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
        """The piece that holds `path`, and the directory where its private writes go."""
        for number, (piece, shown) in reversed(list(enumerate(self.pieces))):
            if shown != "link" and (piece == "/" or path == piece or path.startswith(piece + "/")):
                upper = f"{layer}/root{piece.rstrip('/')}" if shown == "rebuild" else f"{layer}/{number}/upper"
                if shown == "bind" and not os.path.exists(path):
                    raise OSError(f"{path} cannot be made: {piece} is shown read-only")
                if shown != "bind" or os.path.isdir(piece):
                    return piece, upper
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
        os.makedirs(root, exist_ok=True)
        linux.bind(root, root)
        for number, (path, shown) in enumerate(self.pieces):
            target = root + path.rstrip("/")
            if shown == "overlay":
                self._overlay(path, f"{layer}/{number}", target)
            elif shown == "rebuild":
                os.makedirs(target, exist_ok=True)
            elif not os.path.lexists(target):
                _show(path, target)
            elif shown == "bind" and os.path.isdir(target):
                _bind_read_only(path, target)
        for private in _PRIVATE:
            os.makedirs(root + private, exist_ok=True)
        return root


def _show(source: str, target: str) -> None:
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.makedirs(target)
        _bind_read_only(source, target)
    elif os.access(source, os.R_OK):
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        _bind_read_only(source, target)


def _bind_read_only(source: str, target: str) -> None:
    with contextlib.suppress(OSError):  # a file system that this user may not even look at
        linux.bind(source, target, recursive=True)
        linux.bind_read_only(target)


def _mount_points() -> dict[str, str]:
    """Mount point to file system, shallowest first."""
    found: dict[str, str] = {}
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            point = _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), before.split()[4])
            found[point] = after.split()[0]
    return dict(sorted(found.items()))


def _copy_owner(source: str, target: str) -> None:
    try:
        status = os.stat(source)
        os.chmod(target, status.st_mode & 0o7777)
        os.chown(target, status.st_uid, status.st_gid)
    except OSError:
        return  # not there, or owned by someone this user namespace does not know


def _escape(path: str) -> str:
    return re.sub(r"([\\,:])", r"\\\1", path)
