"""A plan goes in, turns on the lanes come out: which order goes to whom, and in which rank."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol, assert_never

import anyio
import structlog

from flowbatch.api.core import Node, Pod, ResourceQuota
from flowbatch.api.names import DEFAULT_QUEUE
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.topology import HyperNode
from flowbatch.engine import events
from flowbatch.engine.decisions import (
    Ask,
    Bind,
    Decision,
    Evict,
    HyperNodeReport,
    Nominate,
    Plan,
    PolicyReport,
    QueueReport,
    Release,
    Remember,
    Report,
    Ungate,
)
from flowbatch.kube.errors import ApiError, Fenced, TransportError
from flowbatch.metrics import EVICTIONS, GANG_WAIT_SECONDS, PARKED_GANGS, POLICY_ERRORS
from flowbatch.model.ids import GangId, HyperNodeName, PodUid, QueueName
from flowbatch.scheduler import requests
from flowbatch.scheduler.asking import Asking
from flowbatch.scheduler.bindings import Bindings, Sender
from flowbatch.scheduler.lanes import Lanes, Rank
from flowbatch.scheduler.statuses import Pace, Statuses
from flowbatch.scheduler.waiting import WaitingPods

log = structlog.get_logger()


class Lookup(Protocol):
    """Where objects are found by key, as they were last seen."""

    def pod(self, key: str) -> Pod | None:
        """A pod by `namespace/name`."""

    def group(self, key: str) -> PodGroup | None:
        """A PodGroup by `namespace/name`."""

    def queue(self, key: str) -> Queue | None:
        """A queue by name."""

    def node(self, name: str) -> Node | None:
        """A node by name."""

    def hyper_node(self, key: str) -> HyperNode | None:
        """A HyperNode by name."""


class Dispatch:
    """Owns everything that writes."""

    def __init__(
        self,
        sender: Sender,
        lookup: Lookup,
        tell: Callable[[events.Event], None],
        moment: Callable[[], datetime],
        *,
        epoch: Callable[[], int],
        width: int,
        pace: Pace,
    ) -> None:
        self._sender = sender
        self._lookup = lookup
        self._moment = moment
        self.lanes = Lanes(width)
        self.bindings = Bindings(sender, tell, epoch, moment)
        self.bindings.again = lambda uid, turn: self.lanes.put(f"pod/{uid}", Rank.BIND, turn)
        self.asking = Asking(lookup, tell)
        self.statuses = Statuses(sender, self.lanes, lookup.group, lookup.queue, lookup.hyper_node, moment, pace)
        self.waiting = WaitingPods(sender, self.lanes, lookup.pod, moment, pace)
        #: Stamped on conditions together with the cycle, so that two runs never share one.
        self.run_id = ""

    async def run(self) -> None:
        """Keep all timers; the lanes run apart, because they outlive a cancelled program by a few writes."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.bindings.run)
            tasks.start_soon(self.asking.run)
            tasks.start_soon(self.statuses.run)
            tasks.start_soon(self.waiting.run)

    def carry_out(self, plan: Plan) -> None:
        """Hand every order to its lane. Never waits."""
        self.statuses.transition = f"{self.run_id}-{plan.cycle}"
        for decision in plan.decisions:
            self._carry_out(decision)

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Bind():
                self.waiting.bound(decision.uid)
                turn = partial(self.bindings.bind, decision, time.perf_counter())
                self.lanes.put(f"pod/{decision.uid}", Rank.BIND, turn)
            case Report():
                self._measure(decision)
                self.statuses.report(decision)
                self.waiting.report(decision)
            case QueueReport():
                self.statuses.allocated(decision)
            case Remember():
                self.statuses.remember(decision)
            case HyperNodeReport():
                self.statuses.domain(decision)
            case Evict():
                EVICTIONS.labels(decision.reason).inc()
                self.lanes.put(f"pod/{decision.uid}", Rank.BIND, partial(self.bindings.evict, decision))
            case Nominate():
                self.lanes.put(f"pod/{decision.uid}", Rank.PHASE, partial(self.bindings.nominate, decision))
            case Release():
                turn = partial(self.bindings.release, decision)
                self.lanes.put(f"claim/{decision.claim}", Rank.PHASE, turn)
            case Ungate():
                self.lanes.put(f"pod/{decision.uid}", Rank.PHASE, partial(self.bindings.ungate, decision))
                self.waiting.tell_anew(decision.gang, self.statuses.latest(decision.gang))
            case Ask():
                self.asking.ask(decision)
            case PolicyReport():
                POLICY_ERRORS.labels(decision.policy).inc()
                log.error("policy left out", policy=decision.policy, reason=decision.reason, count=decision.failures)
            case _:
                assert_never(decision)

    def _measure(self, report: Report) -> None:
        """Keep the gauges of what waits, and note how long a gang waited when it has been placed."""
        before = self.statuses.latest(report.gang)
        self._parked(before, -1)
        self._parked(report, 1)
        group = self._lookup.group(report.gang)
        placed = report.phase == "Running" and (before is None or before.phase != "Running")
        if placed and group is not None and group.status.phase in ("", "Pending", "Inqueue"):
            created = group.metadata.creation_timestamp or self._moment()
            waited_s = max(0.0, (self._moment() - created).total_seconds())
            GANG_WAIT_SECONDS.labels(group.spec.queue or DEFAULT_QUEUE).observe(waited_s)

    def _parked(self, report: Report | None, change: int) -> None:
        if report is not None and report.blocker:
            PARKED_GANGS.labels(report.blocker).inc(change)

    def complain(self, value: Pod | Node | PodGroup | Queue | ResourceQuota, reason: str) -> None:
        """Say on an object that it cannot be read, where it has a condition for that; the log has them all."""
        log.warning("unreadable object", kind=type(value).__name__, key=value.metadata.key, reason=reason)
        if isinstance(value, Pod) and not value.spec.node_name:
            self.waiting.tell(PodUid(value.metadata.uid), value.metadata.key, "SchedulerError", reason)
        elif isinstance(value, PodGroup):
            turn = partial(self._complain_group, value, reason)
            self.lanes.put(f"gang/{value.metadata.key}", Rank.STATUS, turn)

    async def _complain_group(self, group: PodGroup, reason: str) -> None:
        request = requests.unreadable_group_request(group, reason, self._moment())
        if request is None:
            return
        try:
            await self._sender.send(request)
        except (ApiError, TransportError, Fenced) as error:
            log.warning("cannot write condition", group=group.metadata.key, error=str(error))

    def forget_group(self, old: PodGroup | None, new: PodGroup | None) -> None:
        """A store's change handler: what is gone needs no status."""
        if new is None and old is not None:
            gang = GangId(old.metadata.key)
            self._parked(self.statuses.latest(gang), -1)
            self.statuses.forget_gang(gang)
            self.waiting.forget(gang)

    def forget_queue(self, old: Queue | None, new: Queue | None) -> None:
        """A store's change handler."""
        if new is None and old is not None:
            self.statuses.forget_queue(QueueName(old.metadata.name))

    def forget_hyper_node(self, old: HyperNode | None, new: HyperNode | None) -> None:
        """A store's change handler."""
        if new is None and old is not None:
            self.statuses.forget_hyper_node(HyperNodeName(old.metadata.name))
