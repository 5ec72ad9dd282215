"""The Linux calls that Python 3.11 lacks: namespaces, mounts, capabilities, death with the parent.

Each raises OSError with the call's name and arguments: "EPERM" alone tells nobody which of thirty mounts failed.
"""
# pathlib would double what every pod's first process loads.

import ctypes
import fcntl
import os
import socket
import struct

_libc = ctypes.CDLL(None, use_errno=True)

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217, "armv7l": 218}

#: What a container keeps of power where pods run as real root: chown, dac_override, fowner, fsetid, kill, setgid,
#: setuid, setpcap, net_bind_service, net_raw, sys_chroot, audit_write, setfcap. No mknod: /dev is the machine's disks.
_KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})
_LAST_CAPABILITY = 63

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_IFF_UP = 0x1


def _check(result: int, call: str, *arguments: object) -> None:
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}{arguments}: {os.strerror(error)}")


def unshare(flags: int) -> None:
    """Leave the shared namespaces named by `flags` for new ones."""
    _check(_libc.unshare(flags), "unshare", hex(flags))


def setns(fd: int, kind: int = 0) -> None:
    """Enter the namespace behind `fd`."""
    _check(_libc.setns(fd, kind), "setns", fd, hex(kind))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), os.fsencode(options)
    )
    _check(result, "mount", source, target, kind, hex(flags), options)


def bind(source: str, target: str, *, recursive: bool = False) -> None:
    """Make `source` appear at `target`."""
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))


def bind_read_only(target: str) -> None:
    """Make an existing bind mount read-only, keeping the flags that a user namespace may not drop."""
    flags = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def detach(target: str) -> None:
    """Unmount `target` lazily."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), "umount2", target)


def pivot_into(root: str) -> None:
    """Make `root` this process's whole file system; the old one is gone from view."""
    os.chdir(root)
    number = _SYS_PIVOT_ROOT.get(os.uname().machine, 41)
    _check(_libc.syscall(number, b".", b"."), "pivot_root", root)
    detach(".")
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """Get `signal_number` when the parent dies. Entering a user namespace clears this: call it afterwards."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl", "PDEATHSIG")


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent died."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl", "SUBREAPER")


def drop_capabilities() -> None:
    """Give up, for everything executed from here on, what a container does not need."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in _KEPT_CAPABILITIES and _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == -1:
            return  # past the last capability this kernel knows


def bring_up(interface: str, address: str = "", netmask: str = "") -> None:
    """Give `interface` an IPv4 address, if one is named, and switch it on."""
    name = interface.encode().ljust(16, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, netmask)):
            if value:
                packed = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, packed.ljust(40, b"\0"))
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, name.ljust(40, b"\0"))
        flags = struct.unpack_from("16sH", answer)[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", name, flags | _IFF_UP))


def enter_user_namespace() -> None:
    """Become root of a user namespace of one's own."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
