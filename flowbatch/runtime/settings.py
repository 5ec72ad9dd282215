"""What an administrator can set: one typed tree, read strictly, from a file, the environment and flags.

Flags override the environment (`FLOWBATCH_HEALTH_PORT`), which overrides the file. A mistake is one error naming every
problem with its path; at start it ends the program, on a reload the settings in force stay and the health page says so.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from flowbatch.admission.resource_groups import ResourceGroup
from flowbatch.api.names import SCHEDULER_NAME
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.runtime.files import read_file
from flowbatch.runtime.logs import LogFormat, LogLevel
from flowbatch.scheduler.statuses import Pace
from flowbatch.workload.discovery import read_discovery

ENVIRONMENT_PREFIX: Final = "FLOWBATCH_"


class Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of the settings' parts."""


class SchedulerSettings(Section, frozen=True):
    """How gangs are placed."""

    names: tuple[str, ...] = (SCHEDULER_NAME,)
    #: A preset (default, spread, fifo) or a policy of yours by name, or a description in flowbatch's or Volcano's
    #: words.
    policy: str | dict[str, Any] = ""
    #: A second policy, named or described: it decides on the same facts, its differences are told, it binds nothing.
    shadow: str | dict[str, Any] = ""
    lanes: int = 64
    pace: Pace = Pace()
    #: A file for every fact and tick; empty for none.
    journal: str = ""
    #: Recompute all books after each cycle: slow, for finding bugs.
    validate: bool = False


class ControllerSettings(Section, frozen=True):
    """Which controllers run (all, if none is named), and how many jobs are reconciled at once."""

    enabled: tuple[str, ...] = ()
    lanes: int = 16
    #: The image of the containers that fetch inputs and store outputs; empty for flowbatch's own of this version.
    staging_image: str = ""
    #: Volcano's sources of HyperNodes; of them flowbatch has `label`.
    network_topology_discovery: tuple[dict[str, Any], ...] = ()


class ElectionSettings(Section, frozen=True):
    """One replica leads. Off for a single process such as `flowbatch up`."""

    enabled: bool = False
    namespace: str = "flowbatch-system"
    #: Empty: the component's own name.
    name: str = ""
    identity: str = ""
    lease_s: float = 15.0
    renew_s: float = 10.0
    retry_s: float = 2.0


class HealthSettings(Section, frozen=True):
    """The health, metrics and debug server: port 0 picks a free one, -1 means none. Loopback unless told otherwise."""

    host: str = "127.0.0.1"
    port: int = -1


class WebhookSettings(Section, frozen=True):
    """The admission webhook: where it listens, under which names it is called, and whose certificate it shows."""

    host: str = "127.0.0.1"
    port: int = 8443
    namespace: str = "flowbatch-system"
    service: str = "flowbatch-webhook"
    #: More DNS names for its certificate: where it is called by URL.
    names: tuple[str, ...] = ()
    #: The Secret in which its authority and certificate are kept.
    secret: str = "flowbatch-webhook-tls"  # noqa: S105  (its name)
    #: Name of the validating and of the mutating webhook configuration that are made to trust it.
    configuration: str = "flowbatch"
    #: A folder with tls.crt and tls.key that somebody else keeps in force; empty: the webhook makes its own.
    certificates: str = ""
    #: Volcano's `resourceGroups`: where pods of certain namespaces belong.
    resource_groups: tuple[ResourceGroup, ...] = ()


class LogSettings(Section, frozen=True):
    """How much is logged, and how it looks."""

    level: LogLevel = "info"
    format: LogFormat = "auto"


class Settings(Section, frozen=True):
    """All of it."""

    scheduler: SchedulerSettings = SchedulerSettings()
    controllers: ControllerSettings = ControllerSettings()
    election: ElectionSettings = ElectionSettings()
    health: HealthSettings = HealthSettings()
    webhook: WebhookSettings = WebhookSettings()
    log: LogSettings = LogSettings()
    #: Python files with policies, relative to the settings file; they are read again when they change.
    policies: tuple[str, ...] = ()
    #: Volcano's scheduler configuration, as it is: what the scheduler does, its plugins by tier with their switches and
    #: arguments, arguments of actions, and where measured use comes from.
    actions: Any = None
    tiers: Any = None
    configurations: Any = None
    metrics: Any = None
    #: Where it was read from: not a setting, and watched for changes.
    source: str = ""

    @property
    def words(self) -> dict[str, Any]:
        """What stands at the top in Volcano's words."""
        return volcano_words({key: getattr(self, key) for key in VOLCANO_KEYS})

    @property
    def asked(self) -> str | dict[str, Any]:
        """The policy asked for: Volcano's words, else `scheduler.policy`."""
        return self.words or self.scheduler.policy

    @property
    def policy_files(self) -> list[Path]:
        """Where the Python policies are."""
        folder = Path(self.source)
        folder = folder if folder.is_dir() else folder.parent
        return [folder / each for each in self.policies]


#: Fields that no file, variable or flag can set.
_INTERNAL: Final = frozenset({"source"})
#: Keys of Volcano's own configuration, at the top of the file.
VOLCANO_KEYS: Final = ("actions", "tiers", "configurations", "metrics")


#: Settings that a running program takes over; the others wait for its next start.
LIVE: Final = ("scheduler.policy", "scheduler.shadow", "policies", "webhook.resourceGroups", *VOLCANO_KEYS)


def waiting_for_a_start(begun: Settings, fresh: Settings) -> list[str]:
    """Settings that have changed since the program began and are not in force yet."""
    return [path for path, _ in _leaves(Settings) if path not in LIVE and _value(begun, path) != _value(fresh, path)]


def _value(settings: Settings, path: str) -> object:
    tree: object = msgspec.to_builtins(settings)
    for name in path.split("."):
        tree = tree[name] if isinstance(tree, dict) else None
    return tree


def volcano_words(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the settings that is a Volcano scheduler configuration."""
    return {key: tree[key] for key in VOLCANO_KEYS if tree.get(key) is not None}


def load_settings(
    path: Path | str | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force. `flags` are by dotted path (`{"health.port": 8080}`). Raises SpecErrors."""
    tree = read_file(path) if path else {}
    _overlay(tree, variables(os.environ if environment is None else environment))
    _overlay(tree, flags or {})
    settings = decode_settings(tree, subject=str(path or "settings"))
    return msgspec.structs.replace(settings, source=str(path)) if path else settings


def variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the environment names, by dotted path; other FLOWBATCH_ variables are somebody else's."""
    found: dict[str, Any] = {}
    for path, name in _leaves(Settings):
        text = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if text is not None:
            found[path] = yaml.safe_load(text) if text else ""
    return found


def _leaves(section: type[msgspec.Struct], path: str = "", name: str = "") -> Iterator[tuple[str, str]]:
    """Every setting as (`health.port`, `health_port`)."""
    for field in msgspec.structs.fields(section):
        if field.name in _INTERNAL:
            continue
        dotted, flat = f"{path}{field.encode_name}", f"{name}{field.name}"
        if _is_section(field.type):
            yield from _leaves(field.type, dotted + ".", flat + "_")
        else:
            yield dotted, flat


def _overlay(tree: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for path, value in settings.items():
        *sections, leaf = path.split(".")
        within = tree
        for section in sections:
            inner = within.get(section)
            within = within.setdefault(section, {}) if isinstance(inner, dict) or inner is None else {}
        within[leaf] = value


def decode_settings(tree: Mapping[str, Any], subject: str = "settings") -> Settings:
    """`tree` as Settings. Raises SpecErrors with every problem."""
    problems = [*_problems(Settings, tree, ""), *_twice(tree), *_discovery(tree)]
    if problems:
        # One error for all of it; loaded here because numpy comes with it, and the controllers need none.
        from flowbatch.runtime.policies import problems_in

        path = Path(subject)
        problems += problems_in(tree, path if path.is_dir() else path.parent)
        raise SpecErrors(problems, subject)
    return msgspec.convert(tree, Settings, strict=False)


def _twice(tree: Mapping[str, Any]) -> Iterator[SpecError]:
    scheduler = tree.get("scheduler")
    words = volcano_words(tree)
    if words and isinstance(scheduler, Mapping) and scheduler.get("policy"):
        yield SpecError("scheduler.policy", f"is said already, by {' and '.join(words)} at the top of the file")


def _discovery(tree: Mapping[str, Any]) -> Iterator[SpecError]:
    controllers = tree.get("controllers")
    if isinstance(controllers, Mapping):
        _, problems = read_discovery(
            controllers.get("networkTopologyDiscovery"), "controllers.networkTopologyDiscovery"
        )
        yield from problems


def _problems(section: type[msgspec.Struct], tree: object, path: str) -> Iterator[SpecError]:
    if not isinstance(tree, Mapping):
        yield SpecError(path.rstrip("."), "must be a mapping", tree)
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(section) if field.name not in _INTERNAL}
    for key, value in tree.items():
        field = fields.get(key) if isinstance(key, str) else None
        if field is None:
            yield SpecError(f"{path}{key}", "is no setting", hint=did_you_mean(str(key), fields))
        elif _is_section(field.type):
            yield from _problems(field.type, value, f"{path}{key}.")
        else:
            yield from _misfit(field.type, value, f"{path}{key}")


def _misfit(kind: Any, value: object, path: str) -> Iterator[SpecError]:
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        yield SpecError(path, str(error), value)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
