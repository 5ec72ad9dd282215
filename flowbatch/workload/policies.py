"""Which action an event calls for (volcano.md 4.1): the task's policies, then the job's; the first match wins."""

from datetime import timedelta
from typing import cast

import msgspec

from flowbatch.api.batch import Job, LifecyclePolicy, TaskSpec
from flowbatch.api.timestamps import parse_duration
from flowbatch.workload.vocabulary import ACTIONS, ANY_EVENT, JOB_UPDATED, POD_FAILED, POD_PENDING, Action


class Happening(msgspec.Struct, frozen=True):
    """Something that happened to a pod, a task or the job, which a policy may answer."""

    event: str
    task: str = ""
    #: -1: not about one pod.
    index: int = -1
    uid: str = ""
    version: int = 0
    exit_code: int = 0
    #: Not the user's doing: an eviction, a lost node, a kubelet that refused.
    infrastructure: bool = False

    @property
    def key(self) -> str:
        """Its name among timers and fired conditions."""
        return f"{self.event}|{self.task}|{self.index}" if self.index >= 0 else f"{self.event}|{self.task}"

    def __str__(self) -> str:
        about = f"{self.task}-{self.index}" if self.index >= 0 else f"task {self.task}" if self.task else "job"
        code = f" (exit code {self.exit_code})" if self.exit_code else ""
        return f"{self.event} of {about}{code}"


class Answer(msgspec.Struct, frozen=True):
    """What to do, and how long to wait before."""

    action: Action
    delay: timedelta = timedelta()
    policy: str = ""


def answer(job: Job, task: TaskSpec | None, happening: Happening) -> Answer | None:
    """The policy's answer to `happening`, or None: just go on."""
    scopes = [(f"task {task.name}", task.policies)] if task is not None else []
    for scope, policies in (*scopes, ("job", job.spec.policies)):
        for policy in policies:
            if _matches(policy, happening) and policy.action in ACTIONS:
                return Answer(cast("Action", policy.action), delay_of(policy), scope)
    return None


def delay_of(policy: LifecyclePolicy) -> timedelta:
    """The policy's timeout; one that cannot be read was refused by the rules and counts as none."""
    try:
        return max(timedelta(), parse_duration(policy.timeout)) if policy.timeout else timedelta()
    except ValueError:
        return timedelta()


def _matches(policy: LifecyclePolicy, happening: Happening) -> bool:
    if policy.exit_code is not None:
        return happening.event == POD_FAILED and policy.exit_code == happening.exit_code != 0
    events = {policy.event, *policy.events}
    if happening.event == POD_PENDING and not delay_of(policy):
        return False
    if happening.event in events:
        return True
    # A catch-all is about trouble: scaling a job up must not restart it.
    return ANY_EVENT in events and happening.event != JOB_UPDATED


def listens_to(job: Job, event: str) -> bool:
    """Whether any policy of the job could answer `event`."""
    probe = Happening(event)
    every = [*job.spec.policies, *(policy for task in job.spec.tasks for policy in task.policies)]
    return any(policy.exit_code is None and _matches(policy, probe) for policy in every)
