"""Messages between the node and its pods: one JSON object a datagram, with open files beside it.

A SOCK_SEQPACKET pair keeps message boundaries and carries files (SCM_RIGHTS), so that a remote command simply inherits
the caller's own stdin, stdout and stderr.
"""

import json
import os
import socket
import struct
import sys
from typing import Any

#: Larger things (environments, volumes) go through files in the pod's directory.
MAX_BYTES = 128 * 1024
MAX_FILES = 8

Message = dict[str, Any]


#: Off Linux there are no packet sockets of this family: there, a length precedes each message.
PACKETS = sys.platform.startswith("linux")
KIND = socket.SOCK_SEQPACKET if PACKETS else socket.SOCK_STREAM
_LENGTH = struct.Struct(">I")
#: A message that was begun is finished at once; who stops in the middle is cut off.
_REST_S = 1.0


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, KIND)


def send(channel: socket.socket, message: Message, files: tuple[int, ...] = ()) -> None:
    """Send one message. Raises OSError when the other end is gone."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if channel.type != socket.SOCK_SEQPACKET:
        data = _LENGTH.pack(len(data)) + data
    socket.send_fds(channel, [data], list(files))


def receive(channel: socket.socket) -> tuple[Message | None, list[int]]:
    """The next message and its files; None when the other end is gone."""
    if channel.type == socket.SOCK_SEQPACKET:
        data, files = _receive(channel, MAX_BYTES)
        return (json.loads(data) if data else None), files
    head, files = _receive(channel, _LENGTH.size)
    return (_rest_of(channel, head) if head else None), files


def _receive(channel: socket.socket, size: int) -> tuple[bytes, list[int]]:
    data, files, _, _ = socket.recv_fds(channel, size, MAX_FILES)
    for file in files:
        os.set_inheritable(file, False)  # received files are not, unlike opened ones; a pod must not get ours
    return data, files


def _rest_of(channel: socket.socket, head: bytes) -> Message:
    patience_s = channel.gettimeout()
    channel.settimeout(_REST_S)
    try:
        head += _exactly(channel, _LENGTH.size - len(head))
        size = _LENGTH.unpack(head)[0]
        if size > MAX_BYTES:
            raise OSError(f"a message of {size} bytes")
        message: Message = json.loads(_exactly(channel, size))
        return message
    finally:
        channel.settimeout(patience_s)


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            raise OSError("cut off in the middle of a message")
        data += piece
    return data
