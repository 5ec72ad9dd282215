"""What a simulated pod does, by its annotations, and the status that shows it; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flowbatch.api.core import Pod
from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.embedded.nodes.specification import ADDRESS

PREFIX = "flowbatch.dev/sim-"
RUN_SECONDS = f"{PREFIX}run-seconds"
START_SECONDS = f"{PREFIX}start-seconds"
EXIT_CODE = f"{PREFIX}exit-code"
FAIL_TIMES = f"{PREFIX}fail-times"


@dataclass(frozen=True, slots=True)
class Script:
    """How a pod goes: `run_s` None is for ever; the first `fail_times` tries fail, the next ends with `exit_code`."""

    start_s: float = 0.0
    run_s: float | None = None
    exit_code: int = 0
    fail_times: int = 0

    def exit_code_of(self, attempt: int) -> int:
        """How the `attempt`-th try (from 1) ends."""
        return (self.exit_code or 1) if attempt <= self.fail_times else 0 if self.fail_times else self.exit_code


def script_of(annotations: Mapping[str, str]) -> Script:
    """The script of a pod; what is not a number counts as not there."""
    run_s, fail_times = _number(annotations, RUN_SECONDS), _number(annotations, FAIL_TIMES)
    if run_s is None and (fail_times or EXIT_CODE in annotations):
        run_s = 0.0
    return Script(
        start_s=_number(annotations, START_SECONDS) or 0.0,
        run_s=run_s,
        exit_code=int(_number(annotations, EXIT_CODE) or 0),
        fail_times=int(fail_times or 0),
    )


def attempts_of(tries: Mapping[str, int], pod: Pod) -> int:
    """How often this pod's name has started, itself included."""
    return tries.get(pod.metadata.key, 1)


def _number(annotations: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(annotations[name])
    except (KeyError, ValueError):
        return None
    return value if 0 <= value < 1e9 else None


def status_at(
    pod: Pod, moment: int | Literal["running"], now: datetime, ip: str, start: datetime, restarts: int
) -> JsonObject:
    """The status of a pod that runs, or that ended with an exit code."""
    running = moment == "running"
    when = format_time(now)
    state: JsonObject = {"running": {"startedAt": when}}
    phase = "Running"
    if moment != "running":
        reason = "Completed" if moment == 0 else "Error"
        ended = {"exitCode": moment, "reason": reason, "startedAt": format_time(start), "finishedAt": when}
        state, phase = {"terminated": ended}, "Succeeded" if moment == 0 else "Failed"
    containers = [
        {"name": each.name, "image": each.image, "imageID": "", "ready": running, "started": running}
        | {"restartCount": restarts, "state": state}
        for each in pod.spec.containers
    ]
    status: JsonObject = {
        "phase": phase,
        "startTime": format_time(start),
        "hostIP": ADDRESS,
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "containerStatuses": containers,
        "conditions": [_condition(kind, when, running) for kind in ("Ready", "ContainersReady")]
        + [_condition(kind, when, True) for kind in ("Initialized", "PodScheduled")],
    }
    if pod.spec.init_containers:
        done = {"exitCode": 0, "reason": "Completed", "startedAt": format_time(start), "finishedAt": when}
        status["initContainerStatuses"] = [
            {"name": each.name, "image": each.image, "imageID": "", "ready": True, "restartCount": 0}
            | {"state": {"terminated": done}}
            for each in pod.spec.init_containers
        ]
    return status


def _condition(kind: str, when: str, value: bool) -> JsonObject:
    return {"type": kind, "status": "True" if value else "False", "lastTransitionTime": when}
