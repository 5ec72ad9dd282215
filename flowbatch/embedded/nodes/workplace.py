"""What all pods of one `ProcessNodes` share, and the pieces of a pod's world that come from it."""

import itertools
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.clock import Clock
from flowbatch.embedded.nodes.cluster import Cluster
from flowbatch.embedded.nodes.configuration import Configuration
from flowbatch.embedded.nodes.directory import Addresses, Directory, Entry, hosts_file
from flowbatch.embedded.nodes.environment import expand
from flowbatch.embedded.nodes.events import Events
from flowbatch.embedded.nodes.remote import Remote
from flowbatch.embedded.nodes.specification import NodeSpecification
from flowbatch.kube.client import Client

SHIM_DIR = "/run/flowbatch/bin"
_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")


@dataclass(slots=True)
class Names:
    """The directory, and the host-names files that follow it."""

    cluster: Cluster
    directory: Directory = field(default_factory=Directory)
    addresses: Addresses = field(init=False)
    _files: dict[tuple[str, str], str] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.addresses = Addresses(self.cluster.network)

    def add(self, entry: Entry) -> str:
        """Make a pod known; returns its host-names file, relative to the cluster's directory."""
        self.directory.entries[entry.uid] = entry
        return self._write(entry)

    def remove(self, entry: Entry) -> None:
        """Forget a pod and free its address."""
        if self.directory.entries.pop(entry.uid, None) is None:
            return
        self.directory.ready.discard(entry.uid)
        self.addresses.give_back(entry.ip)
        self._write(entry)

    def _write(self, entry: Entry) -> str:
        key = (entry.namespace, f"subdomain/{entry.subdomain}" if entry.subdomain else entry.uid)
        group = [each for each in self.directory.group(entry) if each.uid in self.directory.entries]
        if not group:
            if (path := self._files.pop(key, "")) != "":
                self.cluster.remove(path)
            return ""
        path = self._files.get(key) or self._files.setdefault(key, f"hosts/{next(self._numbers)}")
        self.cluster.write(path, hosts_file(group).encode())
        return path


@dataclass(frozen=True, slots=True)
class Workplace:
    """Everything a pod needs of its node."""

    client: Client
    clock: Clock
    cluster: Cluster
    names: Names
    remote: Remote
    configuration: Configuration
    events: Events
    nodes: Mapping[str, NodeSpecification]
    images: Mapping[str, Sequence[str]]
    #: Where relative paths in commands are looked up: the directory this program was started in.
    cwd: str = field(default_factory=lambda: str(Path.cwd()))
    environment: dict[str, str] = field(default_factory=lambda: base_environment())

    def command_of(self, container: JsonObject, env: Mapping[str, str]) -> list[str] | None:
        """The container's command line, `$(NAME)` expanded; None when only its image would know it."""
        command, args = container.get("command"), container.get("args") or []
        if not command:
            command = self._entry_point(str(container.get("image", "")))
        return None if command is None else [expand(str(part), env) for part in (*command, *args)]

    def _entry_point(self, image: str) -> Sequence[str] | None:
        bare = image.partition("@")[0]
        untagged = bare[: bare.rfind(":")] if ":" in bare.rpartition("/")[2] else bare
        names = (image, bare, untagged, untagged.rpartition("/")[2])
        return next((self.images[name] for name in names if name in self.images), None)


def base_environment() -> dict[str, str]:
    """What an image would set: a path to the shims, this Python and the machine's programs; a home; a language."""
    own = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    modules = _own_modules()
    kept |= {"PYTHONPATH": modules} if modules else {}
    return {"PATH": f"{SHIM_DIR}:{own}:{path}", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", **kept}


def _own_modules() -> str:
    """PYTHONPATH without this Python's own library, which no other Python could use.

    What is left is where the people who started this have their modules; pods import them too, as from an image.
    """
    entries = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    library = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    library += [Path(f"{library[0].parent}/python{sys.version_info[0]}{sys.version_info[1]}.zip")]
    return os.pathsep.join(each for each in entries if not any(Path(each).is_relative_to(own) for own in library))
