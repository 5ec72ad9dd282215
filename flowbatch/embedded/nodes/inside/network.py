"""The cluster's bridge and each pod's cable to it, by netlink (pyroute2), inside the cluster's network namespace.

A process of its own, because pyroute2 is far heavier than the interpreter that every pod is forked from. It serves
one request a connection: the name of the bridge's end of a cable, with the pod's network namespace as an open file.
"""

import os
import socket
import sys
from collections.abc import Callable

from pyroute2 import IPRoute

BRIDGE = "flowbatch0"
#: Without an address of its own a bridge takes the lowest of its cables', which changes as pods come and go, and
#: pods that know the gateway by its former address send their questions about names to nobody for half a minute.
BRIDGE_ADDRESS = "02:66:62:00:00:01"


def main(path: str, gateway: str, prefix: int, ready: int) -> None:
    """Make the bridge, then serve cables at `path` until killed; a byte on `ready` says that it can begin."""
    with IPRoute() as netlink, socket.socket(socket.AF_UNIX) as server:
        bridge = _make_bridge(netlink, gateway, prefix)
        server.bind(path)
        server.listen(256)
        os.write(ready, b"+")
        os.close(ready)
        while True:
            connection, _ = server.accept()
            with connection:
                _serve(connection, lambda name, netns: _plug(netlink, bridge, name, netns))


def _make_bridge(netlink: IPRoute, gateway: str, prefix: int) -> int:
    netlink.link("set", index=1, state="up")
    netlink.link("add", ifname=BRIDGE, kind="bridge", address=BRIDGE_ADDRESS, state="up")
    bridge = socket.if_nametoindex(BRIDGE)
    netlink.addr("add", index=bridge, address=gateway, prefixlen=prefix)
    return bridge


def _plug(netlink: IPRoute, bridge: int, name: str, netns: int) -> None:
    """A veth pair in one message: one end on the bridge, the other as eth0 in the pod."""
    peer = {"ifname": "eth0", "net_ns_fd": netns}
    netlink.link("add", ifname=name, kind="veth", master=bridge, state="up", peer=peer)


def _serve(connection: socket.socket, plug: Callable[[str, int], None]) -> None:
    name, files, _, _ = socket.recv_fds(connection, 64, 1)
    try:
        plug(name.decode(), files[0])
        connection.send(b"ok")
    except Exception as error:  # one loop, one place: the pod gets the story, the others their cables
        connection.send(f"cannot make the pod's network cable: {error}".encode()[:512])
    finally:
        for file in files:
            os.close(file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
