"""How GPU models may be cut in hardware: `knownMigGeometries` of Volcano's device ConfigMap, read once at the start."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
import yaml

from flowbatch.api.core import Node
from flowbatch.api.kinds import CONFIG_MAP
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, TransportError
from flowbatch.model.asks import MigGroup
from flowbatch.scheduler.devices import VGPU_REGISTER

FILE: Final = "device-config.yaml"
#: Where Volcano keeps it unless its deviceshare plugin is told otherwise.
NAMESPACE, NAME = "kube-system", "volcano-vgpu-device-config"
MOST_PLACES: Final = 64

#: (parts of model names, ways to cut such a GPU), in the order in which they are looked at.
Geometries = tuple[tuple[tuple[str, ...], tuple[MigGroup, ...]], ...]

log = structlog.get_logger()


def needed(nodes: Iterable[Node]) -> bool:
    """Some node registers cards that are cut."""
    return any(",mig" in node.metadata.annotations.get(VGPU_REGISTER, "") for node in nodes)


async def read_geometries(client: Client, name: str = "", namespace: str = "") -> Geometries:
    """What the ConfigMap says; nothing where it cannot be read, and then such cards are shared by amounts."""
    try:
        found = await client.get(CONFIG_MAP, name or NAME, namespace or NAMESPACE)
    except (ApiError, TransportError) as error:
        log.warning("no known MIG geometries", config_map=f"{namespace or NAMESPACE}/{name or NAME}", error=str(error))
        return ()
    return parse(found.data.get(FILE, ""))


def parse(text: str) -> Geometries:
    """Geometries of a device configuration; what makes no sense is left out."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        log.warning("device configuration is no YAML", error=str(error))
        return ()
    nvidia = config.get("nvidia") if isinstance(config, Mapping) else None
    known = nvidia.get("knownMigGeometries") if isinstance(nvidia, Mapping) else None
    return tuple(_of_models(each) for each in _list(known) if isinstance(each, Mapping))


def _of_models(value: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[MigGroup, ...]]:
    models = tuple(str(model) for model in _list(value.get("models")))
    groups: list[MigGroup] = []
    for index, allowed in enumerate(_list(value.get("allowedGeometries"))):
        named = isinstance(allowed, Mapping)
        # Without names they count from one.
        name = str(allowed.get("group") or f"group{index + 1}") if named else f"group{index + 1}"
        groups.append(MigGroup(name, _places(_list(allowed.get("geometries") if named else allowed))))
    return models, tuple(group for group in groups if group.places)


def _places(instances: list[Any]) -> tuple[int, ...]:
    """The memory of every instance: so many of the first profile, then of the next."""
    places: list[int] = []
    for each in instances:
        memory, count = (each.get(key) if isinstance(each, Mapping) else None for key in ("memory", "count"))
        if isinstance(memory, int) and isinstance(count, int) and memory > 0 and count > 0:
            places.extend([memory] * count)
    return tuple(places[:MOST_PLACES])


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def groups_for(model: str, geometries: Geometries) -> tuple[MigGroup, ...]:
    """Ways to cut a card of this model; the first entry whose names occur in it counts."""
    for models, groups in geometries:
        if any(each and each in model for each in models):
            return groups
    return ()
