"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager.

Binaries come from `KUBEBUILDER_ASSETS`, or are built once from the Go module beside this file and cached outside the
tree. `etcd="3.4"` takes Debian's older etcd instead, which cannot serve WatchList.
"""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TOOLS = Path(__file__).parent / "tools"
#: What is built, and the version that names the cache folder; keep in step with tools/go.mod.
PROGRAMS = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "etcd": "./etcd",
}
VERSION = "kubernetes-1.36.1-etcd-3.6.8"
TOKEN = "loopback-test-token"
CONTROLLERS = (
    "garbage-collector-controller,namespace-controller,serviceaccount-controller,deployment-controller,"
    "replicaset-controller,job-controller,disruption-controller,root-ca-certificate-publisher-controller,"
    "pod-garbage-collector-controller,statefulset-controller,daemonset-controller,replicationcontroller-controller,"
    "resourceclaim-controller"
)
START_TIMEOUT_S = 90.0


class RigUnavailable(Exception):
    """The control plane cannot be had here, and why."""


def binaries() -> Path:
    """The folder with kube-apiserver, kube-controller-manager and etcd; built on first use."""
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        return Path(given)
    folder = _cache() / VERSION
    missing = [name for name in PROGRAMS if not (folder / name).exists()]
    if missing and shutil.which("go") is None:
        raise RigUnavailable("neither KUBEBUILDER_ASSETS nor Go is here")
    folder.mkdir(parents=True, exist_ok=True)
    for name in missing:
        print(f"building {name} (once; minutes)", file=sys.stderr, flush=True)
        target = folder / f".{name}.partial"
        command = ["go", "build", "-o", str(target), PROGRAMS[name]]
        subprocess.run(command, cwd=TOOLS, check=True, env={**os.environ, "CGO_ENABLED": "0"})
        target.rename(folder / name)
    return folder


def debian_etcd() -> Path:
    """Debian's etcd 3.4, unpacked from its package into the cache without installing it."""
    folder = _cache() / "debian-etcd-3.4"
    program = folder / "usr/bin/etcd"
    if not program.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise RigUnavailable("Debian's etcd-server package cannot be had here")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        done = subprocess.run(["apt-get", "download", "-qq", "etcd-server"], cwd=folder, check=False)
        package = next(folder.glob("etcd-server_3.4*.deb"), None)
        if done.returncode or package is None:
            raise RigUnavailable("Debian offers no etcd-server 3.4 here")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return program


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowbatch"


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane."""

    url: str
    kubeconfig: Path
    folder: Path

    @property
    def audit_log(self) -> Path:
        """One JSON line per finished request, when started with `audit=True`."""
        return self.folder / "audit.log"


@contextlib.contextmanager
def control_plane(
    *,
    etcd: str = "3.6",
    audit: bool = False,
    controllers: bool = True,
    prepare: Callable[[ControlPlane], None] | None = None,
) -> Iterator[ControlPlane]:
    """Start everything, yield once ready, stop everything in reverse order.

    CRDs belong into `prepare`, which runs before kube-controller-manager starts: its garbage collector looks for new
    kinds every thirty seconds only, and until it knows Jobs it collects none of their pods.
    """
    programs = binaries()
    etcd_program = debian_etcd() if etcd == "3.4" else programs / "etcd"
    with contextlib.ExitStack() as stack:
        # In memory where that is possible: the tests ask about flowbatch, not about this disk.
        shm = Path("/dev/shm")
        folder = Path(tempfile.mkdtemp(prefix="flowbatch-rig-", dir=shm if os.access(shm, os.W_OK) else None))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        etcd_url = _start_etcd(stack, etcd_program, folder)
        plane = _start_apiserver(stack, programs / "kube-apiserver", folder, etcd_url, audit)
        if prepare is not None:
            prepare(plane)
        if controllers:
            _start_controllers(stack, programs / "kube-controller-manager", folder, plane)
        yield plane


def _start_etcd(stack: contextlib.ExitStack, program: Path, folder: Path) -> str:
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    flags = {
        "data-dir": folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    fsync = [] if "debian" in str(program) else ["--unsafe-no-fsync"]
    _spawn(stack, program, flags, folder, extra=fsync)
    _wait(f"{client}/health", folder / "etcd.log")
    return client


def _start_apiserver(
    stack: contextlib.ExitStack, program: Path, folder: Path, etcd_url: str, audit: bool
) -> ControlPlane:
    (port,) = free_ports(1)
    _write_credentials(folder)
    flags = {
        "etcd-servers": etcd_url,
        "secure-port": port,
        "bind-address": "127.0.0.1",
        "cert-dir": folder / "certs",
        "service-cluster-ip-range": "10.96.0.0/16",
        "service-account-issuer": "https://flowbatch.test",
        "service-account-key-file": folder / "sa.pub",
        "service-account-signing-key-file": folder / "sa.key",
        "token-auth-file": folder / "tokens.csv",
        "authorization-mode": "RBAC",
        # ServiceAccount would hold pods back until a token exists; nodes are made Ready by flowbatch itself.
        "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition",
        "enable-priority-and-fairness": "false",
        "max-requests-inflight": "1000",
        "max-mutating-requests-inflight": "1000",
    }
    if audit:
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
        (folder / "policy.yaml").write_text(yaml.safe_dump({**policy, "rules": [{"level": "Metadata"}]}))
        flags |= {"audit-policy-file": folder / "policy.yaml", "audit-log-path": folder / "audit.log"}
    _spawn(stack, program, flags, folder)
    url = f"https://127.0.0.1:{port}"
    _wait(f"{url}/readyz", folder / "kube-apiserver.log")
    _write_kubeconfig(folder, url)
    return ControlPlane(url, folder / "kubeconfig", folder)


def _start_controllers(stack: contextlib.ExitStack, program: Path, folder: Path, plane: ControlPlane) -> None:
    (port,) = free_ports(1)
    flags = {
        "kubeconfig": plane.kubeconfig,
        "secure-port": port,
        "bind-address": "127.0.0.1",
        "cert-dir": folder / "kcm-certs",
        "controllers": CONTROLLERS,
        "leader-elect": "false",
        "service-account-private-key-file": folder / "sa.key",
        "kube-api-qps": "500",
        "kube-api-burst": "500",
    }
    _spawn(stack, program, flags, folder)
    _wait(f"https://127.0.0.1:{port}/healthz", folder / "kube-controller-manager.log")


def _write_credentials(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "sa.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    public = key.public_key()
    (folder / "sa.pub").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")


def _write_kubeconfig(folder: Path, url: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "rig",
                "cluster": {"server": url, "certificate-authority": str(folder / "certs" / "apiserver.crt")},
            }
        ],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "admin"}}],
        "current-context": "rig",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))


def _spawn(
    stack: contextlib.ExitStack, program: Path, flags: dict[str, object], folder: Path, extra: list[str] | None = None
) -> None:
    command = [str(program), *(f"--{name}={value}" for name, value in flags.items()), *(extra or [])]
    with open(folder / f"{program.name}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    stack.callback(_stop, process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        # kube-apiserver drains for ten seconds; nobody is connected any more.
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(url: str, log: Path) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(request, timeout=2, context=context) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise RigUnavailable(f"{url} did not become ready:\n" + log.read_text(errors="replace")[-3000:])


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
