"""A pod's first process: pid 1 of its pid namespace. It starts, signals and reaps; it decides nothing.

What runs when, how often it is restarted and what the pod's phase is are the node's business, told over the channel.
When this process ends, for whatever reason, the kernel kills everything in the pod.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
from dataclasses import dataclass, field

from flowbatch.embedded.nodes.inside import wire
from flowbatch.embedded.nodes.inside.logfile import LogFile
from flowbatch.embedded.nodes.inside.sessions import Session, Sessions, kill_all
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.embedded.nodes.inside.worlds import World

_READ_BYTES = 256 * 1024


@dataclass(slots=True)
class Running:
    """One attempt of one container."""

    name: str
    attempt: int
    pid: int
    mounts: int
    run: Message
    output: int
    log: LogFile


@dataclass(slots=True)
class Supervisor:
    """The event loop of one pod."""

    channel: socket.socket
    world: World
    containers: dict[str, Running] = field(default_factory=dict)
    sessions: Sessions = field(init=False)
    poller: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.world, self.poller, self._tell)

    def run(self) -> None:
        """Serve the node until it says quit or is gone."""
        wake, signalled = socket.socketpair()
        for end in (wake, signalled):
            end.setblocking(False)
        signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.poller.register(self.channel, selectors.EVENT_READ)
        self.poller.register(wake, selectors.EVENT_READ)
        while True:
            for key, _ in self.poller.select():
                if key.fileobj is wake:
                    wake.recv(4096)
                    self._reap()
                elif key.fileobj is self.channel:
                    if not self._obey():
                        return
                elif isinstance(key.data, Session):
                    self.sessions.hang_up(key.data)
                else:
                    self._copy_output(key.data)

    def _obey(self) -> bool:
        message, files = wire.receive(self.channel)
        match message:
            case None | {"do": "quit"}:
                self._end_everything()
                return False
            case {"do": "run", "file": path}:
                self._start(path)
            case {"do": "signal", "container": name, "signal": number}:
                self._signal(name, number)
            case {"do": "exec", "container": name}:
                running = self.containers.get(name)
                self.sessions.start(message, running.mounts if running else None, running.run if running else {}, files)
            case {"do": "probe"}:
                self.sessions.probe(message)
            case _:
                raise AssertionError(f"unknown order {message}")
        return True

    def _tell(self, message: Message) -> None:
        wire.send(self.channel, message)

    # containers

    def _start(self, path: str) -> None:
        with open(path) as file:
            run: Message = json.load(file)
        name, attempt = run["container"], run["attempt"]
        output, stdout = os.pipe()
        report, child_report = wire.pair()
        pid = os.fork()
        if pid == 0:
            null = os.open("/dev/null", os.O_RDONLY)
            for source, target in ((null, 0), (stdout, 1), (stdout, 2)):
                os.dup2(source, target)
            self.world.become(run, child_report)
        os.close(stdout)
        child_report.close()
        mounts, problem = _await_start(report)
        os.set_blocking(output, False)
        running = Running(name, attempt, pid, mounts, run, output, LogFile(run["log"]))
        self.containers[name] = running
        self.poller.register(output, selectors.EVENT_READ, running)
        if problem:
            reason, _, message = problem.partition("\n")
            self._tell({"is": "failed", "container": name, "attempt": attempt, "reason": reason, "message": message})
        else:
            self._tell({"is": "running", "container": name, "attempt": attempt})

    def _copy_output(self, running: Running) -> bool:
        if running.output < 0:
            return False  # ended by another event of the same round
        try:
            chunk = os.read(running.output, _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self.poller.unregister(running.output)
            os.close(running.output)
            running.log.close()
            running.output = -1
            return False
        running.log.feed(chunk)
        return True

    def _signal(self, name: str, number: int) -> None:
        running = self.containers.get(name)
        if running is None:
            return
        try:
            os.killpg(running.pid, number)
        except ProcessLookupError:
            return
        if number == signal.SIGKILL:
            self._kill_rest(running)

    def _kill_rest(self, running: Running) -> None:
        """Kill what a container left behind."""
        kill_all(self.world.leftovers(running.pid, running.mounts))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._bury(pid, os.waitstatus_to_exitcode(status))

    def _bury(self, pid: int, code: int) -> None:
        running = next((each for each in self.containers.values() if each.pid == pid), None)
        if running is not None:
            del self.containers[running.name]
            self._kill_rest(running)
            self._finish_output(running)
            if running.mounts >= 0:
                os.close(running.mounts)
            self._tell({"is": "exited", "container": running.name, "attempt": running.attempt, "code": code})
        else:
            self.sessions.reaped(pid, code)

    def _finish_output(self, running: Running) -> None:
        """Everything the container wrote is in the pipe by now; who else holds the pipe may still add to it."""
        while running.output >= 0 and self._copy_output(running):
            pass
        if running.output >= 0:
            running.log.flush()

    def _end_everything(self) -> None:
        """Leave nobody behind: the channel's end tells the node that the pod is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.world.kill_everyone()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        for running in self.containers.values():
            self._finish_output(running)


def _await_start(report: socket.socket) -> tuple[int, str]:
    """The child's mount namespace, and what went wrong; the socket closes by itself when the command is executed."""
    mounts, problem = -1, ""
    with report:
        while True:
            data, files, _, _ = socket.recv_fds(report, 8192, 1)
            if files:
                mounts = files[0]
                os.set_inheritable(mounts, False)
            elif data:
                problem = data.decode(errors="replace")
            else:
                return mounts, problem
