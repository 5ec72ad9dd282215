"""Tells pods of a gang that waits why: PodScheduled=False, sparingly.

The PodGroup's condition is the current truth; the pod's is for those who look only at pods (autoscalers,
`kubectl describe pod`). So only the first `pods_per_gang` pods of a gang are told, only after it has waited `pod_s`,
again only for another *reason* (not for new numbers), and over all gangs never more than `pods_per_s`.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial

import anyio

from flowbatch.api.core import Pod
from flowbatch.engine.decisions import Report
from flowbatch.kube.errors import ApiError, Fenced, TransportError
from flowbatch.model.ids import GangId, PodUid
from flowbatch.scheduler import requests
from flowbatch.scheduler.bindings import Sender
from flowbatch.scheduler.lanes import Lanes, Rank
from flowbatch.scheduler.statuses import Pace
from flowbatch.scheduler.timers import Timers


class WaitingPods:
    """Notes about pods that wait to be written, one per pod."""

    def __init__(
        self,
        sender: Sender,
        lanes: Lanes,
        pods: Callable[[str], Pod | None],
        moment: Callable[[], datetime],
        pace: Pace,
    ) -> None:
        self._sender = sender
        self._lanes = lanes
        self._pods = pods
        self._moment = moment
        self._pace = pace
        self._reports: dict[str, Report] = {}
        #: The reason each gang's pods were last told.
        self._told: dict[str, str] = {}
        #: uid -> (pod key, reason, message)
        self._notes: dict[PodUid, tuple[str, str, str]] = {}
        self._order: deque[PodUid] = deque()
        self._noted = anyio.Event()
        self._timers = Timers(self._due)
        self.written = 0

    async def run(self) -> None:
        """Keep time and write notes at the pace, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._timers.run)
            tasks.start_soon(self._write_notes)

    def report(self, report: Report) -> None:
        """A gang's news: note it if its pods have not been told this reason yet."""
        if not report.blocker:
            self.forget(report.gang)
        elif report.tasks and self._told.get(report.gang) != requests.reason_of(report):
            self._reports[report.gang] = report
            self._timers.within(report.gang, self._pace.pod_s)

    def forget(self, gang: GangId) -> None:
        """The gang is placed or gone."""
        if self._told.pop(gang, None) is not None or gang in self._reports:
            self._reports.pop(gang, None)
            self._timers.forget(gang)

    def tell_anew(self, gang: GangId, report: Report | None) -> None:
        """Some of its pods come out from behind a gate, where they were told nothing."""
        self._told.pop(gang, None)
        if report is not None:
            self.report(report)

    def tell(self, uid: PodUid, key: str, reason: str, message: str) -> None:
        """Have one pod told, at the pace."""
        if uid not in self._notes:
            self._order.append(uid)
        self._notes[uid] = key, reason, message
        self._noted.set()

    def bound(self, uid: PodUid) -> None:
        """A binding is on its way: whatever was to be said about waiting is no longer true."""
        if self._notes:
            self._notes.pop(uid, None)

    def _due(self, gang: str) -> None:
        report = self._reports.pop(gang, None)
        if report is None:
            return
        self._told[gang] = requests.reason_of(report)
        waiting = [(pod, task.message) for task in report.tasks for pod in task.pods]
        for (uid, namespace, name), message in waiting[: self._pace.pods_per_gang]:
            self.tell(uid, f"{namespace}/{name}", "Unschedulable", message or report.message)

    async def _write_notes(self) -> None:
        while True:
            while self._order:
                uid = self._order.popleft()
                if uid in self._notes:
                    self._lanes.put(f"pod/{uid}", Rank.STATUS, partial(self._write, uid))
                    await anyio.sleep(1 / self._pace.pods_per_s)
            self._noted = anyio.Event()
            await self._noted.wait()

    async def _write(self, uid: PodUid) -> None:
        # Looked up only now: a binding that came first has taken the note away.
        note = self._notes.pop(uid, None)
        pod = None if note is None else self._pods(note[0])
        if note is None or pod is None or pod.metadata.uid != uid:
            return
        request = requests.pod_condition_request(pod, note[1], note[2], self._moment())
        if request is None:
            return
        try:
            await self._sender.send(request)
        except (ApiError, TransportError, Fenced):
            # Not worth a second write: the PodGroup says it too.
            return
        self.written += 1
