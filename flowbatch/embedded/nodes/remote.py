"""Who may start a command in whose pod: the node's end of the `ssh` and `sshd` that pods find.

A pod reaches the pods of its own job and nobody else's: same namespace, same job name, same owner. A command may
name a pod that is not there or not listening yet; it waits for it a while, as real clusters make people script.
"""

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass, field
from typing import Protocol

from flowbatch.api import names
from flowbatch.embedded.nodes.cluster import Channel
from flowbatch.embedded.nodes.directory import DOMAIN, Entry
from flowbatch.embedded.nodes.inside import wire
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.embedded.nodes.runnable import RunnablePod
from flowbatch.embedded.nodes.sandbox import Sandbox

#: How long a command waits for a pod of its job that does not listen yet, unless ConnectTimeout says otherwise.
WAIT_S = 60.0
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Reachable(Protocol):
    """A pod as this module sees it."""

    pod: RunnablePod
    entry: Entry
    sandbox: Sandbox


@dataclass(frozen=True, slots=True)
class JobKey:
    """What pods that may reach one another have in common."""

    namespace: str
    job: str
    owner: str


def job_of(pod: RunnablePod) -> JobKey:
    """The job of a pod; a pod without one is a job of its own."""
    owner = pod.metadata.controller
    job = pod.metadata.labels.get(names.JOB_NAME) or pod.metadata.annotations.get(names.JOB_NAME)
    if not job:
        return JobKey(pod.metadata.namespace, "", pod.metadata.uid)
    return JobKey(pod.metadata.namespace, job, owner.uid if owner else "")


def answers_to(entry: Entry, name: str) -> bool:
    """Whether `name` means this pod, in any of the forms that resolve to it."""
    plain = name.rstrip(".").lower().removesuffix(f".{DOMAIN}").removesuffix(".svc")
    own = [entry.ip, entry.hostname, f"{entry.hostname}.{entry.namespace}"]
    if entry.subdomain:
        own += [f"{entry.hostname}.{entry.subdomain}", f"{entry.hostname}.{entry.subdomain}.{entry.namespace}"]
    return plain in (each.lower() for each in own)


@dataclass(eq=False, slots=True)
class Remote:
    """Every pod that may be reached, and the containers in which an sshd waits."""

    pods: dict[str, Reachable] = field(default_factory=dict)
    _listening: dict[tuple[str, str], int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def add(self, uid: str, pod: Reachable) -> None:
        """A pod is there (or will be soon)."""
        self.pods[uid] = pod
        self._notify()

    def remove(self, uid: str) -> None:
        """A pod is gone."""
        self.pods.pop(uid, None)
        for key in [key for key in self._listening if key[0] == uid]:
            del self._listening[key]
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def listen(self, pod: Reachable, container: str) -> "Door":
        """Open the container's socket to the node."""
        path = pod.sandbox.socket_dir(container) / "socket"
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, wire.KIND)
        server.bind(str(path))
        path.chmod(0o777)
        server.listen(64)
        return Door(self, pod, container, server)

    def mark(self, uid: str, container: str, change: int) -> None:
        """An sshd began or ceased to wait in a container."""
        key = (uid, container)
        self._listening[key] = self._listening.get(key, 0) + change
        if self._listening[key] <= 0:
            del self._listening[key]
        self._notify()

    def serve(self, caller: Reachable, request: Message, files: list[int]) -> None:
        """Carry out one `ssh`; `files` are stdin, stdout, stderr and the connection to answer on, and become ours."""
        task = asyncio.create_task(self._serve(caller, request, files))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, caller: Reachable, request: Message, files: list[int]) -> None:
        try:
            found = await self._find(caller, str(request["host"]), _seconds(request.get("wait")))
            if isinstance(found, str):
                _answer(files[3], {"error": found})
                return
            target, container = found
            command = str(request["command"])
            argv = ["/bin/sh", "-c", command] if command else ["/bin/sh"]
            if not target.sandbox.hand_over(container, argv, files):
                _answer(files[3], {"error": f"connection to {request['host']} closed"})
        finally:
            for file in files:
                os.close(file)

    async def _find(self, caller: Reachable, host: str, wait_s: float) -> "tuple[Reachable, str] | str":
        """The pod and container to run in, or why not."""
        problem = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    changed = self._changed
                    found = self._look(caller, host)
                    if isinstance(found, tuple):
                        return found
                    problem, final = found.text, found.final
                    if final:
                        return problem
                    await changed.wait()
        return problem

    def _look(self, caller: Reachable, host: str) -> "tuple[Reachable, str] | Refusal":
        if host in _LOCAL:
            named = [caller]
        else:
            named = [each for each in self.pods.values() if answers_to(each.entry, host)]
            named = [each for each in named if each.entry.namespace == caller.entry.namespace] or named
        mine = [each for each in named if job_of(each.pod) == job_of(caller.pod)]
        if named and not mine:
            return Refusal(f"connect to host {host} port 22: refused by flowbatch: that pod is not of this job", True)
        if not mine:
            return Refusal(f"Could not resolve hostname {host}: Name or service not known", False)
        uid = mine[-1].entry.uid
        container = next((name for owner, name in self._listening if owner == uid), None)
        if container is None:
            return Refusal(f"connect to host {host} port 22: Connection refused (no sshd runs there)", False)
        return mine[-1], container


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command cannot be started, and whether waiting is pointless."""

    text: str
    final: bool


class Door:
    """A container's socket to the node, open for as long as the pod is."""

    def __init__(self, remote: Remote, pod: Reachable, container: str, server: socket.socket) -> None:
        self._remote, self._pod, self._container, self._server = remote, pod, container, server
        self._callers: set[Channel] = set()
        server.setblocking(False)
        asyncio.get_running_loop().add_reader(server.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:
            return
        state = {"listening": False}

        def hear(message: Message | None, files: list[int]) -> None:
            if message is not None and message.get("do") == "listen":
                state["listening"] = True
                self._remote.mark(self._pod.entry.uid, self._container, +1)
            elif message is not None and message.get("do") == "ssh" and len(files) == 3:
                self._callers.discard(channel)
                self._remote.serve(self._pod, message, [*files, channel.detach()])
                return
            for file in files:
                os.close(file)
            if message is None:
                self._callers.discard(channel)
                if state["listening"]:
                    self._remote.mark(self._pod.entry.uid, self._container, -1)

        channel = Channel(connection, hear)
        self._callers.add(channel)

    def close(self) -> None:
        """Hear nobody any more."""
        if self._server.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._server.fileno())
            self._server.close()
        for channel in list(self._callers):
            channel.close()


def _answer(connection: int, message: Message) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection)) as end:
        wire.send(end, message)


def _seconds(asked: str | None) -> float:
    try:
        return min(600.0, float(asked)) if asked else WAIT_S
    except ValueError:
        return WAIT_S
