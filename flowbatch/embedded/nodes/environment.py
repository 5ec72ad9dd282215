"""A container's environment by Kubernetes' rules; pure.

`envFrom` first, `env` over it in order, each `value` with `$(NAME)` expanded from what came before; a reference to a
name that does not exist stays as it is written, and `$$` is a literal `$`.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flowbatch.api.core import ConfigMap, Secret
from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import QuantityError, parse
from flowbatch.embedded.nodes.runnable import RunnablePod
from flowbatch.errors import FlowbatchError

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(FlowbatchError):
    """A pod refers to something that is not there: its container waits as CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a pod's references resolve to. A missing object is absent from the mappings."""

    config_maps: Mapping[str, ConfigMap]
    secrets: Mapping[str, Secret]
    pod_ip: str
    host_ip: str
    #: Allocatable of the node, which stands in for a limit that is not set.
    allocatable: Mapping[str, str]
    #: Claims that are bound to a folder of this machine, by name.
    claims: Mapping[str, str] = field(default_factory=dict)


def expand(text: str, known: Mapping[str, str]) -> str:
    """`text` with `$(NAME)` replaced where NAME is known, and `$$` by `$`."""

    def value(match: re.Match[str]) -> str:
        if match.group(1) == "$":
            return "$"
        return known.get(match.group(2), match.group(0))

    return _REFERENCE.sub(value, text)


def container_env(
    pod: RunnablePod, container: JsonObject, around: Surroundings, base: Mapping[str, str]
) -> dict[str, str]:
    """`base`, `envFrom` and `env` of one container. Raises ConfigError."""
    env = dict(base)
    for source in container.get("envFrom") or ():
        env.update(_env_from(source, around))
    for entry in container.get("env") or ():
        if (source := entry.get("valueFrom")) is None:
            env[entry["name"]] = expand(str(entry.get("value", "")), env)
        elif (value := _value_from(pod, container, source, around)) is not None:
            env[entry["name"]] = value
    return env


def _env_from(source: JsonObject, around: Surroundings) -> dict[str, str]:
    prefix = str(source.get("prefix", ""))
    if reference := source.get("configMapRef"):
        values = _config_map(reference, around)
    elif reference := source.get("secretRef"):
        values = _secret(reference, around)
    else:
        return {}
    named = {prefix + key: value.decode(errors="surrogateescape") for key, value in (values or {}).items()}
    return {key: value for key, value in named.items() if _ENV_NAME.fullmatch(key)}


def _value_from(pod: RunnablePod, container: JsonObject, source: JsonObject, around: Surroundings) -> str | None:
    if reference := source.get("fieldRef"):
        return field_value(pod, str(reference["fieldPath"]), around)
    if reference := source.get("resourceFieldRef"):
        return resource_value(pod, container, reference, around)
    for kind, lookup in (("configMapKeyRef", _config_map), ("secretKeyRef", _secret)):
        if reference := source.get(kind):
            return _key_of(reference, lookup, kind, around)
    raise ConfigError(f"unknown valueFrom: {', '.join(source)}")


def _key_of(reference: JsonObject, lookup: "Lookup", kind: str, around: Surroundings) -> str | None:
    values = lookup(reference, around)
    if values is not None and reference["key"] in values:
        return values[reference["key"]].decode(errors="surrogateescape")
    if reference.get("optional"):
        return None
    raise ConfigError(f'couldn\'t find key {reference["key"]} in {kind.removesuffix("KeyRef")} "{reference["name"]}"')


Lookup = Callable[[JsonObject, Surroundings], "dict[str, bytes] | None"]


def _config_map(reference: JsonObject, around: Surroundings) -> dict[str, bytes] | None:
    found = around.config_maps.get(str(reference.get("name", "")))
    return _present("configmap", reference, config_map_data(found))


def _secret(reference: JsonObject, around: Surroundings) -> dict[str, bytes] | None:
    found = around.secrets.get(str(reference.get("name", "")))
    return _present("secret", reference, secret_data(found))


def _present(kind: str, reference: JsonObject, values: dict[str, bytes] | None) -> dict[str, bytes] | None:
    if values is None and not reference.get("optional"):
        raise ConfigError(f'{kind} "{reference.get("name", "")}" not found')
    return values


def config_map_data(config_map: ConfigMap | None) -> dict[str, bytes] | None:
    """Every key with its bytes; None of nothing."""
    if config_map is None:
        return None
    binary = {key: base64.b64decode(value) for key, value in config_map.binary_data.items()}
    return {**{key: value.encode() for key, value in config_map.data.items()}, **binary}


def secret_data(secret: Secret | None) -> dict[str, bytes] | None:
    """Every key with its decoded bytes; None of nothing."""
    if secret is None:
        return None
    return {key: base64.b64decode(value) for key, value in secret.data.items()}


def field_value(pod: RunnablePod, path: str, around: Surroundings) -> str:
    """The downward API's fields of a pod. Raises ConfigError for a path that it does not have."""
    meta = pod.metadata
    simple = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "metadata.labels": _as_lines(meta.labels),
        "metadata.annotations": _as_lines(meta.annotations),
        "spec.nodeName": pod.node,
        "spec.serviceAccountName": str(pod.spec.get("serviceAccountName", "default")),
        "status.podIP": around.pod_ip,
        "status.podIPs": around.pod_ip,
        "status.hostIP": around.host_ip,
        "status.hostIPs": around.host_ip,
    }
    if path in simple:
        return simple[path]
    if match := _SUBSCRIPT.fullmatch(path):
        return (meta.labels if match.group(1) == "labels" else meta.annotations).get(match.group(2), "")
    raise ConfigError(f"unsupported fieldPath: {path}")


def _as_lines(values: Mapping[str, str]) -> str:
    quoted = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, value in values.items()
    }
    return "\n".join(f'{key}="{quoted[key]}"' for key in sorted(quoted))


def resource_value(pod: RunnablePod, container: JsonObject, reference: JsonObject, around: Surroundings) -> str:
    """`requests.cpu` and its like in units of the divisor, rounded up; a missing limit is what the node has."""
    if name := reference.get("containerName"):
        container = next((each for each in pod.containers if each.get("name") == name), container)
    where, _, resource = str(reference["resource"]).partition(".")
    resources: dict[str, Any] = container.get("resources") or {}
    limit = (resources.get("limits") or {}).get(resource)
    asked = (resources.get("requests") or {}).get(resource, limit)
    value = limit if where == "limits" else asked
    if value is None:
        value = around.allocatable.get(resource, "0") if where == "limits" else "0"
    divisor = str(reference.get("divisor") or "1")
    try:
        exact: Fraction = parse(str(value)) / (parse(divisor) or 1)
    except QuantityError as error:
        raise ConfigError(f"{reference['resource']}: {error}") from None
    return str(-(-exact.numerator // exact.denominator))
