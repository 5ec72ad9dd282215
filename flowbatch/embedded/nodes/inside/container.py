"""From a forked child to a container's command: private mounts, then exec."""
# pathlib would double what every pod's first process loads.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH119, PTH120, PTH208, PTH211

import os
import signal
import socket
import sys

from flowbatch.embedded.nodes.inside import linux
from flowbatch.embedded.nodes.inside.layout import Layout
from flowbatch.embedded.nodes.inside.wire import Message

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kfd", "dri", "infiniband", "nvidia-uvm")
_DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_SHIMS = ("/usr/bin/ssh", "/usr/sbin/sshd")
_WRITABLE = ("/tmp", "/var/tmp", "/run", "/run/flowbatch")  # noqa: S108  (inside the container)
#: What `docker` and friends report for a command that cannot be started.
CANNOT_START = 128


class BadMount(OSError):
    """A volume mount that cannot be made, in words for the pod's author."""


def become(layout: Layout, run: Message, report: socket.socket) -> None:
    """Turn this process into the container `run` describes; never returns. Failures go to `report`."""
    stage = "CreateContainerError"
    try:
        os.setsid()
        linux.unshare(linux.NEWNS)
        root = _build(layout, run)
        linux.pivot_into(root)
        _send_mounts(report)
        if not layout.user_namespace:
            linux.drop_capabilities()
        stage = "StartError"
        execute(run["argv"], run["env"], run["cwd"])
    except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
        report.send(f"{stage}\n{error}".encode()[:4096])
    finally:
        os._exit(CANNOT_START)


def become_plain(run: Message, report: socket.socket) -> None:
    """Turn this process into the container's command with the machine's own files; never returns."""
    try:
        os.setsid()
        if sys.platform.startswith("linux"):
            linux.die_with_parent(signal.SIGKILL)
        execute(run["argv"], run["env"], run["cwd"])
    except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
        report.send(f"StartError\n{error}".encode()[:4096])
    finally:
        os._exit(CANNOT_START)


def _send_mounts(report: socket.socket) -> None:
    """Hand over the mount namespace, so that commands can join it later."""
    fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    socket.send_fds(report, [b"mounts"], [fd])
    os.close(fd)


def execute(argv: list[str], env: dict[str, str], cwd: str) -> None:
    """Exec `argv` in `cwd` with this environment only. Raises OSError that names the command or the directory."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # an ignored signal would stay ignored across exec
    try:
        os.chdir(cwd)
    except OSError as error:
        raise OSError(error.errno, f"cannot enter working directory {cwd!r}: {os.strerror(error.errno or 0)}") from None
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606  (running the pod's command is the point)
    except OSError as error:
        why = "not found in $PATH" if error.errno == 2 and "/" not in argv[0] else os.strerror(error.errno or 0)
        raise OSError(error.errno, f"exec {argv[0]!r}: {why}") from None


def _build(layout: Layout, run: Message) -> str:
    layer = run["layer"]
    mounts = sorted(run["mounts"], key=lambda mount: (mount["target"].count("/"), mount["target"]))
    for path in (*_WRITABLE, *run["writable"]):
        if os.path.isdir(path) or path in _WRITABLE:
            layout.prepare(path, layer, directory=True)
    for path in _SHIMS:
        layout.link(path, f"/run/flowbatch/bin/{os.path.basename(path)}", layer)
    for path, text in run["files"].items():
        layout.write(path, text, layer)
    layout.prepare("/etc/hosts", layer, directory=False)
    shadows = [shadow for mount in mounts if (shadow := _reserve(layout, mount, layer))]
    root = layout.mount(layer)
    _add_system(root, run, hardened=not layout.user_namespace)
    for shadow in dict.fromkeys(shadows):
        linux.mount("shadow", root + shadow, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=700")
    for mount in mounts:
        _bind(root, mount, [other["target"] for other in mounts if other["host"]])
    return root


def _reserve(layout: Layout, mount: Message, layer: str) -> str | None:
    """Make the mount's target in the private layer; or name the unreadable directory that must be hidden first."""
    target = os.path.normpath("/" + mount["target"])
    if target.startswith(("/dev/", "/run/flowbatch/")):
        return None  # made when these are there
    if target == "/" or target.startswith(("/proc", "/sys")):
        raise BadMount(22, f"cannot mount a volume at {target}")
    parts = target.split("/")
    for depth in range(2, len(parts)):
        parent = "/".join(parts[:depth])
        if os.path.isdir(parent) and not os.access(parent, os.X_OK, effective_ids=True):
            return os.path.realpath(parent)
    mount["target"] = layout.prepare(target, layer, directory=os.path.isdir(mount["source"]))
    return None


def _bind(root: str, mount: Message, host_targets: list[str]) -> None:
    target, source = root + os.path.normpath("/" + mount["target"]), mount["source"]
    if not os.path.exists(source):
        raise BadMount(2, f"volume path {mount['shown']} does not exist")
    if not mount["host"] and not f"{os.path.realpath(source)}/".startswith(f"{os.path.realpath(mount['within'])}/"):
        raise BadMount(1, f"volume path {mount['shown']} leads out of its volume")
    if not os.path.lexists(target):
        if any(mount["target"].startswith(host + "/") for host in host_targets):
            raise BadMount(2, f"{mount['target']} does not exist in the hostPath volume it lies in")
        os.makedirs(target if os.path.isdir(source) else os.path.dirname(target), exist_ok=True)
        if not os.path.isdir(source):
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    linux.bind(source, target, recursive=mount["host"])
    if mount["read_only"]:
        linux.bind_read_only(target)


def _add_system(root: str, run: Message, *, hardened: bool) -> None:
    """/proc of the pod, /sys for reading, a small /dev, names and shims."""
    linux.bind("/proc", root + "/proc", recursive=True)
    if hardened:
        for name in filter(os.path.exists, ("/proc/sys", "/proc/sysrq-trigger")):
            linux.bind(name, root + name)
            linux.bind_read_only(root + name)
    try:
        linux.mount("sysfs", root + "/sys", "sysfs", linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV)
    except OSError:
        linux.bind("/sys", root + "/sys", recursive=True)
    _add_devices(root + "/dev", run["shm"])
    linux.bind(run["hosts"], root + os.path.realpath("/etc/hosts"))
    for name in ("bin", "node"):
        os.makedirs(f"{root}/run/flowbatch/{name}", exist_ok=True)
    linux.bind(run["shims"], root + "/run/flowbatch/bin")
    linux.bind(run["socket_dir"], root + "/run/flowbatch/node")


def _add_devices(dev: str, shm: str) -> None:
    linux.mount("dev", dev, "tmpfs", linux.MS_NOSUID, "mode=755,size=1m")
    names = [name for name in os.listdir("/dev") if name in _DEVICES or name.startswith("nvidia")]
    for name in names:
        if os.path.isdir(f"/dev/{name}"):
            os.mkdir(f"{dev}/{name}")
        else:
            os.close(os.open(f"{dev}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        linux.bind(f"/dev/{name}", f"{dev}/{name}", recursive=True)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    os.mkdir(f"{dev}/pts")
    linux.mount(
        "devpts", f"{dev}/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"
    )
    os.mkdir(f"{dev}/shm")
    linux.bind(shm, f"{dev}/shm")
