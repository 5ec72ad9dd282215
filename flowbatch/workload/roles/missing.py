"""What plugins say about tasks that a job does not have, and ports that no pod can have."""

from collections.abc import Iterable, Iterator, Mapping

from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.roles.flags import Parsed

MAX_PORT = 65535


def missing_task(flag: str, flags: Parsed, tasks: Mapping[str, int]) -> Iterator[SpecError]:
    """The task that `flag` names is not there."""
    name = flags.text(flag)
    if name not in tasks:
        known = list(tasks)[:50]
        hint = did_you_mean(name[:100], known)
        near = hint.split('"')[1] if '"' in hint else "NAME"
        yield SpecError("", f"needs a {flag} task", name, f"name the task with --{flag}={near}; {hint}")


def missing_role(roles: Iterable[str], flags: Parsed, tasks: Mapping[str, int]) -> Iterator[SpecError]:
    """None of the tasks that the flags `roles` name is there."""
    names = [flags.text(role) for role in roles]
    if tasks and not any(name in tasks for name in names):
        hint = "e.g. --worker=" + next(iter(tasks))
        yield SpecError("", "finds no task of any role: " + ", ".join(names), None, hint)


def bad_ports(flags: Parsed) -> Iterator[SpecError]:
    """Flags that are ports and out of range."""
    for name, value in flags.values.items():
        if name.lower().endswith("port") and not 1 <= int(value) <= MAX_PORT:
            yield SpecError("", f"--{name} must be 1 to {MAX_PORT}", value)
