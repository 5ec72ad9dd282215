"""A whole cluster on this machine for as long as a block of code lasts.

It is `flowbatch up` in a child process, so that a busy notebook never starves the scheduler. The child dies with this
process: the kernel sees to it (PR_SET_PDEATHSIG), even when this process is killed.
"""

import atexit
import contextlib
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from flowbatch.errors import FlowbatchError
from flowbatch_dsl import guard
from flowbatch_dsl.clusters import OPEN, Cluster

#: How long `up` may take to say `ready`, and to stop.
START_S, STOP_S = 60.0, 15.0
#: Run by its path, so that nothing is imported before it has asked the kernel for its promise.
_CHILD = Path(__file__).with_name("child.py")


class LocalCluster:
    """`with LocalCluster(nodes=4, cpus=2) as here: job.submit(here)`; also `async with`, or `start()` and `stop()`.

    Each node has `cpus` cores and `memory`. Pods run as real processes of this machine; with `simulate`, nodes only
    play them on the clock. `images` says what a container of an image runs if it names no command. The kubeconfig
    (`kubeconfig`) is private to this user and gone afterwards.
    """

    def __init__(
        self,
        nodes: int = 4,
        cpus: int | str = 2,
        memory: str = "4Gi",
        *,
        simulate: bool = False,
        images: Mapping[str, Sequence[str]] | None = None,
        port: int = 0,
    ) -> None:
        pairs = [f"{name}={shlex.join(command)}" for name, command in (images or {}).items()]
        self._flags = ["--nodes", str(nodes), "--cpus", str(cpus), "--memory", memory, "--port", str(port)]
        self._flags += [word for pair in pairs for word in ("--image", pair)] + (["--simulate"] if simulate else [])
        self._title = f"a local cluster of {nodes} nodes with {cpus} cpu and {memory} each"
        self._child: _Child | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def kubeconfig(self) -> Path:
        """For kubectl and other clients: `KUBECONFIG=...`. Raises FlowbatchError while the cluster is not running."""
        if self._folder is None:
            raise FlowbatchError("the local cluster is not running: use `with LocalCluster() as here`, or start()")
        return Path(self._folder.name) / "kubeconfig"

    @property
    def cluster(self) -> Cluster:
        """What verbs that take a cluster need to know of it."""
        return Cluster(kubeconfig=str(self.kubeconfig), title=self._title)

    def start(self) -> Self:
        """Start it and wait until jobs can run. Starting it twice is fine."""
        if self._child is not None:
            return self
        guard.check("starts a LocalCluster")
        self._folder = tempfile.TemporaryDirectory(prefix="flowbatch-")
        self._child = _Child(["up", "--kubeconfig", str(self.kubeconfig), *self._flags])
        atexit.register(self.stop)
        try:
            self._child.wait_ready()
        except BaseException:
            self.stop()
            raise
        OPEN.append(self.cluster)
        return self

    def stop(self) -> None:
        """Stop it with everything that runs on it. Stopping it twice is fine."""
        child, self._child = self._child, None
        folder = self._folder
        if child is None or folder is None:
            return
        atexit.unregister(self.stop)
        with contextlib.suppress(ValueError):
            OPEN.remove(self.cluster)
        child.stop()
        folder.cleanup()
        self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        import anyio

        return await anyio.to_thread.run_sync(self.start)

    async def __aexit__(self, *_: object) -> None:
        import anyio

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    def __repr__(self) -> str:
        return f"<LocalCluster {'running' if self._child else 'stopped'}: {self._title}>"


class _Child:
    """`flowbatch` with some arguments, as a child that dies with us, and the last lines it said."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._said: deque[str] = deque(maxlen=40)
        self._events: queue.Queue[subprocess.Popen[str] | str | None] = queue.Queue()
        # The kernel's promise is tied to the thread that forks. This one lives as long as the child.
        self._keeper = threading.Thread(target=self._keep, args=(list(arguments),), daemon=True, name="flowbatch-up")
        self._keeper.start()
        started = self._events.get()
        assert isinstance(started, subprocess.Popen)
        self.process = started

    def _keep(self, arguments: list[str]) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        process = subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, str(_CHILD), str(os.getpid()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(_python_path())},
            start_new_session=True,
        )
        self._events.put(process)
        assert process.stdout is not None
        for line in process.stdout:
            self._said.append(line.rstrip("\n"))
            if line.strip() == "ready":
                self._events.put("ready")
        process.wait()
        self._events.put(None)

    def wait_ready(self) -> None:
        """Wait for the line `ready`. Raises FlowbatchError, with what the child said, if it does not come."""
        try:
            event = self._events.get(timeout=START_S)
        except queue.Empty:
            event = None
        if event is None:
            ended = self.process.poll()
            how = f"ended with exit code {ended}" if ended is not None else f"did not start in {START_S:.0f} s"
            raise FlowbatchError("\n".join([f"flowbatch up {how}:", *(f"  {line}" for line in self._said)]))

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not listen."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._keeper.join(STOP_S)


def _python_path() -> list[str]:
    """Where this process finds its modules, so that the child finds the same ones."""
    return [entry for entry in sys.path if entry]
