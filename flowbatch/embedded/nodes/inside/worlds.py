"""The two worlds a pod's processes may live in: namespaces of its own, or the machine's, where those are forbidden."""

import os
import signal
import socket
import sys
from typing import Protocol

from flowbatch.embedded.nodes.inside import census, container, linux
from flowbatch.embedded.nodes.inside.layout import Layout
from flowbatch.embedded.nodes.inside.wire import Message


class World(Protocol):
    """What the supervisor needs of a world."""

    def become(self, run: Message, report: socket.socket) -> None:
        """Turn a forked child into a container; never returns."""
        ...

    def enter(self, mounts: int) -> None:
        """Join the container whose mount namespace this is."""
        ...

    def holds(self, mounts: int) -> bool:
        """Whether commands can be started in a container that reported this."""
        ...

    def leftovers(self, pid: int, mounts: int) -> list[int]:
        """Who is left of a container whose first process was `pid`."""
        ...

    def family(self, pid: int) -> list[int]:
        """A process and what it started."""
        ...

    def kill_everyone(self) -> None:
        """End all processes of the pod but this one."""
        ...


class Isolated:
    """Namespaces: the supervisor is pid 1, and each container has its own mounts."""

    def __init__(self, layout: Layout, *, own_proc: bool) -> None:
        self._layout = layout
        #: Whether /proc shows this pod; without it nobody is looked up in it.
        self._own_proc = own_proc

    def become(self, run: Message, report: socket.socket) -> None:
        """Mount, pivot, execute."""
        container.become(self._layout, run, report)

    def enter(self, mounts: int) -> None:
        """Only the mounts differ between containers of a pod."""
        linux.setns(mounts, linux.NEWNS)

    def holds(self, mounts: int) -> bool:
        """A container that never came to have mounts cannot be joined."""
        return mounts >= 0

    def leftovers(self, pid: int, mounts: int) -> list[int]:
        """Whoever has the container's mounts, in whichever session."""
        if not self._own_proc or mounts < 0:
            return []
        return census.in_mount_namespace(os.fstat(mounts).st_ino)

    def family(self, pid: int) -> list[int]:
        """From the pod's own /proc."""
        return census.family(pid) if self._own_proc else [pid]

    def kill_everyone(self) -> None:
        """As pid 1 of the namespace, "everyone" is the pod."""
        assert os.getpid() == 1, "only the first process of a pod may kill everyone"
        os.kill(-1, signal.SIGKILL)


class Plain:
    """The machine's own processes, files and network; what a pod started is found by descent."""

    def become(self, run: Message, report: socket.socket) -> None:
        """Execute, in a session of its own that dies with the supervisor."""
        container.become_plain(run, report)

    def enter(self, mounts: int) -> None:
        """There is nothing to enter."""

    def holds(self, mounts: int) -> bool:
        """Every container can be joined."""
        return True

    def leftovers(self, pid: int, mounts: int) -> list[int]:
        """The container's session and descendants; a daemon that left both is ended with the pod."""
        return self.family(pid)

    def family(self, pid: int) -> list[int]:
        """From /proc where there is one."""
        return census.family(pid) if sys.platform.startswith("linux") else [pid]

    def kill_everyone(self) -> None:
        """All descendants: orphans are ours, too (subreaper)."""
        for pid in self.family(os.getpid()):
            if pid != os.getpid():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
