"""The cluster's first process: namespaces for all pods, then one fork per pod.

Started once per `ProcessNodes` with a lean interpreter. The outer process stays in the machine's namespaces only to
clean up; the inner one is pid 1 of the cluster's pid namespace, so its death is the death of every pod. It dies with
the node's process in two independent ways: the channel's end, and the kernel's parent-death signal.
"""
# pathlib would double what every pod's first process loads.
# ruff: noqa: PTH102, PTH108, PTH112

import gc
import json
import os
import shutil
import signal
import socket
import sys
from types import FrameType

from flowbatch.embedded.nodes.inside import linux, plain, wire
from flowbatch.embedded.nodes.inside.layout import Layout
from flowbatch.embedded.nodes.inside.supervisor import Supervisor
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.embedded.nodes.inside.worlds import Isolated

_NAME_SERVER_PORT = 53


def main() -> None:
    """Entry point; the options are one JSON argument, the channel is an inherited file."""
    options: Message = json.loads(sys.argv[1])
    channel = socket.socket(fileno=options["channel"])
    if options["isolation"] == "none":
        plain.serve(channel, options)
        return
    try:
        if options["isolation"] == "user":
            linux.enter_user_namespace()
        linux.unshare(linux.NEWPID)
    except OSError as error:
        _report(channel, {"error": str(error)})
        return
    linux.die_with_parent(signal.SIGTERM)
    parent_alive = os.getppid() == options["parent"]
    inner = os.fork() if parent_alive else 0
    if inner == 0:
        if parent_alive:
            _serve(channel, options)
        os._exit(0)
    channel.close()
    signal.signal(signal.SIGTERM, lambda *_: os.kill(inner, signal.SIGKILL))
    os.waitpid(inner, 0)
    shutil.rmtree(options["work"], ignore_errors=True)


def _serve(channel: socket.socket, options: Message) -> None:
    """The inner process: set up, report, fork pods until the channel ends."""
    linux.die_with_parent(signal.SIGKILL)
    try:
        layout, files = _set_up(options)
    except OSError as error:
        _report(channel, {"error": str(error)})
        return
    if not _report(channel, {"ready": True}, tuple(files)):
        return
    for file in files:
        os.close(file)
    signal.signal(signal.SIGCHLD, _reap)
    gc.collect()
    gc.freeze()  # keeps the shared pages shared: the collector would touch every one in every pod
    while True:
        message, files = wire.receive(channel)
        if message is None:
            return
        if os.fork() == 0:
            channel.close()
            if message["do"] == "remove":
                _remove(f"{layout.work}/{message['path']}")
            _become_pod(layout, socket.socket(fileno=files[0]), message)
        for file in files:
            os.close(file)


def _report(channel: socket.socket, message: Message, files: tuple[int, ...] = ()) -> bool:
    """Tell the node; False when it gave up meanwhile."""
    try:
        wire.send(channel, message, files)
    except OSError:
        return False
    return True


def _remove(path: str) -> None:
    """Delete what a pod left, with the rights that made it. Never returns."""
    try:
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    finally:
        os._exit(0)


def _reap(number: int, frame: FrameType | None) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _set_up(options: Message) -> tuple[Layout, list[int]]:
    """Everything pods share: private mounts, work directory, bridge, the name server's socket."""
    linux.unshare(linux.NEWNS | linux.NEWNET | linux.NEWUTS | linux.NEWIPC)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    work = options["work"]
    if not options["disk"]:
        linux.mount("flowbatch", work, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=700")
    for name in ("pods", "hosts", "bin"):
        os.mkdir(f"{work}/{name}")
    layout = Layout(work, user_namespace=options["isolation"] == "user")
    layout.survey()
    _start_network(options)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    names.bind((options["gateway"], _NAME_SERVER_PORT))
    return layout, [os.open(work, os.O_RDONLY | os.O_DIRECTORY), names.detach()]


def _start_network(options: Message) -> None:
    ready, write_end = os.pipe()
    if os.fork() == 0:
        os.set_inheritable(write_end, True)
        linux.die_with_parent(signal.SIGKILL)
        code = "import sys; sys.path.extend(sys.argv[5:]); from flowbatch.embedded.nodes.inside.network import main; "
        code += "main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
        arguments = [f"{options['work']}/network", options["gateway"], str(options["prefix"]), str(write_end)]
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", code, *arguments, *options["sites"]])  # noqa: S606
    os.close(write_end)
    if not os.read(ready, 1):
        raise OSError("the network's process did not start (is pyroute2 installed?)")
    os.close(ready)


def _become_pod(layout: Layout, channel: socket.socket, pod: Message) -> None:
    """Two forks: the first enters new namespaces, the second is the first process in them. Never returns."""
    try:
        linux.unshare(linux.NEWPID | linux.NEWNS | linux.NEWNET | linux.NEWUTS | linux.NEWIPC)
        if os.fork() == 0:
            Supervisor(channel, Isolated(layout, own_proc=_furnish(layout, pod, channel))).run()
    except OSError as error:
        wire.send(channel, {"is": "broken", "message": str(error)})
    finally:
        os._exit(0)


def _furnish(layout: Layout, pod: Message, channel: socket.socket) -> bool:
    """Host name, network and /proc of the pod; whether /proc is the pod's own."""
    socket.sethostname(pod["hostname"])
    linux.bring_up("lo")
    _plug_in(f"{layout.work}/network", pod["cable"])
    linux.bring_up("eth0", pod["ip"], pod["netmask"])
    try:
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        own_proc = True
    except OSError:
        own_proc = False  # inside a container that masks /proc: the kernel refuses to show a fresh one
    wire.send(channel, {"is": "ready"})
    return own_proc


def _plug_in(path: str, cable: str) -> None:
    netns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX) as network:
        network.connect(path)
        socket.send_fds(network, [cable.encode()], [netns])
        answer = network.recv(1024)
    os.close(netns)
    if answer != b"ok":
        raise OSError(answer.decode(errors="replace") or "the network's process is gone")
