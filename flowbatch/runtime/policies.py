"""The policies that the settings ask for, or every problem in them with the path where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowbatch.engine.engine import Engine
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.policy.policy import Policy
from flowbatch.policy.reading import Asked, policy_from
from flowbatch.runtime.plugins import PolicyFiles, found_policies
from flowbatch.runtime.settings import Settings, volcano_words


@dataclass(frozen=True)
class Chosen:
    """What is in force: the policy, what was asked for it, and what decides in its shadow."""

    policy: Policy
    asked: Asked
    shadow: Policy | None = None


def choose(settings: Settings, files: PolicyFiles | None = None) -> Chosen:
    """The policies of these settings. Raises SpecErrors with every problem."""
    problems: list[SpecError] = []
    table = _table(settings.policy_files, files, problems)
    policy = _read(settings.asked, table, "" if settings.words else "scheduler.policy", problems)
    shadow = (
        _read(settings.scheduler.shadow, table, "scheduler.shadow", problems) if settings.scheduler.shadow else None
    )
    for where, each in (("scheduler.policy", policy), ("scheduler.shadow", shadow)):
        problems += _adoptable(where, each)
    if problems or policy is None:
        raise SpecErrors(problems, settings.source or "settings")
    return Chosen(policy, settings.asked, shadow)


def problems_in(tree: Mapping[str, Any], folder: Path) -> list[SpecError]:
    """What is wrong with the policies of settings that are wrong elsewhere too, so that one error tells all."""
    problems: list[SpecError] = []
    named = tree.get("policies")
    paths = [folder / each for each in named if isinstance(each, str)] if isinstance(named, list) else []
    table = _table(paths, None, problems)
    scheduler = tree.get("scheduler")
    said = scheduler if isinstance(scheduler, Mapping) else {}
    asked = {"": volcano_words(tree), "scheduler.policy": said.get("policy"), "scheduler.shadow": said.get("shadow")}
    for path, each in asked.items():
        if isinstance(each, str | Mapping) and each:
            _read(each, table, path, problems)
    return problems


def _adoptable(where: str, policy: Policy | None) -> list[SpecError]:
    """Why no engine can take a policy on: found out with one that knows nothing, before one that does."""
    try:
        if policy is not None:
            Engine(policy)
    except Exception as error:  # somebody's class may raise wherever it is looked at
        return [SpecError(where, f"cannot be taken on: {type(error).__name__}: {error}")]
    return []


def _table(paths: list[Path], files: PolicyFiles | None, problems: list[SpecError]) -> dict[str, Any]:
    return {**found_policies(), **(files or PolicyFiles()).read(paths, problems)}


def _read(asked: Asked, table: Mapping[str, Any], where: str, problems: list[SpecError]) -> Policy | None:
    try:
        return policy_from(asked, table)
    except SpecErrors as error:
        problems += [SpecError(_path(where, each.path), each.problem, each.value, each.hint) for each in error]
        return None


def _path(where: str, inner: str) -> str:
    return where if inner == "$" else f"{where}.{inner}" if where else inner
