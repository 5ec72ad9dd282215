"""Says on the API what the engine reports: PodGroup status and Queue.status.allocated.

Writes are money, so a report is not written when it comes but when it has settled, and then once, as the difference
from what is there:

- a gang admitted (Pending to Inqueue) at once, because its pods are made on that word;
- another phase or another reason after `settle_s`: most gangs are placed before they could say that they wait;
- an Event, once, about a gang that has waited for `event_s`;
- new counts, and that pods are still missing, after `count_s`; the same reason in new words after `reword_s`;
- a queue's allocation every `queue_s` at most.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from flowbatch.api import names
from flowbatch.api.kinds import HYPER_NODE, POD_GROUP, QUEUE
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.topology import HyperNode
from flowbatch.engine.decisions import HyperNodeReport, QueueReport, Remember, Report
from flowbatch.kube.errors import ApiError, Fenced, Invalid, NotFound, TransportError
from flowbatch.kube.request import Request
from flowbatch.model.ids import GangId, HyperNodeName, QueueName
from flowbatch.scheduler import domain_requests, requests
from flowbatch.scheduler.bindings import Sender, doubled
from flowbatch.scheduler.lanes import Lanes, Rank
from flowbatch.scheduler.mirror import Mirror
from flowbatch.scheduler.timers import Timers

#: The blocker of a gang whose pods are still being made: usual, and soon over.
NEEDS_MEMBERS: Final = "NeedsMembers"


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How long news may wait, in seconds, so that fewer writes carry it; and how many pods are told, how fast."""

    settle_s: float = 0.5
    count_s: float = 3.0
    reword_s: float = 30.0
    event_s: float = 5.0
    queue_s: float = 1.0
    pod_s: float = 2.0
    pods_per_gang: int = 16
    pods_per_s: float = 20.0


class Statuses:
    """Holds the latest report per object until its time has come."""

    def __init__(
        self,
        sender: Sender,
        lanes: Lanes,
        groups: Callable[[str], PodGroup | None],
        queues: Callable[[str], Queue | None],
        domains: Callable[[str], HyperNode | None],
        moment: Callable[[], datetime],
        pace: Pace,
    ) -> None:
        self._sender = sender
        self._lanes = lanes
        self._groups = Mirror(POD_GROUP, groups)
        self._queues = Mirror(QUEUE, queues)
        self._domains = Mirror(HYPER_NODE, domains)
        self._made_of: dict[str, HyperNodeReport] = {}
        self._moment = moment
        self._pace = pace
        self._reports: dict[str, Report] = {}
        self._allocations: dict[str, QueueReport] = {}
        self._notes: dict[str, Remember] = {}
        #: Gangs of which an Event has told why they wait.
        self._told: set[str] = set()
        #: What each queue's last Event said.
        self._wrong: dict[str, tuple[str, ...]] = {}
        self._failures: dict[str, int] = {}
        self._timers = Timers(self._due)
        #: Stamped on conditions: which run, and which cycle of it, decided so.
        self.transition = ""
        self.written = 0

    async def run(self) -> None:
        """Keep time, until cancelled."""
        await self._timers.run()

    def report(self, report: Report) -> None:
        """Note what a gang should now say, and when."""
        self._reports[report.gang] = report
        group = self._groups.get(report.gang)
        if group is None:
            return
        if report.phase == "Inqueue" and group.status.phase in ("", "Pending"):
            self._lanes.put(f"gang/{report.gang}", Rank.PHASE, lambda: self._write_phase(report.gang))
        if (wait_s := patience_s(report, group, self._pace)) is not None:
            self._timers.within(f"gang/{report.gang}", wait_s)
        if report.blocker and report.gang not in self._told:
            self._timers.within(f"event/{report.gang}", self._pace.event_s)

    def allocated(self, report: QueueReport) -> None:
        """Note what a queue uses now."""
        self._allocations[report.queue] = report
        self._timers.within(f"queue/{report.queue}", self._pace.queue_s)

    def domain(self, report: HyperNodeReport) -> None:
        """Note what a HyperNode is made of now."""
        self._made_of[report.name] = report
        self._timers.within(f"hypernode/{report.name}", self._pace.queue_s)

    def latest(self, gang: GangId) -> Report | None:
        """The last report of a gang."""
        return self._reports.get(gang)

    def forget_gang(self, gang: GangId) -> None:
        """The PodGroup is gone."""
        self._reports.pop(gang, None)
        self._groups.forget(gang)
        self._told.discard(gang)
        self._timers.forget(f"event/{gang}")
        self._forget(f"gang/{gang}")

    def forget_queue(self, queue: QueueName) -> None:
        """The Queue is gone."""
        self._allocations.pop(queue, None)
        self._wrong.pop(queue, None)
        self._notes.pop(queue, None)
        self._queues.forget(queue)
        self._forget(f"queue/{queue}")

    def forget_hyper_node(self, name: HyperNodeName) -> None:
        """The HyperNode is gone."""
        self._made_of.pop(name, None)
        self._domains.forget(name)
        self._forget(f"hypernode/{name}")

    def _forget(self, key: str) -> None:
        self._failures.pop(key, None)
        self._timers.forget(key)

    def _due(self, key: str) -> None:
        kind, _, name = key.partition("/")
        writers = {
            "gang": self._write_group,
            "event": self._tell_why,
            "queue": self._write_queue,
            "hypernode": self._write_domain,
        }
        write = writers[kind]
        self._lanes.put(key, Rank.STATUS, lambda: write(name))

    async def _write_phase(self, gang: str) -> None:
        report, group = self._reports.get(gang), self._groups.get(gang)
        # A gang that has been placed while it waited for its turn says so once, when that has settled.
        if report is not None and group is not None and report.phase == "Inqueue":
            await self._write(f"gang/{gang}", requests.phase_request(report, group), self._groups)

    async def _write_group(self, gang: str) -> None:
        report, group = self._reports.get(gang), self._groups.get(gang)
        if report is not None and group is not None:
            request = requests.group_request(report, group, self._moment(), self.transition)
            await self._write(f"gang/{gang}", request, self._groups)

    async def _tell_why(self, gang: str) -> None:
        """One Event for a gang that has waited long; a courtesy, so what fails is forgotten."""
        report, group = self._reports.get(gang), self._groups.get(gang)
        if report is None or group is None or not report.blocker or report.blocker == NEEDS_MEMBERS:
            return
        self._told.add(gang)
        with contextlib.suppress(ApiError, TransportError, Fenced):
            await self._sender.send(requests.group_event(report, group, self._moment()))

    async def _write_queue(self, name: str) -> None:
        report, queue = self._allocations.get(name), self._queues.get(name)
        if report is not None and queue is not None:
            await self._write(f"queue/{name}", requests.queue_request(report, queue, self._moment()), self._queues)
            await self._tell_wrong(report, queue)

    def remember(self, note: Remember) -> None:
        """Note what a queue has used; the engine says it seldom enough."""
        self._notes[note.queue] = note
        self._lanes.put(f"memory/{note.queue}", Rank.STATUS, lambda: self._write_note(note.queue))

    async def _write_note(self, name: str) -> None:
        note, queue = self._notes.get(name), self._queues.get(name)
        if note is not None and queue is not None:
            # What is lost with a failed write comes again with the next.
            with contextlib.suppress(ApiError, TransportError, Fenced):
                await self._sender.send(requests.past_use_request(note, queue))

    async def _tell_wrong(self, report: QueueReport, queue: Queue) -> None:
        """An Event, once for all that is wrong; it is a courtesy, so a failure is forgotten."""
        if self._wrong.get(report.queue, ()) == report.problems:
            return
        self._wrong[report.queue] = report.problems
        if report.problems:
            with contextlib.suppress(ApiError, TransportError, Fenced):
                await self._sender.send(requests.queue_event(report, queue, self._moment()))

    async def _write_domain(self, name: str) -> None:
        report, node = self._made_of.get(name), self._domains.get(name)
        if report is not None and node is not None:
            request = domain_requests.hyper_node_request(report, node, self._moment())
            await self._write(f"hypernode/{name}", request, self._domains)

    async def _write(
        self, key: str, request: Request | None, mirror: Mirror[PodGroup] | Mirror[Queue] | Mirror[HyperNode]
    ) -> None:
        """Send; a status is a level, so whatever fails without an answer is simply written again later."""
        if request is None:
            return
        try:
            body = await self._sender.send(request)
        except (NotFound, Invalid, Fenced):
            # Gone, wrong, or not ours to write any more: the next report starts afresh.
            return
        except (ApiError, TransportError):
            # Conflict too: a namesake took its place, and the cache will say so; or many write it at once.
            self._failures[key] = failures = self._failures.get(key, 0) + 1
            self._timers.within(key, doubled(failures))
            return
        self.written += 1
        self._failures.pop(key, None)
        mirror.wrote(key.partition("/")[2], body)


def patience_s(report: Report, group: PodGroup, pace: Pace) -> float | None:
    """Seconds that this news may wait; None where the PodGroup says it already."""
    said = next((each for each in group.status.conditions if each.type == requests.UNSCHEDULABLE), None)
    if report.blocker == NEEDS_MEMBERS and said is None and report.phase in (group.status.phase, "Inqueue"):
        return pace.count_s
    if (report.phase and report.phase != group.status.phase) or (said is not None) != bool(report.blocker):
        return pace.settle_s
    if said is not None and said.reason != requests.reason_of(report):
        return pace.settle_s
    counts = group.status.running, group.status.succeeded, group.status.failed
    moved = report.home and report.home != group.metadata.annotations.get(names.ALLOCATED_HYPER_NODE)
    if (report.running, report.succeeded, report.failed) != counts or moved:
        return pace.count_s
    if said is not None and said.message != requests.shorten(report.message):
        return pace.reword_s
    return None
