"""Commands started inside running containers for somebody else: a remote shell's, a hook's, a probe."""

# pathlib would double what every pod's first process loads.
# ruff: noqa: PTH112

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowbatch.embedded.nodes.inside import container, probe, wire
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.embedded.nodes.inside.worlds import World

_NOT_RUN = 255


@dataclass(slots=True)
class Session:
    """One such command; `caller` is who waits for its end, and whose own end is the command's."""

    number: int
    pid: int
    caller: socket.socket | None = None


class Sessions:
    """The sessions of one pod; `tell` reports their ends to the node."""

    def __init__(self, world: World, poller: selectors.BaseSelector, tell: Callable[[Message], None]) -> None:
        self._world = world
        self._poller = poller
        self._tell = tell
        self._sessions: dict[int, Session] = {}

    def start(self, order: Message, mounts: int | None, run: Message, files: list[int]) -> None:
        """Start a command in the container that `run` began; three files are its own, a fourth is its caller."""
        caller = socket.socket(fileno=files[3]) if len(files) > 3 else None
        if mounts is None or not self._world.holds(mounts):
            self._refuse(order, caller, f"container {order['container']} is not running")
        else:
            pid = os.fork()
            if pid == 0:
                self._become(mounts, files[:3], order, run)
            session = self._sessions[pid] = Session(order["id"], pid, caller)
            if caller is not None:
                self._poller.register(caller, selectors.EVENT_READ, session)
        for file in files[:3]:
            os.close(file)

    def _become(self, mounts: int, files: list[int], order: Message, run: Message) -> None:
        """Be the command, with the container's environment; never returns."""
        try:
            os.setsid()
            for target, source in enumerate(files):
                os.dup2(source, target)
            self._world.enter(mounts)
            cwd = order.get("cwd") or run["cwd"]
            container.execute(order["argv"], {**run["env"], **order.get("env", {})}, cwd if os.path.isdir(cwd) else "/")
        except OSError as error:
            os.write(2, f"{error.strerror or error}\n".encode())
        finally:
            os._exit(127)

    def probe(self, order: Message) -> None:
        """Ask whether something listens, in a child: asking may take as long as it likes."""
        pid = os.fork()
        if pid == 0:
            probe.become(order)
        self._sessions[pid] = Session(order["id"], pid)

    def _refuse(self, order: Message, caller: socket.socket | None, why: str) -> None:
        if caller is not None:
            with contextlib.suppress(OSError):
                wire.send(caller, {"error": why})
            caller.close()
        self._tell({"is": "done", "id": order["id"], "code": _NOT_RUN, "message": why})

    def hang_up(self, session: Session) -> None:
        """The caller is gone (or says so): what it started goes, too."""
        if session.caller is None:
            return  # ended by another event of the same round
        self._let_go(session, session.caller)
        kill_all(self._world.family(session.pid))

    def reaped(self, pid: int, code: int) -> None:
        """A child ended; if it was a session, those who wait hear of it."""
        session = self._sessions.pop(pid, None)
        if session is None:
            return
        shell_code = 128 - code if code < 0 else code
        if session.caller is not None:
            with contextlib.suppress(OSError):  # the caller may leave at the same moment
                wire.send(session.caller, {"code": shell_code})
            self._let_go(session, session.caller)
        self._tell({"is": "done", "id": session.number, "code": shell_code})

    def _let_go(self, session: Session, caller: socket.socket) -> None:
        self._poller.unregister(caller)
        caller.close()
        session.caller = None


def kill_all(pids: Iterable[int]) -> None:
    """SIGKILL to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
