"""A whole cluster that lives by a seed: jobs come and go, nodes too, requests fail, and the program dies.

Everything goes over real HTTP. The seed decides what happens and in which order; the moments are those of the machine,
so a seed tells the story again, though not to the millisecond.
"""

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Literal

from flowbatch.admission.admit import admit
from flowbatch.admission.crds import crds
from flowbatch.api.kinds import COMMAND, JOB, NODE, POD, QUEUE
from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.checkers import Checkers
from flowbatch.embedded.controllers import EmbeddedControllers
from flowbatch.embedded.faults import Fault, Moment
from flowbatch.embedded.nodes.simulated import SimulatedNodes
from flowbatch.embedded.nodes.specification import NodeSpecification, node_manifest
from flowbatch.kube import faults as client_faults
from flowbatch.kube.client import Client
from flowbatch.kube.config import ClusterConfig, from_kubeconfig
from flowbatch.kube.errors import ApiError
from flowbatch.kube.request import Request
from flowbatch.runtime.app import run_all
from flowbatch.runtime.health import Health
from flowbatch.runtime.settings import LogSettings, SchedulerSettings, Settings
from flowbatch.scheduler.statuses import Pace

FINISHED = ("Completed", "Failed", "Terminated")
PROGRAM = "chaos"
NODES = tuple(NodeSpecification(f"n{index}", cpu="8", memory="32Gi", pods=12) for index in range(3))
QUEUES = {"ads": "16", "web": "20"}
PACE = Pace(settle_s=0.1, count_s=0.4, reword_s=1.0, queue_s=0.2, pod_s=0.2)
#: How long the program may take to come to rest once nothing goes wrong any more.
REST_S = 20.0
QUIET_S = 1.5

#: A write may wait so long in the server before it takes effect.
LONGEST_DELAY_S = 0.3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed is made of."""

    seed: int
    jobs: int = 10
    seconds: float = 4.0
    kills: int = 2
    journal: str = ""
    log: Literal["debug", "info", "warning", "error"] = "error"


@dataclass
class Trouble:
    """The fault rule of the server: some requests of the program, and fewer of the nodes, go wrong."""

    rng: random.Random
    level: float
    on: bool = True
    fired: dict[str, int] = field(default_factory=dict)

    def __call__(self, moment: Moment) -> Fault | None:
        if not self.on or (f"({PROGRAM}" not in moment.user_agent and "(nodes" not in moment.user_agent):
            return None
        scale = self.level if f"({PROGRAM}" in moment.user_agent else self.level / 4
        fault = self._choose(moment, self.rng.random() / scale if scale else 1.0)
        if fault is not None:
            self.fired[fault.action] = self.fired.get(fault.action, 0) + 1
        return fault

    def _choose(self, moment: Moment, luck: float) -> Fault | None:
        if moment.point == "event":
            return _pick(
                luck,
                (0.004, Fault("close_watch", how="rst")),
                (0.004, Fault("close_watch", how="clean")),
                (0.003, Fault("gone_410")),
                (0.08, Fault("delay", seconds=self.rng.random() * 0.5)),
            )
        if moment.verb == "watch":
            return None
        if moment.verb in ("list", "get"):
            return _pick(luck, (0.04, Fault("status", code=500)), (0.04, Fault("delay", seconds=0.1)))
        if moment.point == "reply":
            return _pick(luck, (0.05, Fault("drop_reply")), (0.02, Fault("truncate")), (0.02, Fault("garbage")))
        # A real server answers a delete so only where the uid is another's.
        conflict = 0.03 if moment.verb != "delete" else 0.0
        return _pick(
            luck,
            (0.05, Fault("drop_request")),
            (0.04, Fault("status", code=503, reason="ServiceUnavailable")),
            (0.03, Fault("status", code=429, reason="TooManyRequests", retry_after_s=0)),
            (conflict, Fault("status", code=409, reason="Conflict")),
            (0.02, Fault("status", code=500)),
            (0.15, Fault("delay", seconds=self.rng.random() * LONGEST_DELAY_S)),
        )


def _pick(luck: float, *choices: tuple[float, Fault]) -> Fault | None:
    for chance, fault in choices:
        if luck < chance:
            return fault
        luck -= chance
    return None


class World:
    """The cluster, the user, and the program under test, which can be killed and started again."""

    def __init__(self, plan: Plan, server: ApiServer, config: ClusterConfig, user: Client) -> None:
        self.plan, self.server, self.config, self.user = plan, server, config, user
        self.rng = random.Random(plan.seed)
        self.trouble = Trouble(random.Random(plan.seed + 1), level=self.rng.choice((0.5, 1.0, 2.0)))
        self.checkers = Checkers(server.store, server.now)
        self.health = Health()
        self.lives = 0
        self.engine_failures = 0
        self.story: list[str] = []
        self._began = time.monotonic()
        self._made = 0
        self._dead = False
        self._program: asyncio.Task[None] | None = None

    def tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:6.2f} v{self.server.store.version} {what}")

    # the program

    def start(self) -> None:
        self.lives += 1
        self.health, self._dead = Health(), False
        journal = f"{self.plan.journal}.{self.lives}" if self.plan.journal else ""
        settings = Settings(
            scheduler=SchedulerSettings(validate=True, pace=PACE, journal=journal), log=LogSettings(level=self.plan.log)
        )
        self._program = asyncio.create_task(self._run(settings, self.health))
        self.tell("the program starts")

    async def _run(self, settings: Settings, health: Health) -> None:
        async with Client(self.config, component=PROGRAM, rule=self._cut) as client:
            await run_all(client, settings, health=health)

    def _cut(self, _request: Request, _line: bytes | None) -> client_faults.Fault | None:
        """A killed program says nothing more, whatever it still tries."""
        return client_faults.Fault("refuse") if self._dead else None

    async def stop(self, *, hard: bool) -> None:
        """Cancel the program; `hard` as kill -9 would: not even what it tidies up reaches the server."""
        program = self._program
        assert program is not None
        if program.done():
            program.result()
        self.tell(f"the program is {'killed' if hard else 'stopped'}")
        self.engine_failures += self.health.details["engine_failures"]()
        self._dead = hard
        program.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await program
        self._dead = False

    # what happens

    async def live(self) -> None:
        """The seed's story."""
        steps = ["job"] * self.plan.jobs + ["kill"] * self.plan.kills + ["other"] * (self.plan.jobs * 2)
        self.rng.shuffle(steps)
        steps = ["job", "job", *steps]
        for step in steps:
            await asyncio.sleep(self.rng.random() * 2 * self.plan.seconds / len(steps))
            with contextlib.suppress(ApiError):
                await self._step(step)

    async def _step(self, step: str) -> None:
        if step == "job":
            await self._submit(f"j{self._made}")
            self._made += 1
        elif step == "kill":
            await self.stop(hard=self.rng.random() < 0.5)
            # What the last program has sent may still wait in the server. A Lease keeps a successor from leading until
            # that is over; one that led at once would decide without a binding that is yet to come.
            await asyncio.sleep(LONGEST_DELAY_S + self.rng.random() * 0.3)
            self.start()
        else:
            other = self.rng.choice(("suspend", "suspend", "resume", "resume", "delete", "scale", "scale", "evict",
                                     "evict", "cordon", "lose", "return", "abort", "restart", "again"))  # fmt: skip
            await getattr(self, f"_{other}")()

    async def _submit(self, name: str) -> None:
        manifest = job_manifest(name, self.rng)
        tasks = [(each["name"], each["replicas"], each.get("minAvailable")) for each in manifest["spec"]["tasks"]]
        self.tell(f"job {name} in {manifest['spec']['queue']}: {tasks} at least {manifest['spec'].get('minAvailable')}")
        await self.user.create(JOB, manifest, "default")

    def jobs(self) -> list[JsonObject]:
        found = self.server.store.collections.get("batch.volcano.sh/jobs")
        return [entry.obj for entry in found.entries.values()] if found else []

    def pods(self) -> list[JsonObject]:
        return [entry.obj for entry in self.server.store.collections["/pods"].entries.values()]

    def _any(self) -> JsonObject | None:
        jobs = self.jobs()
        return self.rng.choice(jobs) if jobs else None

    async def _patch(self, what: str, body: JsonObject) -> None:
        if (job := self._any()) is not None:
            self.tell(f"{what} {job['metadata']['name']}")
            await self.user.patch(JOB, job["metadata"]["name"], body, "default")

    async def _suspend(self) -> None:
        await self._patch("suspend", {"spec": {"suspend": True}})

    async def _resume(self) -> None:
        await self._patch("resume", {"spec": {"suspend": False}})

    async def _delete(self) -> None:
        if (job := self._any()) is not None:
            self.tell(f"delete {job['metadata']['name']}")
            policy = self.rng.choice(("Background", "Foreground"))
            await self.user.delete(JOB, job["metadata"]["name"], "default", propagation=policy)

    async def _again(self) -> None:
        """Delete a job and make one of the same name at once."""
        if (job := self._any()) is not None:
            self.tell(f"delete and make again {job['metadata']['name']}")
            await self.user.delete(JOB, job["metadata"]["name"], "default", propagation="Background")
            await self._submit(job["metadata"]["name"])

    async def _scale(self) -> None:
        if (job := self._any()) is None:
            return
        task = self.rng.randrange(len(job["spec"]["tasks"]))
        spec = job["spec"]["tasks"][task]
        count = self.rng.randint(1, 5)
        least = sum(min(each.get("minAvailable", each["replicas"]), each["replicas"]) for each in job["spec"]["tasks"])
        least += min(count, spec.get("minAvailable", count)) - min(
            spec.get("minAvailable", spec["replicas"]), spec["replicas"]
        )
        self.tell(f"scale {job['metadata']['name']}/{spec['name']} to {count}")
        at = f"/spec/tasks/{task}"
        body = [{"op": "replace", "path": f"{at}/replicas", "value": count}]
        if spec.get("minAvailable", 0) > count:
            body.append({"op": "replace", "path": f"{at}/minAvailable", "value": count})
        total = sum(each["replicas"] for each in job["spec"]["tasks"]) - spec["replicas"] + count
        if job["spec"].get("minAvailable", 0) > total:
            body.append({"op": "replace", "path": "/spec/minAvailable", "value": total})
        await self.user.patch(JOB, job["metadata"]["name"], body, "default", content="json")

    async def _evict(self) -> None:
        pods = [pod for pod in self.pods() if pod["spec"].get("nodeName")]
        if pods:
            pod = self.rng.choice(pods)
            self.tell(f"evict {pod['metadata']['name']}")
            await self.user.delete(POD, pod["metadata"]["name"], "default")

    async def _cordon(self) -> None:
        node = self.rng.choice(NODES)
        self.tell(f"cordon {node.name}")
        await self.user.patch(NODE, node.name, {"spec": {"unschedulable": self.rng.random() < 0.6 or None}})

    async def _lose(self) -> None:
        node = self.rng.choice(NODES)
        self.tell(f"lose {node.name}")
        await self.user.delete(NODE, node.name)

    async def _return(self) -> None:
        for node in NODES:
            with contextlib.suppress(ApiError):
                await self.user.create(NODE, node_manifest(node, "simulated", self.server.now()))

    async def _command(self, action: str) -> None:
        if (job := self._any()) is not None:
            meta = job["metadata"]
            self.tell(f"{action} {meta['name']}")
            target = {"apiVersion": JOB.api_version, "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
            order = {"apiVersion": COMMAND.api_version, "kind": "Command", "action": action}
            named = {"metadata": {"generateName": "order-"}, "target": {**target, "controller": True}}
            await self.user.create(COMMAND, {**order, **named}, "default")

    async def _abort(self) -> None:
        await self._command("AbortJob")

    async def _restart(self) -> None:
        await self._command("RestartJob")

    # the end

    async def calm(self) -> None:
        """Nothing goes wrong any more, all nodes are there, and half of those that were stopped may go on."""
        self.trouble.on = False
        self.tell("calm")
        await self._return()
        for node in NODES:
            await self.user.patch(NODE, node.name, {"spec": {"unschedulable": None}})
        for job in self.jobs():
            if job["spec"].get("suspend") and self.rng.random() < 0.5:
                self.tell(f"resume {job['metadata']['name']}")
                with contextlib.suppress(ApiError):
                    await self.user.patch(JOB, job["metadata"]["name"], {"spec": {"suspend": False}}, "default")

    async def rest(self) -> None:
        """Wait until every job has ended or been stopped, and nobody writes any more. Raises TimeoutError."""
        async with asyncio.timeout(REST_S):
            while self.unsettled() or self.checkers.overdue():
                assert self._program is not None
                if self._program.done():
                    self._program.result()
                await asyncio.sleep(0.1)
            await self.quiet()

    async def quiet(self) -> None:
        """Wait until nothing has been written for `QUIET_S`."""
        version, since = self.server.store.version, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            await asyncio.sleep(0.1)
            if self.server.store.version != version:
                version, since = self.server.store.version, time.monotonic()

    def unsettled(self) -> list[str]:
        """Jobs that have yet to come to an end."""
        live = {pod["metadata"]["annotations"].get("volcano.sh/job-name") for pod in self.pods()
                if pod["status"].get("phase") not in ("Succeeded", "Failed")}  # fmt: skip
        waiting = []
        for job in self.jobs():
            phase = ((job.get("status") or {}).get("state") or {}).get("phase")
            settled = (*FINISHED, "Aborted")
            if phase not in settled or job["metadata"]["name"] in live or job["metadata"].get("deletionTimestamp"):
                waiting.append(f"{job['metadata']['name']}: {phase}")
        return waiting

    def details(self, name: str) -> list[str]:
        """All there is to know of one job: itself, its gang, its pods, and why it waits."""
        job = next(each for each in self.jobs() if each["metadata"]["name"] == name)
        gang = f"{name}-{job['metadata']['uid']}"
        groups = self.server.store.collections["scheduling.volcano.sh/podgroups"].entries
        group = groups[f"default/{gang}"].obj if f"default/{gang}" in groups else None
        lines = [f"job {job['spec']} {job['status']}", f"group {group}", f"why {self.health.explain('default', gang)}"]
        for pod in self.pods():
            if pod["metadata"]["annotations"].get("volcano.sh/job-name") == name:
                meta = {key: pod["metadata"].get(key) for key in ("name", "annotations", "deletionTimestamp")}
                lines.append(f"pod {meta} {pod['spec'].get('nodeName')} {pod['status'].get('phase')}")
        return lines


def job_manifest(name: str, rng: random.Random) -> JsonObject:
    """A job of one to three tasks that ends by itself, one way or another."""
    tasks = [_task(index, rng) for index in range(rng.randint(1, 3))]
    for index, task in enumerate(tasks[1:], 1):
        if rng.random() < 0.3:
            task["dependsOn"] = {"name": [f"t{rng.randrange(index)}"]}
    spec: JsonObject = {"queue": rng.choice(("default", *QUEUES)), "tasks": tasks, "maxRetry": rng.randint(1, 3)}
    if rng.random() < 0.4:
        spec["minAvailable"] = rng.randint(1, sum(task["replicas"] for task in tasks))
    if rng.random() < 0.5:
        spec["policies"] = [
            {"event": "PodFailed", "action": rng.choice(("RestartJob", "RestartPod", "AbortJob", "TerminateJob"))}
        ]
    if rng.random() < 0.4:
        spec.setdefault("policies", []).append(
            {"event": "PodEvicted", "action": rng.choice(("RestartJob", "RestartTask", "RestartPod"))}
        )
    if rng.random() < 0.2:
        spec["plugins"] = {"env": [], "svc": []}
    return {"apiVersion": JOB.api_version, "kind": "Job", "metadata": {"name": name}, "spec": spec}


def _task(index: int, rng: random.Random) -> JsonObject:
    notes = {"flowbatch.dev/sim-run-seconds": f"{rng.random() * 0.8 + 0.1:.2f}"}
    if rng.random() < 0.3:
        notes["flowbatch.dev/sim-start-seconds"] = f"{rng.random() * 0.4:.2f}"
    luck = rng.random()
    if luck < 0.2:
        notes["flowbatch.dev/sim-fail-times"] = str(rng.randint(1, 2))
    elif luck < 0.3:
        notes["flowbatch.dev/sim-exit-code"] = "3"
    container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": rng.choice(("500m", "1", "2", "2"))}}}
    template = {"metadata": {"annotations": notes}, "spec": {"containers": [container], "restartPolicy": "Never"}}
    task: JsonObject = {"name": f"t{index}", "replicas": rng.randint(1, 3), "template": template}
    if rng.random() < 0.3:
        task["replicas"] = rng.randint(1, 4)
        task["minAvailable"] = rng.randint(1, task["replicas"])
    if rng.random() < 0.15:
        task["policies"] = [{"event": "TaskCompleted", "action": "CompleteJob"}]
    return task


@contextlib.asynccontextmanager
async def world(plan: Plan):
    """A cluster with its nodes and queues, and the program running."""
    logging.getLogger("flowbatch").setLevel(logging.CRITICAL)
    async with ApiServer(tls=False, admit=[admit]) as server:
        for crd in crds():
            await server.install(crd)
        config = await from_kubeconfig(server.kubeconfig())
        async with Client(config, component="user") as user, Client(config, component="nodes") as nodes_client:
            here = World(plan, server, config, user)
            nodes = SimulatedNodes(nodes_client, NODES)
            others = [
                asyncio.create_task(EmbeddedControllers(server, quarantine_s=0.5).run()),
                asyncio.create_task(nodes.run()),
            ]
            await nodes.ready.wait()
            for name, cpu in QUEUES.items():
                body = {"apiVersion": QUEUE.api_version, "kind": "Queue", "metadata": {"name": name}}
                await user.create(QUEUE, {**body, "spec": {"capability": {"cpu": cpu}}})
            server.rule = here.trouble
            here.start()
            try:
                yield here
            finally:
                await here.stop(hard=True)
                for each in others:
                    each.cancel()
                await asyncio.gather(*others, return_exceptions=True)
            assert nodes.failures == 0


async def lived(plan: Plan) -> World:
    """Live a seed from its beginning to its rest, and to the end of a fresh start on it. Raises AssertionError."""
    async with world(plan) as here:
        await here.live()
        await here.calm()
        try:
            await here.rest()
        except TimeoutError:
            waiting = here.unsettled()
            details = [line for each in waiting for line in here.details(each.partition(":")[0])]
            raise AssertionError(_told(here, f"not at rest: {waiting}", *details)) from None
        broken = here.checkers.at_rest()
        assert not broken, _told(here, *map(str, broken))
        await here.stop(hard=False)
        version = here.server.store.version
        here.start()
        await asyncio.sleep(QUIET_S)
        written = here.server.store.version - version
        assert written == 0, _told(here, f"a fresh start wrote {written} times", *_written(here, version))
    assert here.engine_failures == 0, _told(here, "the engine failed")
    return here


def _written(here: World, version: int) -> list[str]:
    recent = [
        (event.version, name, event.type, event.key, event.before and event.before.obj, event.after and event.after.obj)
        for name, collection in here.server.store.collections.items()
        for event in collection.since(version)
    ]
    return [str(each) for each in sorted(recent, key=lambda each: each[0])[:10]]


def _told(here: World, *what: str) -> str:
    return "\n".join((f"seed {here.plan.seed}", *here.story, *what))
