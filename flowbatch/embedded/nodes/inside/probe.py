"""Is something listening? Asked from inside the pod's network, by a short-lived child."""

import os
import socket

from flowbatch.embedded.nodes.inside.wire import Message

_OK_FROM, _OK_BELOW = 200, 400


def become(order: Message) -> None:
    """Ask once and exit 0 for yes, 1 for no; never returns."""
    code = 1
    try:
        asked = ask(order["host"], order["port"], order.get("path"), order.get("seconds", 1), order.get("header", ""))
        code = 0 if asked else 1
    except (OSError, ValueError):
        code = 1
    finally:
        os._exit(code)


def ask(host: str, port: int, path: str | None, timeout_s: float, header: str = "") -> bool:
    """Whether a TCP connection opens and, where `path` is given, a GET of it is answered with 2xx or 3xx."""
    lines = [f"GET {path} HTTP/1.0", f"Host: {host}", "User-Agent: kube-probe/flowbatch", *([header] if header else [])]
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        if path is None:
            return True
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = connection.makefile("rb").readline(256).split()
        return len(status) > 1 and _OK_FROM <= int(status[1]) < _OK_BELOW
