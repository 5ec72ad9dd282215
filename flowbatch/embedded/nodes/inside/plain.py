"""The first process where namespaces are forbidden: the same service, one supervisor a pod, nothing isolated."""

import contextlib
import os
import shutil
import signal
import socket
import sys

from flowbatch.embedded.nodes.inside import linux, wire
from flowbatch.embedded.nodes.inside.supervisor import Supervisor
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.embedded.nodes.inside.worlds import Plain


def serve(channel: socket.socket, options: Message) -> None:
    """Fork a supervisor for each pod until the channel ends; the pods then end by their own channels."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps; the pods report by channel
    wire.send(channel, {"ready": True})
    while True:
        message, files = wire.receive(channel)
        if message is None:
            break
        if message["do"] == "remove":
            path = f"{options['work']}/{message['path']}"
            shutil.rmtree(path, ignore_errors=True)
        elif os.fork() == 0:
            channel.close()
            _become_pod(socket.socket(fileno=files[0]))
        for file in files:
            os.close(file)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, 0)  # with SIGCHLD ignored this waits for every pod
    shutil.rmtree(options["work"], ignore_errors=True)


def _become_pod(channel: socket.socket) -> None:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if sys.platform.startswith("linux"):
            linux.adopt_orphans()
        wire.send(channel, {"is": "ready"})
        Supervisor(channel, Plain()).run()
    finally:
        os._exit(0)
