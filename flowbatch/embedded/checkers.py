"""Judges a cluster from what its API server has stored, and from nothing else: no cache, no engine, no log is asked.

`Checkers` listens to every commit of an `ObjectStore` and keeps the few sums it needs, so that it costs little even for
large worlds. What must hold at every moment is judged at once; what may be broken for a while (a gang half bound when
its scheduler died) is judged when its time is up; what must hold in the end is judged by `at_rest`. Each violation
carries the id of its invariant: S of scheduling, J of the job controller.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

import msgspec

from flowbatch.api import names
from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import parse
from flowbatch.embedded.apiserver.store import Collection, Event, ObjectStore
from flowbatch.embedded.dependencies import Dependencies

PODS, NODES, JOBS = "/pods", "/nodes", "batch.volcano.sh/jobs"
GROUPS, QUEUES = "scheduling.volcano.sh/podgroups", "scheduling.volcano.sh/queues"
#: How long a gang may be bound in part, and a suspended job keep its pods.
REPAIR_S: Final = 15.0
_ENDED: Final = frozenset({"Succeeded", "Failed"})
_LAST: Final = frozenset({"Completed", "Failed", "Terminated"})
_ACTIVE: Final = frozenset({"Pending", "Running", "Restarting"})
#: Where a job may go from each phase, step by step (volcano.md 4.2); ends are ends.
_STEPS: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"Pending", "Failed"}),
    **dict.fromkeys(_ACTIVE, _ACTIVE | _LAST | {"Aborting", "Completing", "Terminating"}),
    "Aborting": frozenset({"Aborted", "Restarting"}),
    "Aborted": frozenset({"Restarting"}),
    "Completing": frozenset({"Completed"}),
    "Terminating": frozenset({"Terminated"}),
    **dict.fromkeys(_LAST, frozenset[str]()),
}
Amounts = dict[str, Fraction]


class Violation(msgspec.Struct, frozen=True):
    """One broken promise: which, when (the store's version), and the story."""

    invariant: str
    version: int
    story: str


class Held(msgspec.Struct):
    """What one pod takes, from its binding to its end."""

    node: str
    queue: str
    amounts: Amounts


class Checkers:
    """Attach to a store; read `violations` at any time."""

    def __init__(self, store: ObjectStore, now: Callable[[], datetime], *, repair_s: float = REPAIR_S) -> None:
        self._store = store
        self._now = now
        self._repair = timedelta(seconds=repair_s)
        self.violations: list[Violation] = []
        self._bound: dict[str, str] = {}
        self._held: dict[str, Held] = {}
        self._on_node: dict[str, Amounts] = defaultdict(lambda: defaultdict(Fraction))
        self._in_queue: dict[str, Amounts] = defaultdict(lambda: defaultdict(Fraction))
        #: Gang -> uids of its bound members; gang -> since when it is bound in part, without having lost a member.
        self._members: dict[str, set[str]] = defaultdict(set)
        self._partial: dict[str, datetime] = {}
        #: (job uid, task, index) -> uid of the live pod in this place.
        self._places: dict[tuple[str, str, str], str] = {}
        #: Jobs by uid.
        self._jobs: dict[str, JsonObject] = {}
        self._dependencies = Dependencies()
        self._failures: dict[tuple[str, str, str], int] = defaultdict(int)
        self._resumes: dict[str, int] = defaultdict(int)
        self._suspended: dict[str, datetime] = {}
        #: How many bindings were seen: a judge of nothing must be noticed.
        self.bindings = 0
        for name, collection in store.collections.items():
            for entry in collection.entries.values():
                self._see(name, Event("ADDED", entry.version, None, entry))
        self._stop = store.listen(lambda collection, event: self._listen(collection, event))

    def close(self) -> None:
        """Stop listening."""
        self._stop()

    def _listen(self, collection: Collection, event: Event) -> None:
        self._see(collection.name, event)

    def _see(self, name: str, event: Event) -> None:
        before = event.before.obj if event.before is not None else None
        after = event.after.obj if event.after is not None else None
        if name == PODS:
            self._pod(before, after, event.version)
        elif name == JOBS:
            self._job(before, after, event.version)
        elif name == GROUPS and after is None and before is not None:
            self._members.pop(_key(before), None)
            self._partial.pop(_key(before), None)

    def _broken(self, invariant: str, version: int, story: str) -> None:
        self.violations.append(Violation(invariant, version, story))

    # pods

    def _pod(self, before: JsonObject | None, after: JsonObject | None, version: int) -> None:
        pod = after or before
        assert pod is not None
        uid, node = pod["metadata"]["uid"], str(_read(after, "spec", "nodeName") or "")
        if node and self._bound.get(uid, node) != node:
            self._broken("S4", version, f"pod {_key(pod)} was bound to {self._bound[uid]} and now to {node}")
        if before is None and after is not None:
            self._born(after, version)
        self._judge_dependencies(before, after, version)
        live = after is not None and _phase(after) not in _ENDED
        if node and live and uid not in self._held:
            self._taken(pod, uid, node, version)
        elif not live and uid in self._held:
            self._freed(uid)
        self._count_member(pod, uid, node)
        if not live:
            self._ended(before, after, uid, version)
        if after is None:
            self._bound.pop(uid, None)

    def _taken(self, pod: JsonObject, uid: str, node: str, version: int) -> None:
        self._bound[uid] = node
        self.bindings += 1
        held = self._held[uid] = Held(node, self._queue_of(pod), requests_of(pod["spec"]))
        for name, amount in held.amounts.items():
            self._on_node[node][name] += amount
            self._in_queue[held.queue][name] += amount
        self._judge_node(pod, node, version)
        self._judge_queue(pod, held.queue, version)

    def _freed(self, uid: str) -> None:
        held = self._held.pop(uid)
        for name, amount in held.amounts.items():
            self._on_node[held.node][name] -= amount
            self._in_queue[held.queue][name] -= amount

    def _judge_node(self, pod: JsonObject, node: str, version: int) -> None:
        found = self._get(NODES, node)
        room = _read(found, "status", "allocatable") if found is not None else None
        for name, used in self._on_node[node].items():
            if room is not None and used > parse(str(room.get(name, "0"))):
                said = f"{float(used)} {name} of {room.get(name, '0')}"
                self._broken("S1", version, f"node {node} gives {said} since {_key(pod)} was bound")

    def _judge_queue(self, pod: JsonObject, queue: str, version: int) -> None:
        found = self._get(QUEUES, queue)
        limits = _read(found, "spec", "capability") if found is not None else None
        for name, limit in (limits or {}).items():
            used = self._in_queue[queue][name]
            if used > parse(str(limit)):
                said = f"{float(used)} {name} of {limit}"
                self._broken("S5", version, f"queue {queue} uses {said} since {_key(pod)} was bound")

    def _queue_of(self, pod: JsonObject) -> str:
        group = self._get(GROUPS, _gang(pod))
        return str(_read(group, "spec", "queue") or names.DEFAULT_QUEUE) if group is not None else ""

    # gangs

    def _count_member(self, pod: JsonObject, uid: str, node: str) -> None:
        """S2: a gang counts whatever is bound, ended members too; those that leave count no more."""
        gang = _gang(pod)
        group = self._get(GROUPS, gang)
        if group is None:
            return
        members, least = self._members[gang], int(_read(group, "spec", "minMember") or 0)
        if node and not _leaving(pod):
            members.add(uid)
            if len(members) >= least:
                self._partial.pop(gang, None)
            else:
                self._partial.setdefault(gang, self._now())
        elif uid in members:
            members.discard(uid)
            # What has lost a member is repaired when there is room; `at_rest` asks whether it was.
            self._partial.pop(gang, None)

    def overdue(self) -> list[str]:
        """Gangs bound in part for longer than a repair may take: S2 is broken for them."""
        late = self._now() - self._repair
        return [gang for gang, since in self._partial.items() if since < late]

    # jobs

    def _born(self, pod: JsonObject, version: int) -> None:
        place = _place(pod)
        if place is None or _phase(pod) in _ENDED:
            return
        other = self._places.get(place)
        if other is not None:
            self._broken("J1", version, f"pod {_key(pod)} is a second live one in place {place[1:]}")
        self._places[place] = pod["metadata"]["uid"]

    def _judge_dependencies(self, before: JsonObject | None, after: JsonObject | None, version: int) -> None:
        place = _place(after or before or {"metadata": {}})
        job = self._jobs.get(place[0]) if place is not None else None
        if place is None or job is None:
            return
        if before is None and (story := self._dependencies.born(job, place)):
            self._broken("J5", version, story)
        self._dependencies.saw(job, place, after)

    def _ended(self, before: JsonObject | None, after: JsonObject | None, uid: str, version: int) -> None:
        pod = after or before
        assert pod is not None
        place = _place(pod)
        if place is None:
            return
        if self._places.get(place) == uid:
            del self._places[place]
        failed = after is not None and _phase(after) == "Failed" and not _read(after, "status", "reason")
        if failed and (before is None or _phase(before) != "Failed"):
            self._failures[place] += 1
            self._judge_attempts(pod, place, version)

    def _judge_attempts(self, pod: JsonObject, place: tuple[str, str, str], version: int) -> None:
        job = self._jobs.get(place[0])
        if job is None:
            return
        tasks = {each["name"]: each for each in _read(job, "spec", "tasks") or ()}
        most = max(int(_read(job, "spec", "maxRetry") or 3), int(tasks.get(place[1], {}).get("maxRetry") or 3))
        if self._failures[place] > (1 + most) * (1 + self._resumes[place[0]]):
            self._broken("J2", version, f"pod {_key(pod)} failed {self._failures[place]} times; maxRetry is {most}")

    def _job(self, before: JsonObject | None, after: JsonObject | None, version: int) -> None:
        key = _key(after or before or {})
        if after is None:
            self._suspended.pop(key, None)
            self._jobs.pop((before or {"metadata": {}})["metadata"].get("uid", ""), None)
            return
        self._jobs[after["metadata"]["uid"]] = after
        old = str(_read(before, "status", "state", "phase") or "") if before is not None else ""
        new = str(_read(after, "status", "state", "phase") or "")
        if old != new:
            self._judge_steps(key, old, after, version)
        if old in ("Aborting", "Aborted") and new != old:
            self._resumes[after["metadata"]["uid"]] += 1
        retries = [int(_read(each, "status", "retryCount") or 0) for each in (before, after) if each is not None]
        if retries[-1] < retries[0]:
            self._broken("J2", version, f"job {key} forgot its retries: {retries[0]}, then {retries[-1]}")
        if _is_suspended(after):
            self._suspended.setdefault(key, self._now())
        else:
            self._suspended.pop(key, None)

    def _judge_steps(self, key: str, old: str, job: JsonObject, version: int) -> None:
        """J4: one write may hold several steps, and the job's own history names each of them."""
        steps = [str(each.get("status")) for each in _read(job, "status", "conditions") or ()]
        wrong = [(one, two) for one, two in itertools.pairwise(steps) if two not in _STEPS[one]]
        new = str(_read(job, "status", "state", "phase") or "")
        if wrong or old in _LAST or new != (steps[-1] if steps else ""):
            self._broken("J4", version, f"job {key} went from {old or 'nothing'} to {new} by way of {steps}")

    # the end

    def at_rest(self) -> list[Violation]:
        """Everything that was ever broken, and what must not be so once the world has come to rest."""
        version = self._store.version
        found = list(self.violations)
        found += (Violation("S2", version, f"gang {gang} is bound in part") for gang in self._partial)
        found += (Violation("S2", version, story) for story in self._maimed())
        found += (Violation("J3", version, story) for story in self._awake())
        found += (Violation("J7", version, story) for story in self._orphans())
        return found

    def _maimed(self) -> Iterator[str]:
        for group in self._all(GROUPS):
            key, least = _key(group), int(_read(group, "spec", "minMember") or 0)
            pods = [pod for pod in self._all(PODS) if _gang(pod) == key and not _leaving(pod)]
            bound = [pod for pod in pods if _read(pod, "spec", "nodeName")]
            alive = [pod for pod in bound if _phase(pod) not in _ENDED]
            waiting = len(pods) > len(bound)
            if alive and waiting and len(bound) < least:
                yield f"gang {key} holds room with {len(bound)} of {least}"

    def _awake(self) -> Iterator[str]:
        late = self._now() - self._repair
        owners = {pod_owner(pod) for pod in self._all(PODS) if _phase(pod) not in _ENDED}
        for job in self._all(JOBS):
            since = self._suspended.get(_key(job))
            if since is not None and since < late and job["metadata"]["uid"] in owners:
                yield f"job {_key(job)} is suspended and has live pods"

    def _orphans(self) -> Iterator[str]:
        uids = {obj["metadata"]["uid"] for name in self._store.collections for obj in self._all(name)}
        for name in self._store.collections:
            for obj in self._all(name):
                if pod_owner(obj) not in uids | {""}:
                    yield f"{name} {_key(obj)} outlived its owner"

    def _all(self, name: str) -> Iterator[JsonObject]:
        found = self._store.collections.get(name)
        return (entry.obj for entry in list(found.entries.values())) if found is not None else iter(())

    def _get(self, name: str, key: str) -> JsonObject | None:
        found = self._store.collections.get(name)
        entry = found.entries.get(key) if found is not None else None
        return entry.obj if entry is not None else None


def requests_of(spec: JsonObject) -> Amounts:
    """What a pod takes of its node: containers and sidecars together, or its largest init step if that is more."""
    total: Amounts = defaultdict(Fraction)
    for container in spec.get("containers") or ():
        _add(total, container)
    sidecars: Amounts = defaultdict(Fraction)
    largest: Amounts = defaultdict(Fraction)
    for container in spec.get("initContainers") or ():
        step = dict(sidecars)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, container)
            step = dict(sidecars)
        else:
            _add(step, container)
        largest.update({name: max(amount, largest[name]) for name, amount in step.items()})
    for name in {*total, *sidecars, *largest}:
        total[name] = max(total[name] + sidecars[name], largest[name])
    for name, amount in (spec.get("overhead") or {}).items():
        total[name] += parse(str(amount))
    total["pods"] = Fraction(1)
    return {name: amount for name, amount in total.items() if amount}


def _add(total: Amounts, container: JsonObject) -> None:
    for name, amount in ((container.get("resources") or {}).get("requests") or {}).items():
        total[name] = total.get(name, Fraction()) + parse(str(amount))


def pod_owner(obj: JsonObject) -> str:
    """The uid of the controller of an object, or ""."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(each["uid"]) for each in owners if each.get("controller")), "")


def _read(obj: JsonObject | None, *path: str) -> Any:
    found: Any = obj
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _key(obj: JsonObject) -> str:
    meta = obj.get("metadata") or {}
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta.get("name", ""))


def _phase(pod: JsonObject) -> str:
    return str(_read(pod, "status", "phase") or "")


def _leaving(obj: JsonObject) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _marks(obj: JsonObject) -> JsonObject:
    return obj["metadata"].get("annotations") or {}


def _gang(pod: JsonObject) -> str:
    name = _marks(pod).get(names.GROUP_NAME) or _marks(pod).get(names.VOLCANO_GROUP_NAME)
    return f"{pod['metadata'].get('namespace')}/{name}" if name else ""


def _place(pod: JsonObject) -> tuple[str, str, str] | None:
    task, owner = _marks(pod).get(names.TASK_SPEC), pod_owner(pod)
    return (owner, task, str(_marks(pod).get(names.TASK_INDEX, ""))) if task and owner else None


def _is_suspended(job: JsonObject) -> bool:
    return bool(_read(job, "spec", "suspend")) or _marks(job).get(names.SUSPENDED) == "true"
