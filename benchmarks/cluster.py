"""Whole clusters under load: jobs go in over HTTP, and a watch says when their pods are bound.

`python -m benchmarks.cluster` measures all figures; `--world` and the sizes measure one case, also on a cluster of
yours (`--kubeconfig FILE`: flowbatch and its nodes run there already). Everything that is measured runs in processes of
its own; this one only submits and watches.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from tempfile import TemporaryDirectory

import anyio
import msgspec

from benchmarks.figure import Figure
from flowbatch.admission.crds import crds
from flowbatch.api.core import Pod
from flowbatch.api.kinds import JOB, NODE, POD
from flowbatch.api.meta import JsonObject
from flowbatch.informer import Informer
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch.kube.errors import AlreadyExists, NotFound
from flowbatch.kube.request import Request, bind_pod

JOB_LABEL = "volcano.sh/job-name"
#: Long enough for the slowest machine; a benchmark that hangs must end.
PATIENCE_S = 300.0
#: How long a cluster at rest is watched, after it has had time to settle.
REST_S, SETTLE_S = 30.0, 15.0
#: kube-apiserver sleeps for 2 s in each create of a kind that was established less than 2 s ago, so that its replicas
#: may learn of it; a cluster in use has no such kinds.
YOUNG_CRD_S = 3.0
LANES = 32
CPUS, MEMORY = "32", "256Gi"
UVLOOP = {"use_uvloop": True}
CEILING = "a client alone creates and binds pods"


@dataclass(frozen=True)
class Case:
    """`jobs` gangs of `size` pods onto `nodes` nodes; `rate` jobs a second, 0 for all at once."""

    jobs: int
    size: int
    nodes: int
    rate: float = 0.0

    @property
    def pods(self) -> int:
        return self.jobs * self.size


@dataclass
class World:
    """A cluster that works: where it is, and whose processes make it up."""

    kubeconfig: Path
    processes: dict[str, Popen[bytes]] = field(default_factory=dict)
    audit_log: Path | None = None

    def cpu_s(self) -> float:
        """CPU seconds that all processes of this world have used."""
        ticks = os.sysconf("SC_CLK_TCK")
        return sum(_ticks(process.pid) for process in self.processes.values()) / ticks


def _ticks(pid: int) -> int:
    """User and system time of a process and its children, ended or not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(int(fields[index]) for index in range(11, 15)) + sum(_ticks(int(child)) for child in children)


# -- worlds


@contextmanager
def embedded(nodes: int) -> Iterator[World]:
    """`flowbatch up` with simulated nodes: API server, scheduler, controllers and nodes in one process."""
    with ExitStack() as stack:
        kubeconfig = Path(stack.enter_context(TemporaryDirectory())) / "kubeconfig"
        flags = ["up", "--simulate", "--nodes", str(nodes), "--cpus", CPUS, "--memory", MEMORY]
        up = _child(stack, "-m", "flowbatch", *flags, "--kubeconfig", str(kubeconfig))
        assert up.stdout is not None
        for line in up.stdout:
            if line.strip() == b"ready":
                break
        yield World(kubeconfig, {"up": up})


@contextmanager
def real(nodes: int) -> Iterator[World]:
    """kube-apiserver and etcd, with scheduler and controllers as two processes, and simulated nodes as a third."""
    from tests.apiserver.rig import control_plane

    with control_plane(audit=True, controllers=False) as plane, ExitStack() as stack:
        anyio.run(install_crds, plane.kubeconfig)
        children = {
            name: _child(stack, "-m", "benchmarks.cluster", "--program", name, "--kubeconfig", str(plane.kubeconfig))
            for name in ("scheduler", "controllers")
        }
        flags = ["nodes", "--simulate", "--nodes", str(nodes), "--cpus", CPUS, "--memory", MEMORY]
        _child(stack, "-m", "flowbatch", *flags, "--kubeconfig", str(plane.kubeconfig))
        anyio.run(_nodes_ready, plane.kubeconfig, nodes)
        time.sleep(YOUNG_CRD_S)
        yield World(plane.kubeconfig, children, plane.audit_log)


def _child(stack: ExitStack, *arguments: str) -> Popen[bytes]:
    process = Popen([sys.executable, *arguments], stdout=PIPE, stderr=None if os.environ.get("DEBUG") else DEVNULL)
    stack.callback(_stop, process)
    return process


def _stop(process: Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except TimeoutExpired:
        process.kill()
        process.wait()


async def install_crds(kubeconfig: Path) -> None:
    async with Client(await load_config(kubeconfig)) as client:
        for crd in crds():
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            try:
                await client.send(Request("POST", path, body=msgspec.json.encode(crd)))
            except AlreadyExists:
                continue
        with anyio.fail_after(PATIENCE_S):
            while not await _served(client):  # noqa: ASYNC110  (another process gets ready)
                await anyio.sleep(0.1)


async def _served(client: Client) -> bool:
    try:
        await client.list(JOB)
    except NotFound:
        return False
    return True


async def _nodes_ready(kubeconfig: Path, count: int) -> None:
    async with Client(await load_config(kubeconfig)) as client:
        with anyio.fail_after(PATIENCE_S):
            while len(await client.list(NODE)) < count:  # noqa: ASYNC110  (another process gets ready)
                await anyio.sleep(0.1)


async def run_program(name: str, kubeconfig: Path) -> None:
    """One of flowbatch's programs under its own name, so that the audit log tells them apart."""
    from flowbatch.runtime.app import run_controllers, run_scheduler
    from flowbatch.runtime.settings import Settings

    run = {"scheduler": run_scheduler, "controllers": run_controllers}[name]
    async with Client(await load_config(kubeconfig), component=name) as client:
        await run(client, Settings())


# -- load


@dataclass
class Outcome:
    """What one case came to, in seconds of one clock."""

    case: Case
    created_at: dict[str, float]
    bound_at: dict[str, float]
    cpu_s: float

    @property
    def waits_s(self) -> list[float]:
        """From a job's creation to the binding of its last pod."""
        return [self.bound_at[name] - begun for name, begun in self.created_at.items()]

    @property
    def pods_per_s(self) -> float:
        return self.case.pods / (max(self.bound_at.values()) - min(self.created_at.values()))

    @property
    def p99_s(self) -> float:
        waits = sorted(self.waits_s)
        return statistics.quantiles(waits, n=100, method="inclusive")[98] if len(waits) > 1 else waits[0]


class Arrivals:
    """Counts bound pods per job, and notes when a job's last one was seen."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._seen: dict[str, set[str]] = {}
        self.at: dict[str, float] = {}
        self.all = anyio.Event()

    def changed(self, _old: Pod | None, pod: Pod | None) -> None:
        if pod is None or not pod.spec.node_name:
            return
        job = pod.metadata.labels.get(JOB_LABEL, "")
        seen = self._seen.setdefault(job, set())
        seen.add(pod.metadata.uid)
        if len(seen) == self._case.size and job not in self.at:
            self.at[job] = time.perf_counter()
            if len(self.at) == self._case.jobs:
                self.all.set()


async def load(world: World, case: Case) -> Outcome:
    """Submit the case's jobs and wait until every gang is bound."""
    async with Client(await load_config(world.kubeconfig), component="benchmark") as client:
        arrivals, created_at = Arrivals(case), dict[str, float]()
        # Only what counts: the server is spared the encoding of pods that are not bound yet.
        pods = Informer(client, POD, label_selector=JOB_LABEL, field_selector="spec.nodeName!=")
        pods.on_change(arrivals.changed)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pods.run)
            await pods.wait_synced()
            cpu_s = world.cpu_s()
            tasks.start_soon(partial(submit, client, case, created_at))
            with anyio.fail_after(PATIENCE_S):
                await arrivals.all.wait()
            tasks.cancel_scope.cancel()
    return Outcome(case, created_at, arrivals.at, world.cpu_s() - cpu_s)


async def submit(client: Client, case: Case, created_at: dict[str, float]) -> None:
    lanes = anyio.Semaphore(LANES)

    async def one(name: str) -> None:
        async with lanes:
            created_at[name] = time.perf_counter()
            await client.create(JOB, job(name, case.size), "default")

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(case.jobs):
            if case.rate:
                await anyio.sleep_until(began + number / case.rate)
            tasks.start_soon(one, f"load-{number}")


def job(name: str, size: int) -> JsonObject:
    container = {"name": "main", "image": "none", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    task = {"name": "worker", "replicas": size, "template": template}
    spec = {"schedulerName": "volcano", "minAvailable": size, "queue": "default", "tasks": [task]}
    return {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": {"name": name}, "spec": spec}


async def bare(world: World, pods: int = 1000) -> float:
    """The machine's ceiling: pods a second that a client alone creates and binds on this API server."""
    async with Client(await load_config(world.kubeconfig), component="benchmark") as client:
        spec = job("", 1)["spec"]["tasks"][0]["template"]["spec"]
        lanes = anyio.Semaphore(LANES)

        async def one(number: int) -> None:
            async with lanes:
                name = f"bare-{number}"
                manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
                made = await client.create(POD, manifest, "default")
                # A node that does not exist: no kubelet answers, so only the two requests are measured.
                await client.send(bind_pod("default", name, made.metadata.uid, "nowhere"))

        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for number in range(pods):
                tasks.start_soon(one, number)
        return pods / (time.perf_counter() - began)


# -- figures


def requests_per_pod(world: World, case: Case) -> float:
    """Requests of scheduler and controllers in the audit log up to the last binding, for each pod."""
    assert world.audit_log is not None
    lines = [json.loads(line) for line in world.audit_log.read_text().splitlines()]
    ours = [line for line in lines if any(name in line.get("userAgent", "") for name in ("(scheduler", "(controllers"))]
    first = min(line["requestReceivedTimestamp"] for line in lines if _is(line, "create", "jobs"))
    last = max(line["stageTimestamp"] for line in ours if _is(line, "create", "pods", "binding"))
    counted = [line for line in ours if first <= line["requestReceivedTimestamp"] <= last]
    if os.environ.get("DEBUG"):
        _print_requests(counted)
    return len(counted) / case.pods


def _is(line: JsonObject, verb: str, resource: str, subresource: str = "") -> bool:
    what = line.get("objectRef", {})
    found = line["verb"], what.get("resource", ""), what.get("subresource", "")
    return found == (verb, resource, subresource)


def _print_requests(lines: list[JsonObject]) -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        what = line.get("objectRef", {})
        resource = "/".join(filter(None, (what.get("resource", ""), what.get("subresource", ""))))
        program = line["userAgent"].partition("(")[2].strip(")")
        counts[(program, line["verb"], resource, str(line["responseStatus"]["code"]))] += 1
    for key, number in sorted(counts.items()):
        print(f"  {number:6} {' '.join(key)}", file=sys.stderr)


def measured(world: World, case: Case) -> Outcome:
    """One case on one world, with a line for people."""
    outcome = anyio.run(load, world, case, backend_options=UVLOOP)
    waits = sorted(outcome.waits_s)
    print(
        f"  {case.jobs} x {case.size} on {case.nodes} nodes"
        f"{f' at {case.rate:g} jobs/s' if case.rate else ''}: {outcome.pods_per_s:.0f} pods/s,"
        f" gang bound after {statistics.median(waits):.3f} s (median), {outcome.p99_s:.3f} s (p99),"
        f" {1e3 * outcome.cpu_s / case.pods:.2f} ms of CPU a pod",
        file=sys.stderr,
    )
    return outcome


def latency_figures() -> Iterator[Figure]:
    """A small cluster at a moderate rate, and the same jobs all at once."""
    with embedded(100) as world:
        steady = measured(world, Case(20, 20, 100, rate=10.0))
        yield Figure("embedded_gang_p99_s", steady.p99_s, "s", 0.3, "lower")
    with embedded(100) as world:
        burst = measured(world, Case(20, 20, 100))
        yield Figure("embedded_burst_p99_s", burst.p99_s, "s", 1.0, "lower")


def embedded_figures() -> Iterator[Figure]:
    """Many jobs on the embedded cluster."""
    with embedded(1000) as world:
        outcome = measured(world, Case(500, 20, 1000))
    with embedded(1) as world:
        ceiling = anyio.run(bare, world, backend_options=UVLOOP)
    yield Figure("embedded_pods_per_s", outcome.pods_per_s, "pods/s", 500, "higher", ceiling, CEILING)


def live_figures() -> Iterator[Figure]:
    """Many jobs on a real API server; nothing where there is none to be had."""
    from tests.apiserver.rig import RigUnavailable

    case = Case(100, 20, 200)
    try:
        with real(case.nodes) as world:
            outcome = measured(world, case)
            per_pod = requests_per_pod(world, case)
        with real(1) as world:
            ceiling = anyio.run(bare, world, backend_options=UVLOOP)
    except RigUnavailable as why:
        print(f"  no real API server: {why}", file=sys.stderr)
        return
    yield Figure("live_pods_per_s", outcome.pods_per_s, "pods/s", 250, "higher", ceiling, CEILING)
    yield Figure("live_requests_per_pod", per_pod, "requests", 2.8, "lower", 2.0, "a create and a binding")


def idle_figures() -> Iterator[Figure]:
    """`flowbatch up` with a thousand nodes and nothing to do."""
    with embedded(1000) as world:
        time.sleep(SETTLE_S)
        used, began = world.cpu_s(), time.perf_counter()
        time.sleep(REST_S)
        share = 100 * (world.cpu_s() - used) / (time.perf_counter() - began)
    yield Figure("idle_pct", share, "% of a core", 2.0, "lower")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "latency": latency_figures,
    "embedded": embedded_figures,
    "live": live_figures,
    "idle": idle_figures,
}


def figures() -> Iterator[Figure]:
    """All of them, in the order of the table."""
    for group in GROUPS.values():
        yield from group()


def main() -> None:
    """One group of figures, or one case of your own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="figures to measure; all by default")
    parser.add_argument("--world", choices=("embedded", "real"), help="measure one case here")
    parser.add_argument("--kubeconfig", type=Path, help="measure one case on this cluster")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.0, help="jobs a second; 0 for all at once")
    parser.add_argument("--program", choices=("scheduler", "controllers"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    case = Case(chosen.jobs, chosen.size, chosen.nodes, chosen.rate)
    if chosen.program:
        anyio.run(run_program, chosen.program, chosen.kubeconfig, backend_options=UVLOOP)
    elif chosen.kubeconfig:
        measured(World(chosen.kubeconfig), case)
    elif chosen.world:
        with {"embedded": embedded, "real": real}[chosen.world](case.nodes) as world:
            measured(world, case)
            if world.audit_log is not None:
                print(f"  {requests_per_pod(world, case):.2f} requests a pod", file=sys.stderr)
    else:
        for group in chosen.groups or GROUPS:
            for each in GROUPS[group]():
                print(f"figure {each.name} {each.value:.4g} {each.unit}", flush=True)


if __name__ == "__main__":
    main()
