"""The node's side of the first process: starting it, asking it for pods, and the directory both can see.

The work directory is a file system that only exists inside the cluster's mount namespace; this process reaches it
through an open directory. When everything is gone, so are all its files.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal

import flowbatch
from flowbatch.embedded.nodes.inside import wire
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.errors import FlowbatchError

NETWORK = IPv4Network("10.244.0.0/16")
#: Without namespaces each pod has a loopback address; only Linux has more than one.
LOOPBACK = IPv4Network("127.77.0.0/16" if sys.platform.startswith("linux") else "127.0.0.1/32")
#: Namespaces as root, namespaces inside a user namespace, or plain processes.
Isolation = Literal["root", "user", "none"]
_BOOT = "import sys; sys.path.append(sys.argv[2]); from flowbatch.embedded.nodes.inside.zygote import main; main()"
_SHIM = """#!/bin/sh
exec '{python}' -I -S -c 'import sys; sys.path.append(sys.argv[1])
from flowbatch.embedded.nodes.inside.remote import main
main(sys.argv[2], sys.argv[3:])' '{site}' {role} "$@"
"""


class ClusterLost(FlowbatchError):
    """The process that holds every pod's namespaces was killed, and with it every pod."""


class NamespacesForbidden(FlowbatchError):
    """This machine lets this user make no namespaces; the message says which step was refused."""


class Channel:
    """One end of a message channel in the event loop: messages in by callback, out at once."""

    def __init__(self, end: socket.socket, on_message: Callable[[Message | None, list[int]], None]) -> None:
        self._end = end
        self._on_message = on_message
        end.setblocking(False)
        asyncio.get_running_loop().add_reader(end.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            message, files = wire.receive(self._end)
        except BlockingIOError:
            return
        except OSError:
            message, files = None, []
        if message is None:
            self.close()
        self._on_message(message, files)

    def send(self, message: Message, files: tuple[int, ...] = ()) -> bool:
        """Send one message; False when the other end is gone."""
        if self._end.fileno() < 0:
            return False
        try:
            wire.send(self._end, message, files)
        except BlockingIOError:
            # The other end is stuck: a pod that does not read 200 kB of orders is beyond orders.
            return False
        except OSError:
            return False
        return True

    def detach(self) -> int:
        """Stop listening and hand the file over."""
        asyncio.get_running_loop().remove_reader(self._end.fileno())
        return self._end.detach()

    def close(self) -> None:
        """Stop listening and close; the other end notices."""
        if self._end.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._end.fileno())
            self._end.close()


class Cluster:
    """The namespaces that hold all pods of one `ProcessNodes`; or, isolation "none", just their first processes."""

    def __init__(
        self, work: str, isolation: Isolation, process: "subprocess.Popen[bytes]", channel: socket.socket
    ) -> None:
        self.work = work
        self.isolation = isolation
        self.process = process
        self._channel = channel
        self._directory = -1
        #: Where pods ask for names: a UDP socket inside their network.
        self.names: socket.socket | None = None
        #: The work directory as this process sees it.
        self.here = Path(work)

    @property
    def network(self) -> IPv4Network:
        """Where pods' addresses come from."""
        return LOOPBACK if self.isolation == "none" else NETWORK

    @classmethod
    async def start(cls, *, root: Path | None = None, isolation: Isolation | None = None) -> "Cluster":
        """Start the first process; None takes the isolation that suits this user. Raises NamespacesForbidden."""
        if isolation is None:
            isolation = "root" if os.geteuid() == 0 else "user"
        if isolation != "none" and not sys.platform.startswith("linux"):
            raise NamespacesForbidden(f"{sys.platform} has no namespaces")
        work = tempfile.mkdtemp(prefix="flowbatch-", dir=root)
        ours, theirs = wire.pair()
        try:
            process = _launch(work, theirs, disk=root is not None, isolation=isolation)
            theirs.close()
            answer, files = await _first_answer(ours)
        except BaseException:
            ours.close()
            shutil.rmtree(work, ignore_errors=True)
            raise
        if answer is None or "error" in answer:
            ours.close()
            await asyncio.get_running_loop().run_in_executor(None, process.wait)
            shutil.rmtree(work, ignore_errors=True)
            raise NamespacesForbidden(str(answer["error"]) if answer else "the first process ended at once")
        cluster = cls(work, isolation, process, ours)
        cluster._furnish(files)
        return cluster

    def _furnish(self, files: list[int]) -> None:
        if files:
            self._directory = files[0]
            self.names = socket.socket(fileno=files[1])
            self.here = Path(f"/proc/self/fd/{files[0]}")
        for role in ("ssh", "sshd"):
            text = _SHIM.format(python=sys.executable, site=_site(), role=role)
            self.write(f"bin/{role}", text.encode(), 0o755)

    def start_pod(self, pod: Message, on_message: Callable[[Message | None, list[int]], None]) -> Channel:
        """Fork a pod's first process; its messages come to `on_message`, None when it is gone."""
        ours, theirs = wire.pair()
        with theirs:
            wire.send(self._channel, {"do": "pod", **pod}, (theirs.fileno(),))
        return Channel(ours, on_message)

    def remove(self, path: str) -> None:
        """Delete a directory below the work directory, with the rights that made it."""
        with contextlib.suppress(OSError):
            wire.send(self._channel, {"do": "remove", "path": path})

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file below the work directory in place, so that bind mounts of it follow."""
        target = self.here / path
        target.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(fd, "wb", buffering=0) as file:
            file.write(data)  # over what was there, then cut: nobody who reads meanwhile finds it empty
            file.truncate()
        target.chmod(stat.S_IMODE(mode))

    async def watch(self) -> None:
        """Wait for the end of the first process, which never ends by itself. Raises ClusterLost."""
        lost = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), lost.set)
        try:
            await lost.wait()
        finally:
            loop.remove_reader(self._channel.fileno())
        raise ClusterLost("the process that holds the pods' namespaces is gone")

    async def close(self) -> None:
        """End every process of every pod, and wait until they are gone."""
        self._channel.close()
        if self.names is not None:
            self.names.close()
        await asyncio.get_running_loop().run_in_executor(None, self.process.wait)
        if self._directory >= 0:
            os.close(self._directory)
        shutil.rmtree(self.work, ignore_errors=True)  # where the first process was killed before it could


def _site() -> str:
    return str(Path(flowbatch.__file__).resolve().parent.parent)


def _launch(work: str, theirs: socket.socket, *, disk: bool, isolation: Isolation) -> "subprocess.Popen[bytes]":
    from importlib.util import find_spec

    netlink = find_spec("pyroute2")
    site = str(Path(netlink.origin).parent.parent) if netlink and netlink.origin else _site()
    options: dict[str, Any] = {
        "channel": theirs.fileno(),
        "parent": os.getpid(),
        "isolation": isolation,
        "work": work,
        "disk": disk,
        "sites": [_site(), site],
        "gateway": str(NETWORK[1]),
        "prefix": NETWORK.prefixlen,
    }
    arguments = [sys.executable, "-I", "-S", "-c", _BOOT, json.dumps(options), _site()]
    return subprocess.Popen(  # noqa: S603  (our own program)
        arguments, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
    )


async def _first_answer(ours: socket.socket) -> tuple[Message | None, list[int]]:
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(ours.fileno(), arrived.set)
    try:
        async with asyncio.timeout(30):
            await arrived.wait()
    finally:
        loop.remove_reader(ours.fileno())
    return wire.receive(ours)
