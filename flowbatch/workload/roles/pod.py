"""Small edits of a pod manifest that plugins share. What the user wrote wins over what a plugin would add."""

from collections.abc import Iterator
from typing import Any

from flowbatch.api.meta import JsonObject


def containers_of(pod: JsonObject, *, init: bool = True) -> Iterator[JsonObject]:
    """The containers of `pod`, with the init containers first if `init`."""
    spec = pod["spec"]
    if init:
        yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def add_env(container: JsonObject, *variables: JsonObject) -> None:
    """Append environment variables that the container does not have yet."""
    env = container.get("env") or []
    known = [variable.get("name") for variable in env]
    container["env"] = [*env, *(variable for variable in variables if variable["name"] not in known)]


def variable(name: str, value: Any) -> JsonObject:
    """One environment variable."""
    return {"name": name, "value": str(value)}


def add_port(container: JsonObject, name: str, port: int) -> None:
    """Declare a container port unless it is declared."""
    ports = container.get("ports") or []
    if all(each.get("containerPort") != port for each in ports):
        container["ports"] = [*ports, {"name": name, "containerPort": port, "protocol": "TCP"}]


def add_volume(pod: JsonObject, volume: JsonObject) -> None:
    """Add a volume unless there is one of its name."""
    volumes = pod["spec"].get("volumes") or []
    if all(each.get("name") != volume["name"] for each in volumes):
        pod["spec"]["volumes"] = [*volumes, volume]


def add_mount(container: JsonObject, mount: JsonObject) -> None:
    """Mount something unless the place is taken."""
    mounts = container.get("volumeMounts") or []
    if all(each.get("mountPath") != mount["mountPath"] for each in mounts):
        container["volumeMounts"] = [*mounts, mount]
