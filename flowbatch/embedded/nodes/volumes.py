"""Where a container's volume mounts come from: files to write, empty directories, paths of this machine; pure.

A pod's volumes live below its own directory, `volumes/<name>`; only hostPath points elsewhere. What is not supported
is refused in words, never ignored.
"""

from dataclasses import dataclass, field
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.nodes.environment import (
    ConfigError,
    Surroundings,
    config_map_data,
    expand,
    field_value,
    resource_value,
    secret_data,
)
from flowbatch.embedded.nodes.runnable import RunnablePod

DEFAULT_MODE = 0o644
_CREATES = ("DirectoryOrCreate", "FileOrCreate")


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume; `path` is relative to it."""

    path: str
    data: bytes
    mode: int = DEFAULT_MODE


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory with `files`, or, where `host_path` is set, that path of this machine."""

    name: str
    files: tuple[File, ...] = ()
    host_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Mount:
    """One volume mount of one container, its subPath expanded."""

    volume: str
    target: str
    sub_path: str = ""
    read_only: bool = False


@dataclass(slots=True)
class References:
    """Names of the objects a pod needs before it can start; the optional ones may be absent."""

    config_maps: dict[str, bool] = field(default_factory=dict)
    secrets: dict[str, bool] = field(default_factory=dict)
    claims: dict[str, None] = field(default_factory=dict)

    def need(self, kind: str, reference: Any) -> None:
        """Note `{name, optional}`; required by one place is required."""
        if reference:
            names = self.config_maps if kind == "configMap" else self.secrets
            name = str(reference.get("name") or reference.get("secretName") or "")
            names[name] = names.get(name, False) or not reference.get("optional", False)


def references(pod: RunnablePod) -> References:
    """Every ConfigMap and Secret that the pod's environment and volumes name."""
    found = References()
    for container in pod.containers:
        for source in container.get("envFrom") or ():
            found.need("configMap", source.get("configMapRef"))
            found.need("secret", source.get("secretRef"))
        for entry in container.get("env") or ():
            source = entry.get("valueFrom") or {}
            found.need("configMap", source.get("configMapKeyRef"))
            found.need("secret", source.get("secretKeyRef"))
    for volume in pod.spec.get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            found.claims[str(claim.get("claimName", ""))] = None
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            found.need("configMap", source.get("configMap"))
            found.need("secret", source.get("secret"))
    return found


def pod_volumes(pod: RunnablePod, around: Surroundings) -> list[Volume]:
    """Every volume of the pod. Raises ConfigError for missing objects and unsupported kinds."""
    return [_volume(pod, volume, around) for volume in pod.spec.get("volumes") or ()]


def _volume(pod: RunnablePod, volume: JsonObject, around: Surroundings) -> Volume:
    name = str(volume["name"])
    if "emptyDir" in volume:
        return Volume(name)
    if host := volume.get("hostPath"):
        if host.get("type") in _CREATES:
            raise ConfigError(f"volume {name}: hostPath type {host['type']}: nothing is created outside of pods")
        return Volume(name, host_path=str(host["path"]))
    if claim := volume.get("persistentVolumeClaim"):
        wanted = str(claim.get("claimName", ""))
        if wanted not in around.claims:
            raise ConfigError(f"volume {name}: claim {wanted} is not bound to a folder of this machine")
        return Volume(name, host_path=around.claims[wanted], read_only=bool(claim.get("readOnly")))
    if "ephemeral" in volume:
        raise ConfigError(f"volume {name}: process nodes make no claims of their own; use emptyDir or a claim")
    if projected := volume.get("projected"):
        mode = projected.get("defaultMode", DEFAULT_MODE)
        parts = [file for source in projected.get("sources") or () for file in _files(pod, source, mode, around)]
        return Volume(name, tuple(parts), read_only=True)
    kinds = [kind for kind in volume if kind != "name"]
    if not kinds:
        return Volume(name)
    if kinds[0] not in ("configMap", "secret", "downwardAPI"):
        raise ConfigError(f"volume {name}: process nodes do not know {kinds[0]} volumes")
    mode = volume[kinds[0]].get("defaultMode", DEFAULT_MODE)
    return Volume(name, tuple(_files(pod, volume, mode, around)), read_only=True)


def _files(pod: RunnablePod, source: JsonObject, mode: int, around: Surroundings) -> list[File]:
    """The files of one configMap, secret, downwardAPI or service account token source."""
    if spec := source.get("configMap"):
        found = around.config_maps.get(str(spec.get("name", "")))
        return _items("configmap", str(spec.get("name", "")), spec, mode, config_map_data(found))
    if spec := source.get("secret"):
        name = str(spec.get("secretName") or spec.get("name") or "")
        secret = around.secrets.get(name)
        return _items("secret", name, spec, mode, secret_data(secret))
    if spec := source.get("downwardAPI"):
        return [_downward(pod, item, mode, around) for item in spec.get("items") or ()]
    return []  # a service account token: pods reach no API server from here


def _items(kind: str, name: str, spec: JsonObject, mode: int, data: dict[str, bytes] | None) -> list[File]:
    if data is None:
        if spec.get("optional"):
            return []
        raise ConfigError(f'{kind} "{name}" not found')
    items = spec.get("items")
    if not items:
        return [File(key, value, mode) for key, value in sorted(data.items())]
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not spec.get("optional"):
        raise ConfigError(f'{kind} "{name}" has no key {", ".join(missing)}')
    present = [item for item in items if item["key"] in data]
    return [File(_inside(item["path"]), data[item["key"]], item.get("mode", mode)) for item in present]


def _downward(pod: RunnablePod, item: JsonObject, mode: int, around: Surroundings) -> File:
    if reference := item.get("fieldRef"):
        value = field_value(pod, str(reference["fieldPath"]), around)
    else:
        value = resource_value(pod, {}, item["resourceFieldRef"], around)
    return File(_inside(item["path"]), value.encode(), item.get("mode", mode))


def _inside(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise ConfigError(f"path {path!r} must stay inside its volume")
    return path


def container_mounts(container: JsonObject, volumes: dict[str, Volume], env: dict[str, str]) -> list[Mount]:
    """The volume mounts of one container. Raises ConfigError for a volume that the pod does not have."""
    mounts = []
    for mount in container.get("volumeMounts") or ():
        name = str(mount["name"])
        if name not in volumes:
            raise ConfigError(f"volumeMount {name}: the pod has no such volume")
        sub_path = expand(str(mount.get("subPathExpr", "")), env) or str(mount.get("subPath", ""))
        read_only = bool(mount.get("readOnly")) or volumes[name].read_only
        mounts.append(Mount(name, str(mount["mountPath"]), _inside(sub_path), read_only))
    return mounts
