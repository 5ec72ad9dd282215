"""What only the DSL can see: Python values that have no honest JSON form.

The rules of `flowbatch.workload` judge the manifest; they cannot tell a float that came out of a sum from one that was
typed, nor an object that JSON has no word for. Paths are spelled as on the wire, as everywhere.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flowbatch.errors import SpecError
from flowbatch_dsl.data import Fetch, Store
from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On, Retry
from flowbatch_dsl.resources import GPU, Resources
from flowbatch_dsl.task import Task

_COUNTS = {"replicas": "replicas", "min": "minAvailable", "retries": "maxRetry"}
_SECRET_WORDS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "API_KEY", "PRIVATE_KEY", "CREDENTIAL")


def unbuildable(job: Job) -> list[SpecError]:
    """Parts of `job` that are not specs at all; with these there is no manifest to judge."""
    found = [_no_spec(f"spec.tasks[{i}]", "a Task", task) for i, task in enumerate(job.tasks) if type(task) is not Task]
    found += _no_policies("spec.policies", job.on)
    found += _no_rules("spec.retry", job.retry)
    found += _no_data("spec", job.inputs, job.outputs)
    tasks: tuple[Any, ...] = tuple(job.tasks)
    for i, task in enumerate(tasks):
        if isinstance(task, Task):
            found += _no_parts(i, task.resources, task.env, task.on)
            found += _no_rules(f"spec.tasks[{i}].retry", task.retry)
            found += _no_data(f"spec.tasks[{i}]", task.inputs, task.outputs)
    return found


def _no_parts(index: int, resources: Any, env: Any, policies: Any) -> list[SpecError]:
    found = _no_policies(f"spec.tasks[{index}].policies", policies)
    if not isinstance(resources, Resources):
        found.append(_no_spec(f"{_container(index)}.resources", "a Resources", resources))
    if not isinstance(env, Mapping):
        found.append(_no_spec(f"{_container(index)}.env", "a dict of str", env))
    return found


def _no_rules(path: str, rules: Any) -> list[SpecError]:
    return [] if rules is None or isinstance(rules, Retry) else [_no_spec(path, "a Retry", rules)]


def _no_data(path: str, inputs: Any, outputs: Any) -> list[SpecError]:
    found = [
        _no_spec(f"{path}.inputs[{i}]", "a Fetch", each) for i, each in enumerate(inputs) if type(each) is not Fetch
    ]
    wrong = [(i, each) for i, each in enumerate(outputs) if type(each) is not Store]
    return found + [_no_spec(f"{path}.outputs[{i}]", "a Store", each) for i, each in wrong]


def _no_policies(path: str, policies: Any) -> list[SpecError]:
    return [_no_spec(f"{path}[{i}]", "an On", on) for i, on in enumerate(policies) if not isinstance(on, On)]


def _no_spec(path: str, wanted: str, value: object) -> SpecError:
    return SpecError(path, f"must be {wanted}, not {type(value).__name__}", value)


def inexact(job: Job) -> Iterator[SpecError]:
    """Values that would change, or could not be written, on the way to the wire."""
    for index, task in enumerate(job.tasks):
        yield from _counts(task, f"spec.tasks[{index}]")
        yield from _words(task.command, f"{_container(index)}.command")
        yield from _env(task.env, f"{_container(index)}.env")
        yield from _amounts(task.resources, index)


def _counts(task: Task, path: str) -> Iterator[SpecError]:
    for field, wire in _COUNTS.items():
        value = getattr(task, field)
        if value is not None and type(value) is not int:
            yield SpecError(f"{path}.{wire}", "must be a whole number", value, "an int such as 3")


def _words(command: Any, path: str) -> Iterator[SpecError]:
    for i, word in enumerate(command):
        if not isinstance(word, str):
            yield SpecError(f"{path}[{i}]", f"must be text, not {type(word).__name__}", word, f'write "{word}"')


def _env(env: Mapping[str, Any], path: str) -> Iterator[SpecError]:
    for name, value in env.items():
        if not isinstance(value, str):
            problem = f"must be text, not {type(value).__name__}"
            yield SpecError(f"{path}[{name}]", problem, None, "environment values are strings")


def _amounts(resources: Resources, index: int) -> Iterator[SpecError]:
    at = f"{_container(index)}.resources.requests"
    named = {f"{at}.cpu": resources.cpu, f"{at}.memory": resources.memory, f"{at}.{GPU}": resources.gpu}
    named[f"spec.tasks[{index}].template.spec.volumes[0].emptyDir.sizeLimit"] = resources.shm
    extra: Any = resources.extra
    if not isinstance(extra, Mapping):
        yield _no_spec(at, "a dict of quantities", extra)
        extra = {}
    named |= {f"{at}.{name}": value for name, value in extra.items()}
    for path, value in named.items():
        if isinstance(value, float):
            yield _inexact_amount(path, value)
        elif value is not None and not isinstance(value, str):
            yield SpecError(
                path, f"must be a quantity, not {type(value).__name__}", value, 'such as 2, "500m" or "4Gi"'
            )


def _inexact_amount(path: str, value: float) -> SpecError:
    if value != value or value in (float("inf"), float("-inf")):
        return SpecError(path, "is not a quantity", value, "a finite number")
    meant = f'did you mean "{round(value * 1000)}m"?' if path.endswith(".cpu") else 'write it as text, e.g. "512Mi"'
    return SpecError(path, "is a float with no exact quantity", value, meant)


def foreign(value: Any, path: str) -> Iterator[SpecError]:
    """Everything in a manifest that JSON has no word for."""
    stack = [(value, path)]
    while stack:
        item, at = stack.pop()
        if isinstance(item, dict):
            yield from (SpecError(at, "has a key that is not text", key) for key in item if not isinstance(key, str))
            stack += [(inner, f"{at}.{key}" if at else str(key)) for key, inner in reversed(item.items())]
        elif isinstance(item, list):
            stack += [(inner, f"{at}[{i}]") for i, inner in reversed(list(enumerate(item)))]
        elif item is not None and not isinstance(item, (str, bool, int, float)):
            yield SpecError(at, f"has no JSON form: {type(item).__name__}", item)


def doubtful(job: Job) -> Iterator[SpecError]:
    """Legal, but probably not what was meant."""
    for index, task in enumerate(job.tasks):
        for name in task.env:
            if any(word in str(name).upper() for word in _SECRET_WORDS):
                hint = "refer to a Secret through Task.pod"
                yield SpecError(f"{_container(index)}.env[{name}]", "looks like a secret in plain text", None, hint)
        for field, amount in (("memory", task.resources.memory), ("shm", task.resources.shm)):
            if isinstance(amount, str) and amount.endswith("m"):
                at = f"{_container(index)}.resources.requests.{field}"
                yield SpecError(at, "is in thousandths of a byte", amount, f'did you mean "{amount[:-1]}Mi"?')


def _container(index: int) -> str:
    return f"spec.tasks[{index}].template.spec.containers[0]"
