"""Kubeconfig files as one mapping: KUBECONFIG may name several, and the first one to say a thing wins."""

import os
from pathlib import Path
from typing import Any

import yaml

from flowbatch.api.meta import JsonObject
from flowbatch.errors import did_you_mean
from flowbatch.kube.errors import ConfigError

#: Fields that name files; relative ones are relative to the file that says so.
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_PARTS = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))


def kubeconfig_files(explicit: str | Path | None = None) -> list[Path]:
    """The files to read: `explicit`, else those of KUBECONFIG, else ~/.kube/config; only those that exist."""
    if explicit is not None:
        path = Path(explicit).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no kubeconfig file {path}")
        return [path]
    listed = os.environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in listed.split(os.pathsep) if part]
    return [path for path in paths or [Path.home() / ".kube" / "config"] if path.is_file()]


def merged(files: list[Path]) -> JsonObject:
    """One kubeconfig from several, with absolute paths in it."""
    whole: JsonObject = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for file in files:
        each = _read(file)
        for plural, singular in _PARTS:
            known = {item.get("name") for item in whole[plural]}
            whole[plural] += [
                _absolute(item, singular, file) for item in _named(each, plural, file) if item.get("name") not in known
            ]
        if not whole.get("current-context") and each.get("current-context"):
            whole["current-context"] = each["current-context"]
    return whole


def _read(file: Path) -> JsonObject:
    try:
        content = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (both are safe)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise ConfigError(f"cannot read kubeconfig {file}: {problem}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"kubeconfig {file} is not a mapping")
    return content


def _named(config: JsonObject, plural: str, file: Path) -> list[JsonObject]:
    items = config.get(plural) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ConfigError(f"kubeconfig {file}: {plural} must be a list of mappings with a name")
    return items


def _absolute(item: JsonObject, singular: str, file: Path) -> JsonObject:
    body: JsonObject = dict(item.get(singular) or {})
    for field in _PATHS:
        if body.get(field):
            body[field] = str(file.resolve().parent / Path(str(body[field])).expanduser())
    command = (body.get("exec") or {}).get("command", "")
    if os.sep in command and not Path(command).is_absolute():
        body["exec"] = {**body["exec"], "command": str(file.resolve().parent / command)}
    return {"name": item.get("name"), singular: body}


def part(config: JsonObject, plural: str, name: str, asked_by: str) -> JsonObject:
    """The body of the cluster, user or context called `name`. Raises ConfigError, naming the nearest one."""
    singular = plural[:-1]
    for item in config[plural]:
        if item["name"] == name:
            found: JsonObject = item[singular]
            return found
    names = [str(item["name"]) for item in config[plural]]
    hint = did_you_mean(name, names) if names else f"there are no {plural}"
    raise ConfigError(f"{asked_by}: the kubeconfig has no {singular} {name!r} ({hint})")


def text(body: JsonObject, field: str) -> str:
    """A field as text; absent and null are empty."""
    value: Any = body.get(field)
    return "" if value is None else str(value)
