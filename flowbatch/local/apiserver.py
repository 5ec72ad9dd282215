"""The API server of `flowbatch up`, in a process of its own: two cores serve a cluster better than one.

`python -m flowbatch.local.apiserver KUBECONFIG PORT` says on one line of JSON where it listens, or what went wrong, and
serves until its standard input ends. The parent holds the other end: however the parent dies, the kernel closes it.

kubectl and everybody else come by TLS on loopback; the parent's own components come by a unix socket in a private
folder, with the same token: TLS between two processes of one user protects nothing and costs a tenth of a pod.
"""

import asyncio
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Final

import anyio
import msgspec
from anyio.abc import Process

from flowbatch.errors import FlowbatchError

#: How long either side waits for the other's clean end.
STOP_S: Final = 5.0


class Listening(msgspec.Struct, frozen=True):
    """What the child says: where it listens, or the error that kept it from doing so."""

    url: str = ""
    socket: str = ""
    error: str = ""


class ServerProcess:
    """The running child."""

    def __init__(self, process: Process, at: Listening) -> None:
        self.at = at
        self._process = process

    async def watch(self) -> None:
        """Never returns. Raises FlowbatchError when the server ends by itself."""
        code = await self._process.wait()
        raise FlowbatchError(f"the API server ended by itself (exit code {code})")


@asynccontextmanager
async def served(kubeconfig: Path, port: int) -> AsyncIterator[ServerProcess]:
    """An API server that is ready, with flowbatch's kinds and rules. Raises FlowbatchError where it cannot start."""
    command = [sys.executable, "-m", "flowbatch.local.apiserver", str(kubeconfig), str(port)]
    # A session of its own: Ctrl-C is for the parent, which ends the server last.
    process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None, start_new_session=True)
    try:
        yield ServerProcess(process, await _said(process))
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _said(process: Process) -> Listening:
    assert process.stdout is not None
    text = b""
    with suppress(anyio.EndOfStream):
        while not text.endswith(b"\n"):
            text += await process.stdout.receive()
    if not text:
        raise FlowbatchError(f"the API server did not start (exit code {await process.wait()})")
    at = msgspec.json.decode(text, type=Listening)
    if at.error:
        raise FlowbatchError(f"the API server did not start: {at.error}")
    return at


async def _end(process: Process) -> None:
    assert process.stdin is not None
    await process.stdin.aclose()
    with anyio.move_on_after(STOP_S):
        await process.wait()
        return
    process.kill()
    await process.wait()


# -- the child


async def serve(kubeconfig: Path, port: int) -> None:
    """Serve until standard input ends."""
    from flowbatch.admission.admit import admit
    from flowbatch.admission.crds import crds
    from flowbatch.embedded.apiserver import ApiServer
    from flowbatch.embedded.controllers import EmbeddedControllers
    from flowbatch.runtime import memory

    parent_gone = asyncio.Event()
    _when_input_ends(asyncio.get_running_loop(), parent_gone)
    with tempfile.TemporaryDirectory(prefix="flowbatch-api-") as folder:
        path = str(Path(folder) / "socket")
        async with ApiServer(port=port, admit=[admit], socket=path) as server, anyio.create_task_group() as tasks:
            for crd in crds():
                await server.install(crd)
            server.write_kubeconfig(kubeconfig)
            tasks.start_soon(EmbeddedControllers(server, volumes=Path(folder) / "volumes").run)
            memory.settle()
            _say(Listening(server.url, path))
            await parent_gone.wait()
            tasks.cancel_scope.cancel()


def _when_input_ends(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)
        loop.call_soon_threadsafe(event.set)
        # A loop that no longer turns must not outlive the parent either.
        threading.Event().wait(STOP_S)
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="parent").start()


def _say(what: Listening) -> None:
    with suppress(BrokenPipeError):
        print(msgspec.json.encode(what).decode(), flush=True)


def main() -> int:
    """The child's entry point."""
    import uvloop

    try:
        uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
    except OSError as error:
        _say(Listening(error=str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
