"""What a job's next pods owe to those that failed: other nodes, more memory, and a while to wait before.

Everything is read from the ledger, so a job is tried again in the same way whoever tries. The templates of the spec
stay as they are: what has been learnt is laid over them when pods are made, and when room is asked for.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec
from msgspec.structs import replace

from flowbatch.api.batch import Job, RetryRules, TaskSpec
from flowbatch.api.core import Pod
from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import QuantityError, exact_value, format_amount
from flowbatch.workload.ledger import Ledger

#: So many nodes are kept off at most, the newest; a job that fails everywhere must still be able to run somewhere.
MOST_AVOIDED = 8
#: Longest wait between two tries where nothing is said, in seconds.
DEFAULT_MAX_BACKOFF_S = 600
#: Doubling further says nothing: 2 to this many seconds is years.
_MOST_DOUBLINGS = 30
OOM_KILLED = "OOMKilled"

_NO_RULES = RetryRules()
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def rules_of(job: Job, task: str) -> RetryRules:
    """The rules for retries of `task` ("": of the job as a whole)."""
    own = next((each.retry for each in job.spec.tasks if each.name == task), None)
    return own or job.spec.retry or _NO_RULES


def backoff_s(rules: RetryRules, retry: int) -> int:
    """How long to wait before the `retry`-th retry, from 1."""
    first = rules.backoff_seconds or 0
    longest = DEFAULT_MAX_BACKOFF_S if rules.max_backoff_seconds is None else rules.max_backoff_seconds
    return min(first << min(max(0, retry - 1), _MOST_DOUBLINGS), max(first, longest))


def avoiding(known: tuple[str, ...], node: str) -> tuple[str, ...]:
    """`known` with `node` as the newest to keep off."""
    return (*(each for each in known if each != node), node)[-MOST_AVOIDED:]


def killed_for_memory(pod: Pod) -> list[str]:
    """Names of the containers that were killed because they used more memory than they may."""
    status = pod.status
    return [
        each.name
        for each in (*status.init_container_statuses, *status.container_statuses)
        if each.state.terminated is not None and each.state.terminated.reason == OOM_KILLED
    ]


def adapted(job: Job, ledger: Ledger) -> Job:
    """`job` with the templates from which its pods are to be made by now."""
    if not (ledger.avoided or ledger.raised):
        return job
    tasks = tuple(_adapted(task, rules_of(job, task.name), ledger) for task in job.spec.tasks)
    return replace(job, spec=replace(job.spec, tasks=tasks))


def _adapted(task: TaskSpec, rules: RetryRules, ledger: Ledger) -> TaskSpec:
    raised = {
        container: times
        for key, times in ledger.raised.items()
        for name, _, container in [key.partition("|")]
        if name == task.name
    }
    avoided = ledger.avoided if rules.avoid_failed_nodes else ()
    if not (raised or avoided) or not isinstance(task.template.get("spec"), dict):
        return task
    template: JsonObject = msgspec.json.decode(msgspec.json.encode(task.template))
    if raised:
        _raise_memory(template["spec"], rules, raised)
    if avoided:
        _keep_off(template["spec"], avoided)
    return replace(task, template=template)


def _raise_memory(pod: JsonObject, rules: RetryRules, raised: Mapping[str, int]) -> None:
    for field in ("initContainers", "containers"):
        for container in pod.get(field) or ():
            resources = container.get("resources") or {}
            for part in ("requests", "limits"):
                amounts = resources.get(part) or {}
                if "memory" in amounts and container.get("name") in raised:
                    amounts["memory"] = more_memory(amounts["memory"], rules, raised[container["name"]])


def more_memory(stated: Any, rules: RetryRules, times: int) -> Any:
    """`stated`, raised so many times within the limit; never less than it was."""
    percent, limit = rules.memory_increase_percent, rules.memory_limit
    if percent is None or limit is None:
        return stated
    try:
        before, most = exact_value(stated), exact_value(limit)
    except QuantityError:
        return stated
    raised = before
    for _ in range(times):
        if raised >= most:
            break
        raised *= Fraction(100 + percent, 100)
    wanted = min(raised, most)
    return format_amount("memory", -int(-wanted // 1)) if wanted > before else stated


def _keep_off(pod: JsonObject, nodes: tuple[str, ...]) -> None:
    """Demand other nodes in every alternative that the pod names (terms are alternatives, tests in a term are not)."""
    tests = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    affinity = pod.get("affinity") or {}
    to_nodes = affinity.get("nodeAffinity") or {}
    required = to_nodes.get(_REQUIRED) or {}
    terms = [
        {**term, "matchFields": [*(term.get("matchFields") or ()), *tests]}
        for term in required.get("nodeSelectorTerms") or [{}]
    ]
    pod["affinity"] = {**affinity, "nodeAffinity": {**to_nodes, _REQUIRED: {"nodeSelectorTerms": terms}}}
