"""What an operator may turn: frozen values, units in the names."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from flowbatch.api.names import SCHEDULER_NAME
from flowbatch.controllers.clock import SteadyClock
from flowbatch.workload.discovery import TopologyType
from flowbatch.workload.staging.pod import IMAGE

#: Every controller that can be switched off by name.
CONTROLLERS = ("job", "podgroup", "queue", "command", "cronjob", "jobflow", "jobtemplate", "hypernode")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of all controllers. The defaults suit a laptop and a cluster of thousands of nodes alike."""

    #: Which controllers run; see `CONTROLLERS`.
    enabled: frozenset[str] = frozenset(CONTROLLERS)
    #: Pods of these schedulers are ours to group.
    scheduler_names: tuple[str, ...] = (SCHEDULER_NAME,)
    #: Jobs worked on at once; within one job, writes in flight at once.
    lanes: int = 16
    writes_per_job: int = 32
    #: A burst of pod changes of one job is awaited this long, longer for larger jobs, never beyond the second figure.
    settle_s: float = 0.02
    settle_longest_s: float = 0.2
    #: How long a status may stay unwritten, in the hope that the next one replaces it: a new phase that is not an
    #: end, and counts alone (doubling while nothing but counts changes, up to the third figure).
    phase_delay_s: float = 0.25
    counts_delay_s: float = 1.0
    counts_longest_s: float = 5.0
    #: How long the cache may lag behind one of our own writes before the server is asked itself.
    lag_s: float = 5.0
    #: Queue counts are written at most this often.
    queue_delay_s: float = 1.0
    #: How often pods are asked what the probes of a waiting step ask.
    probe_period_s: float = 1.0
    #: A Command whose target does not exist is deleted after this long.
    orphan_command_s: float = 60.0
    #: What runs the program that fetches inputs and stores outputs; process nodes need none.
    staging_image: str = IMAGE
    #: Labels of nodes from which HyperNodes are made; without any that controller does not run. How long a burst of
    #: labels is awaited.
    discovery: tuple[TopologyType, ...] = ()
    discovery_settle_s: float = 1.0
    now: Callable[[], datetime] = field(default_factory=SteadyClock)

    @property
    def running(self) -> frozenset[str]:
        """Those of the enabled controllers that have something to do."""
        return self.enabled if self.discovery else self.enabled - {"hypernode"}

    def __post_init__(self) -> None:
        unknown = sorted(self.enabled - set(CONTROLLERS))
        if unknown:
            raise ValueError(f"no such controller: {', '.join(unknown)}; there are {', '.join(CONTROLLERS)}")
