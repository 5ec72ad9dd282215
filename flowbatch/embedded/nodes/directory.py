"""Names and addresses of pods: who has which address, and what a name means to whom; pure.

An address is given when a pod is first seen on one of our nodes, before it runs, so that its peers can resolve it
from the moment they start.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from flowbatch.api.core import Service
from flowbatch.embedded.nodes.runnable import RunnablePod
from flowbatch.errors import FlowbatchError

DOMAIN = "cluster.local"


class AddressesExhausted(FlowbatchError):
    """Every address of the pods' network is taken."""


@dataclass(slots=True)
class Addresses:
    """Hands out the network's addresses in turn, so that one is not used again soon after its pod ended."""

    network: ipaddress.IPv4Network
    _next: int = 10
    _taken: set[int] = field(default_factory=set)

    @property
    def gateway(self) -> str:
        """The bridge's own address, where names are served."""
        return str(self.network[1])

    def take(self) -> str:
        """A free address. Raises AddressesExhausted. A network of one address is everybody's."""
        if self.network.num_addresses == 1:
            return str(self.network[0])
        room = self.network.num_addresses - 12
        for _ in range(room):
            offset, self._next = self._next, 10 + (self._next - 9) % room
            if offset not in self._taken:
                self._taken.add(offset)
                return str(self.network[offset])
        raise AddressesExhausted(f"all {room} pod addresses of {self.network} are in use")

    def give_back(self, address: str) -> None:
        """The pod of this address is gone."""
        self._taken.discard(int(ipaddress.IPv4Address(address)) - int(self.network.network_address))


@dataclass(frozen=True, slots=True)
class Entry:
    """One pod as others find it."""

    uid: str
    namespace: str
    hostname: str
    subdomain: str
    ip: str
    labels: dict[str, str]


def entry_of(pod: RunnablePod, ip: str) -> Entry:
    """The directory entry of a pod."""
    meta = pod.metadata
    return Entry(meta.uid, meta.namespace, pod.hostname, pod.subdomain, ip, meta.labels)


@dataclass(slots=True)
class Directory:
    """All pods of our nodes, and the services that stand for them."""

    entries: dict[str, Entry] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    #: Pods that are ready: only they stand behind a service, unless none is.
    ready: set[str] = field(default_factory=set)

    def group(self, entry: Entry) -> list[Entry]:
        """The pods that share a host-names file with `entry`: those of its subdomain, or itself alone."""
        if not entry.subdomain:
            return [entry]
        key = (entry.namespace, entry.subdomain)
        return [each for each in self.entries.values() if (each.namespace, each.subdomain) == key]

    def resolve(self, name: str) -> list[str] | None:
        """Addresses of a fully qualified name (`x.ns.svc.cluster.local`); None: there is no such name."""
        labels = name.rstrip(".").lower().split(".")
        if len(labels) < 5 or labels[-2:] != DOMAIN.split(".") or labels[-3] not in ("svc", "pod"):
            return None
        namespace, rest = labels[-4], labels[:-4]
        if labels[-3] == "pod":
            return self._by_address(namespace, rest[-1])
        if len(rest) == 1:
            return self._service(namespace, rest[0])
        found = [
            each.ip
            for each in self.entries.values()
            if (each.namespace, each.subdomain, each.hostname.lower()) == (namespace, rest[-1], ".".join(rest[:-1]))
        ]
        return found or None

    def _by_address(self, namespace: str, dashed: str) -> list[str] | None:
        ip = dashed.replace("-", ".")
        found = [each.ip for each in self.entries.values() if each.ip == ip and each.namespace == namespace]
        return found or None

    def _service(self, namespace: str, name: str) -> list[str] | None:
        service = self.services.get(f"{namespace}/{name}")
        members = [each for each in self.entries.values() if each.namespace == namespace]
        if service is None or not service.spec.selector:
            behind = [each for each in members if each.subdomain == name]
            if service is None and not behind:
                return None
        else:
            behind = [each for each in members if service.spec.selector.items() <= each.labels.items()]
        everyone = service is None or service.spec.publish_not_ready_addresses
        ready = [each.ip for each in behind if everyone or each.uid in self.ready]
        return ready or [each.ip for each in behind]


def hosts_file(own: Iterable[Entry]) -> str:
    """`/etc/hosts` of the pods of one group."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{each.ip}\t{' '.join(names_of(each))}" for each in own]
    return "\n".join(lines) + "\n"


def names_of(entry: Entry) -> list[str]:
    """Every name a pod of the same group may use, the one it calls itself by first (the canonical one)."""
    if not entry.subdomain:
        return [entry.hostname]
    short = f"{entry.hostname}.{entry.subdomain}"
    space = f"{short}.{entry.namespace}"
    return [f"{space}.svc.{DOMAIN}", entry.hostname, short, space, f"{space}.svc"]


def resolver_file(namespace: str, server: str, searches: Iterable[str] = ()) -> str:
    """`/etc/resolv.conf` of a pod; `searches` are those of its dnsConfig."""
    search = " ".join([f"{namespace}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN, *searches])
    return f"nameserver {server}\nsearch {search}\noptions ndots:5 timeout:2 attempts:2\n"
