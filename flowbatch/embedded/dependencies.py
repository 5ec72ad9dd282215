"""J5: a task gets its first pod only after all (or any) of what it depends on had come as far as it must.

Judged from stored pods alone, by a reading of `dependsOn` of its own. What held at some moment has held: a cache may
lag behind what the server knew when the pod was made, and a task that has come once may be made anew at any time.
"""

from collections import defaultdict
from typing import Any

from flowbatch.api.meta import JsonObject

Place = tuple[str, str, str]
_RUNNING, _READY, _SUCCEEDED = "Running", "Ready", "Succeeded"


class Dependencies:
    """How far each task of each job has come, ever."""

    def __init__(self) -> None:
        #: (job uid, task, status) -> indexes of pods that have it now; success stays when its pod goes.
        self._there: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._come: set[tuple[str, str, str]] = set()

    def born(self, job: JsonObject, place: Place) -> str:
        """What is wrong with making a pod in this place now; "" if nothing is."""
        uid, task, _ = place
        needs = _task(job, task).get("dependsOn") or {}
        wanted = list(needs.get("name") or ())
        status = needs.get("status") or _READY
        come = [(uid, name, status) in self._come or self._least(job, name, status) == 0 for name in wanted]
        one_is_enough = needs.get("iteration") == "any" and len(wanted) > 1
        if not wanted or (any(come) if one_is_enough else all(come)):
            return ""
        missing = [name for name, there in zip(wanted, come, strict=True) if not there]
        return f"task {task} has a pod before {', '.join(missing)} came to be {status}"

    def saw(self, job: JsonObject, place: Place, pod: JsonObject | None) -> None:
        """The pod in this place as it is now; None when it is gone."""
        uid, task, index = place
        phase = str((pod or {}).get("status", {}).get("phase") or "")
        now = {
            _RUNNING: phase in ("Running", "Succeeded"),
            _READY: phase == "Succeeded" or (phase == "Running" and _is_ready(pod or {})),
            _SUCCEEDED: phase == "Succeeded",
        }
        for status, holds in now.items():
            there = self._there[uid, task, status]
            if holds:
                there.add(index)
            elif index not in self._there[uid, task, _SUCCEEDED]:
                there.discard(index)
            if len(there) >= self._least(job, task, status):
                self._come.add((uid, task, status))

    @staticmethod
    def _least(job: JsonObject, name: str, status: str) -> int:
        task = _task(job, name)
        replicas = int(task.get("replicas") or 0)
        least = int(task["minAvailable"]) if task.get("minAvailable") is not None else replicas
        return max(least, min(1, replicas)) if status == _SUCCEEDED else least


def _task(job: JsonObject, name: str) -> dict[str, Any]:
    found = (each for each in job.get("spec", {}).get("tasks") or () if each.get("name") == name)
    return next(found, {})


def _is_ready(pod: JsonObject) -> bool:
    status = pod.get("status", {})
    said = [each.get("status") for each in status.get("conditions") or () if each.get("type") == "Ready"]
    containers = status.get("containerStatuses") or ()
    return said[0] == "True" if said else bool(containers) and all(each.get("ready") for each in containers)
