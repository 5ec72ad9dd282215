"""One pod's namespaces from outside: its first process, the files it works with, commands run in its containers."""

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowbatch.embedded.nodes.cluster import Channel, Cluster
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.embedded.nodes.volumes import Mount, Volume

TERMINATION_LOG = "/dev/termination-log"
#: What a container may leave as its last words.
MAX_TERMINATION_BYTES = 4096
_FALLBACK_BYTES, _FALLBACK_LINES = 2048, 80
#: How long a killed pod may take to be gone before nobody waits for it any more.
_GONE_S = 10.0


@dataclass(frozen=True, slots=True)
class Command:
    """What one attempt of a container runs."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    mounts: list[Mount]
    termination_path: str = TERMINATION_LOG


@dataclass(slots=True)
class Sandbox:
    """The namespaces of one pod. `on_message` hears of its containers, and None when the pod's last process is gone."""

    cluster: Cluster
    #: The pod's directory, relative to the cluster's: short, because socket paths are.
    place: str
    hostname: str
    ip: str
    hosts: str
    resolver: str
    names: list[str]
    on_message: Callable[[Message | None], None]
    _channel: Channel | None = None
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: dict[int, "asyncio.Future[int]"] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def is_open(self) -> bool:
        """Whether the pod's first process is (still) there."""
        return self._channel is not None

    def open(self) -> None:
        """Ask for the namespaces; `{"is": "ready"}` or `{"is": "broken"}` comes by message."""
        (self.cluster.here / self.place / "shm").mkdir(parents=True, exist_ok=True)
        (self.cluster.here / self.place / "shm").chmod(0o1777)
        (self.cluster.here / self.place / "logs").mkdir(exist_ok=True)
        number = self.place.rpartition("/")[2]
        pod = {
            "hostname": self.hostname,
            "ip": self.ip,
            "netmask": str(self.cluster.network.netmask),
            "cable": f"pod{number}",
        }
        self._gone.clear()
        self._channel = self.cluster.start_pod(pod, self._hear)

    def _hear(self, message: Message | None, files: list[int]) -> None:
        for file in files:
            os.close(file)
        if message is None:
            self._channel = None
            self._gone.set()
            self._fail_answers()
        elif message["is"] == "done":
            answer = self._answers.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(message["code"])
            return
        self.on_message(message)

    def _fail_answers(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(255)
        self._answers.clear()

    # files

    def fill(self, volumes: Mapping[str, Volume]) -> None:
        """Write the pod's volumes; emptyDirs are made once and left alone."""
        for volume in volumes.values():
            if volume.host_path:
                continue
            root = f"{self.place}/volumes/{volume.name}"
            there = self.cluster.here / root
            there.mkdir(parents=True, exist_ok=True)
            there.chmod(0o755 if volume.read_only else 0o777)
            for file in volume.files:
                self.cluster.write(f"{root}/{file.path}", file.data, file.mode)

    def _index(self, name: str) -> int:
        return self.names.index(name)

    def socket_dir(self, name: str) -> Path:
        """Where the container's socket to the node is."""
        path = self.cluster.here / self.place / "node" / str(self._index(name))
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log_path(self, name: str, attempt: int) -> Path:
        """The log of one attempt of a container."""
        return self.cluster.here / self.place / "logs" / f"{self._index(name)}.{attempt}"

    def _layer(self, name: str, attempt: int) -> str:
        return f"{self.place}/c/{self._index(name)}.{attempt}"

    def last_words(self, name: str, attempt: int, *, or_log: bool) -> str:
        """The container's termination message, or the end of its log."""
        path = self.cluster.here / self._layer(name, attempt) / "termination"
        with contextlib.suppress(OSError):
            if said := path.read_bytes()[:MAX_TERMINATION_BYTES]:
                return said.decode(errors="replace")
        if not or_log:
            return ""
        with contextlib.suppress(OSError):
            lines = self.log_path(name, attempt).read_bytes().split(b"\n")[-_FALLBACK_LINES - 1 :]
            texts = [line.split(b" ", 2)[2] for line in lines if line.count(b" ") >= 2]
            return b"\n".join(texts)[-_FALLBACK_BYTES:].decode(errors="replace")
        return ""

    # containers

    def start(self, name: str, attempt: int, command: Command, volumes: Mapping[str, Volume], shown: list[str]) -> None:
        """Start one attempt; "running", "failed" and "exited" come by message. `shown` are paths kept writable."""
        layer, work = self._layer(name, attempt), self.cluster.work
        self.cluster.write(f"{layer}/termination", b"", 0o666)
        mounts = [self._mount(mount, volumes[mount.volume]) for mount in command.mounts]
        words = {"source": f"{work}/{layer}/termination", "target": command.termination_path, "within": work}
        mounts.append({**words, "read_only": False, "host": False, "shown": command.termination_path})
        self.socket_dir(name)
        run = {
            "container": name,
            "attempt": attempt,
            "argv": command.argv,
            "env": command.env if self.cluster.isolation != "none" else self._plain_env(name, layer, command.env),
            "cwd": command.cwd,
            "mounts": mounts,
            "layer": f"{work}/{layer}",
            "writable": shown,
            "files": {"/etc/resolv.conf": self.resolver, "/etc/hostname": f"{self.hostname}\n"},
            "hosts": f"{work}/{self.hosts}",
            "shims": f"{work}/bin",
            "socket_dir": f"{work}/{self.place}/node/{self._index(name)}",
            "shm": f"{work}/{self.place}/shm",
            "log": f"{work}/{self.place}/logs/{self._index(name)}.{attempt}",
        }
        self.cluster.write(f"{layer}/run.json", json.dumps(run).encode(), 0o600)
        self._send({"do": "run", "file": f"{work}/{layer}/run.json"})
        if attempt >= 2:
            self._forget(name, attempt - 2)

    def _plain_env(self, name: str, layer: str, env: dict[str, str]) -> dict[str, str]:
        """Without mounts, what would be mounted is found by variables."""
        work, path = self.cluster.work, env.get("PATH", "")
        own = {"FLOWBATCH_NODE": f"{work}/{self.place}/node/{self._index(name)}/socket"}
        own["FLOWBATCH_VOLUMES"] = f"{work}/{self.place}/volumes"
        own["FLOWBATCH_TERMINATION"] = f"{work}/{layer}/termination"
        return {**env, "PATH": f"{work}/bin:{path}", **own}

    def _mount(self, mount: Mount, volume: Volume) -> Message:
        root = volume.host_path or f"{self.cluster.work}/{self.place}/volumes/{volume.name}"
        source = os.path.normpath(f"{root}/{mount.sub_path}")
        if mount.sub_path and not volume.host_path and not volume.files:
            inside = self.cluster.here / self.place / "volumes" / volume.name / mount.sub_path
            if not inside.exists():  # an init container may have left a file there
                inside.mkdir(parents=True)
        shown = source if volume.host_path else f"{volume.name}/{mount.sub_path}"
        return {"source": source, "target": mount.target, "read_only": mount.read_only} | {
            "host": bool(volume.host_path),
            "within": root,
            "shown": shown,
        }

    def _forget(self, name: str, attempt: int) -> None:
        self.cluster.remove(self._layer(name, attempt))
        for path in (self.log_path(name, attempt), Path(f"{self.log_path(name, attempt)}.1")):
            path.unlink(missing_ok=True)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the container's processes."""
        self._send({"do": "signal", "container": name, "signal": number})

    async def execute(self, name: str, argv: list[str]) -> int:
        """Run a command in a container, its output dropped; the shell's exit code, 255 when it could not be run."""
        null = os.open("/dev/null", os.O_RDWR)
        try:
            return await self._ask({"do": "exec", "container": name, "argv": argv}, (null, null, null))
        finally:
            os.close(null)

    async def probe(self, port: int, path: str | None, timeout_s: float, header: str = "") -> bool:
        """Whether something answers inside the pod; `header` is one line for the GET of `path`."""
        question = {"do": "probe", "host": self.ip, "port": port, "path": path, "seconds": timeout_s, "header": header}
        return await self._ask(question, ()) == 0

    async def _ask(self, question: Message, files: tuple[int, ...]) -> int:
        number = next(self._numbers)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        if not self._send({**question, "id": number}, files):
            self._answers.pop(number, None)
            return 255
        return await answer

    def hand_over(self, name: str, argv: list[str], files: list[int]) -> bool:
        """Run a command for someone in another pod: three files for it, the fourth to answer on."""
        order = {"do": "exec", "id": next(self._numbers), "container": name, "argv": argv}
        return self._send(order, tuple(files))

    def _send(self, message: Message, files: tuple[int, ...] = ()) -> bool:
        return self._channel is not None and self._channel.send(message, files)

    async def close(self) -> None:
        """Kill whatever is left and wait until it is gone; the logs stay."""
        if self._channel is not None:
            self._channel.send({"do": "quit"})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GONE_S):
                    await self._gone.wait()
        for name in ("c", "volumes", "shm", "node"):
            self.cluster.remove(f"{self.place}/{name}")

    def abandon(self) -> None:
        """Let go without waiting: the pod's first process ends everything when it notices."""
        if self._channel is not None:
            self._channel.close()

    def forget(self) -> None:
        """Remove the logs too."""
        self.cluster.remove(self.place)
