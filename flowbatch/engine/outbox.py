"""What goes out with the next plan, and what was said last, so that nothing is said twice."""

from collections.abc import Iterable

import msgspec

from flowbatch.engine.complaints import complaints
from flowbatch.engine.decisions import (
    NOWHERE,
    Ask,
    Bind,
    Evict,
    HyperNodeReport,
    Nominate,
    QueueReport,
    Release,
    Report,
    Ungate,
)
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, HyperNodeName, QueueName
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.state import ClusterState
from flowbatch.model.topology import Topology


class Outbox:
    """Orders in the order they were decided, then reports."""

    def __init__(self) -> None:
        self._orders: list[Bind | Evict | Nominate | Release | Ungate | Ask] = []
        self._touched: dict[GangId, None] = {}
        #: With the uid it was said of: a successor of the same name has heard nothing yet.
        self._said: dict[GangId, tuple[str, Report]] = {}
        self._queues: dict[QueueName, tuple[str, QueueReport]] = {}
        #: What is wrong with queues, as of which version of their tree.
        self._wrong: dict[QueueName, tuple[str, ...]] = {}
        self._judged = -1
        self._domains: dict[HyperNodeName, HyperNodeReport] = {}
        #: The version of the topology that has been told.
        self._told = 0

    def bind(self, order: Bind) -> None:
        """Send this."""
        self._orders.append(order)

    def evict(self, order: Evict) -> None:
        """Send this one away."""
        self._orders.append(order)

    def nominate(self, order: Nominate) -> None:
        """Note whose room this will be."""
        self._orders.append(order)

    def release(self, order: Release) -> None:
        """Have this given back."""
        self._orders.append(order)

    def ungate(self, order: Ungate) -> None:
        """Let autoscalers see this one."""
        self._orders.append(order)

    def ask(self, order: Ask) -> None:
        """Ask this."""
        self._orders.append(order)

    def drain(self) -> list[Bind | Evict | Nominate | Release | Ungate | Ask]:
        """All orders since the last plan."""
        orders, self._orders = self._orders, []
        return orders

    def touch(self, gang: GangId) -> None:
        """Something about this gang may be news."""
        self._touched[gang] = None

    def touched(self) -> Iterable[GangId]:
        """Gangs to report on, once."""
        touched, self._touched = self._touched, {}
        return touched

    def forget(self, gang: GangId) -> None:
        """The gang is gone."""
        self._said.pop(gang, None)

    def news(self, report: Report, gang: Gang) -> bool:
        """Whether `report` is worth a write. Mere counts wait until the gang has settled: not one write per pod."""
        uid = gang.fact.uid if gang.fact is not None else ""
        said_of, last = self._said.get(report.gang, ("", None))
        if said_of != uid:
            last = None
        if last == report:
            return False
        fact = gang.fact
        same = fact is not None and fact.phase == report.phase and report.home in (NOWHERE, fact.home)
        if last is None and not report.blocker and same:
            # After a restart the wire says so already.
            self._said[report.gang] = uid, report
            return False
        counts = {"running": report.running, "succeeded": report.succeeded, "failed": report.failed}
        settled = not (
            gang.count(TaskState.HELD)
            or gang.count(TaskState.BINDING)
            or gang.count(TaskState.BOUND)
            or gang.count(TaskState.RELEASING)
        )
        if last is not None and not settled and msgspec.structs.replace(last, **counts) == report:
            return False
        self._said[report.gang] = uid, report
        return True

    def domain_news(self, topology: Topology) -> list[HyperNodeReport]:
        """HyperNodes that are not what was last said of them."""
        if topology.version == self._told:
            return []
        self._told = topology.version
        self._domains = {name: said for name, said in self._domains.items() if name in topology.by_name}
        news: list[HyperNodeReport] = []
        for name, domain in topology.by_name.items():
            report = HyperNodeReport(name, int(domain.rows.size), domain.problem)
            if self._domains.get(name) != report:
                self._domains[name] = report
                news.append(report)
        return news

    def queue_news(self, state: ClusterState) -> list[QueueReport]:
        """Queues of which allocation, or what is wrong, is not what was last said."""
        tree = state.queues
        if self._judged != tree.version:
            self._judged = tree.version
            self._wrong = complaints(state)
        news: list[QueueReport] = []
        for name, queue in tree.by_name.items():
            if queue.fact is None:
                self._queues.pop(name, None)
                continue
            said_of, said = self._queues.get(name, (None, None))
            allocated, wrong = state.axes.amounts(queue.allocated), self._wrong.get(name, ())
            # A namesake has heard nothing yet, and after a restart the object may say what was true before.
            if said is None or said.allocated != allocated or said.problems != wrong or said_of != queue.fact.uid:
                report = QueueReport(name, allocated, wrong)
                self._queues[name] = queue.fact.uid, report
                news.append(report)
        return news
