"""Which cluster the tests run on (`--on`), a namespace for each, and a count of those that cannot run there."""

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flowbatch.api.meta import JsonObject
from tests.apiserver import rig
from tests.cluster import world
from tests.cluster.volcano_crds import volcano_crds
from tests.cluster.world import Cluster

_SKIPPED = pytest.StashKey[dict[str, dict[str, str]]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    embedded = config.getoption("--on") == "embedded"
    excluded = "real_only" if embedded else "embedded_only"
    skipped = config.stash.setdefault(_SKIPPED, {})
    for item in items:
        for mark in item.iter_markers(excluded):
            item.add_marker(pytest.mark.skip(reason=f"{excluded}: {mark.args[0]}"))
            skipped.setdefault(excluded, {})[item.nodeid] = mark.args[0]
    if not embedded and not config.option.collectonly:
        # Here, because building takes minutes the first time, and a test has two, its fixtures included.
        with contextlib.suppress(rig.RigUnavailable):
            rig.binaries()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How many tests say nothing about this kind of cluster, and why: that number must stay in sight."""
    for mark, tests in config.stash.get(_SKIPPED, {}).items():
        terminalreporter.section(f"{mark}: {len(tests)} not run on {config.getoption('--on')}")
        for name, reason in tests.items():
            terminalreporter.line(f"{name}: {reason}")


@pytest.fixture(scope="session")
def whole_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    on = request.config.getoption("--on")
    folder = tmp_path_factory.mktemp("cluster")
    with contextlib.ExitStack() as stack:
        if on == "embedded":
            yield stack.enter_context(world.embedded(folder))
        else:
            yield stack.enter_context(world.around(stack.enter_context(plane(folder, on)), folder))


@pytest.fixture(scope="session")
def replicas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Replicas]:
    """A second cluster: Volcano's own CRDs came first there, and two replicas of each program elect a leader."""
    folder = tmp_path_factory.mktemp("replicas")
    with (
        plane(folder, request.config.getoption("--on"), volcano_crds()) as bare,
        world.replicated(bare, folder) as replicas,
    ):
        yield replicas


@pytest.fixture
def there(replicas: world.Replicas) -> Iterator[Cluster]:
    """That second cluster, in a namespace of this test's own."""
    with own_namespace(replicas.cluster) as cluster:
        yield cluster


@contextlib.contextmanager
def plane(folder: Path, on: str, definitions: Sequence[JsonObject] | None = None) -> Iterator[Cluster]:
    """A control plane with CRDs and nothing else; the test is skipped where there can be none."""
    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(world.bare(folder, on, definitions))
        except rig.RigUnavailable as reason:
            pytest.skip(str(reason))
        yield cluster


_numbers = itertools.count()


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, in a namespace of this test's own."""
    with own_namespace(whole_cluster) as cluster:
        yield cluster


@contextlib.contextmanager
def own_namespace(whole: Cluster) -> Iterator[Cluster]:
    namespace = f"test-{os.getpid()}-{next(_numbers)}"
    # Not `kubectl create namespace`: that speaks protobuf only, which the embedded server does not.
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    whole.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    yield Cluster(whole.kubeconfig, whole.kind, namespace)
    whole.kubectl("delete", "namespace", namespace, "--wait=false")
