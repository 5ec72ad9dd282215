"""Messages between the node and its pods: one JSON object a datagram, with open files beside it.

A SOCK_SEQPACKET pair keeps message boundaries and carries files (SCM_RIGHTS), so that a remote command simply inherits
the caller's own stdin, stdout and stderr.
"""

import json
import socket
from typing import Any

#: Larger things (environments, volumes) go through files in the pod's directory.
MAX_BYTES = 128 * 1024
MAX_FILES = 8

Message = dict[str, Any]


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: Message, files: tuple[int, ...] = ()) -> None:
    """Send one message. Raises OSError when the other end is gone."""
    socket.send_fds(channel, [json.dumps(message, separators=(",", ":")).encode()], list(files))


def receive(channel: socket.socket) -> tuple[Message | None, list[int]]:
    """The next message and its files; None when the other end is gone."""
    data, files, _, _ = socket.recv_fds(channel, MAX_BYTES, MAX_FILES)
    return (json.loads(data) if data else None), files
