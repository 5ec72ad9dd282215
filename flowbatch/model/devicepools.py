"""Pools of devices, as their slices say: which devices there are, which node reaches which, and what each passes.

A device is a number here, and keeps it: names, which are (driver, pool, device), are few and come again. Of a pool only
the newest generation counts. One in which a name occurs twice has nothing to give.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flowbatch.model.claimasks import PoolDevice, Wish
from flowbatch.model.claimfacts import DeviceClassGone, DeviceClassSeen, DeviceSliceGone, DeviceSliceSeen
from flowbatch.model.ids import NodeName
from flowbatch.model.labels import passes
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Term

PoolKey = tuple[str, str]
DeviceKey = tuple[str, str, str]


@dataclass(slots=True)
class Pool:
    """The slices of one pool, and what they come to."""

    slices: dict[str, DeviceSliceSeen] = field(default_factory=dict)
    #: Devices that one node reaches, by that node.
    local: dict[NodeName, list[int]] = field(default_factory=dict)
    #: Devices that several nodes reach, with the terms that say which.
    wide: list[tuple[tuple[Term, ...], list[int]]] = field(default_factory=list)
    #: Slices are still to come.
    partial: bool = False


class DevicePools:
    """All pools and classes."""

    def __init__(self) -> None:
        self.classes: dict[str, DeviceClassSeen] = {}
        self.pools: dict[PoolKey, Pool] = {}
        self._pool_of: dict[str, PoolKey] = {}
        self._numbers: dict[DeviceKey, int] = {}
        self.names: list[DeviceKey] = []
        self._devices: dict[int, PoolDevice] = {}
        self._attributes: dict[int, dict[str, str]] = {}
        #: Where the devices of a pool that one node reaches are.
        self.node_of: dict[int, NodeName] = {}
        self.terms_of: dict[int, tuple[Term, ...]] = {}
        self._by_node: dict[NodeName, dict[PoolKey, None]] = {}
        #: Pools of which some device is reached by several nodes.
        self.wide: dict[PoolKey, None] = {}
        #: Grows whenever a pool changes.
        self.version = 0
        self._eligible: dict[tuple[str, tuple[str, ...], object], dict[int, bool]] = {}

    def __bool__(self) -> bool:
        return bool(self.pools)

    def number(self, key: DeviceKey) -> int:
        """The number of a device, known or not."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.names)
            self.names.append(key)
        return number

    def device(self, number: int) -> PoolDevice | None:
        """What a device is; None where no slice shows it."""
        return self._devices.get(number)

    # -- facts

    def see_class(self, fact: DeviceClassSeen | DeviceClassGone) -> None:
        """A class as it now is."""
        if isinstance(fact, DeviceClassSeen):
            self.classes[fact.name] = fact
        else:
            self.classes.pop(fact.name, None)
        self._eligible = {key: known for key, known in self._eligible.items() if key[0] != fact.name}

    def see_slice(self, fact: DeviceSliceSeen | DeviceSliceGone) -> tuple[dict[NodeName, None], bool]:
        """A slice as it now is. Returns which nodes reach something else now, and whether others may."""
        nodes: dict[NodeName, None] = {}
        wide = False
        before = self._pool_of.pop(fact.name, None)
        after = fact.key if isinstance(fact, DeviceSliceSeen) else None
        for key in dict.fromkeys(key for key in (before, after) if key is not None):
            pool = self.pools.setdefault(key, Pool())
            nodes |= dict.fromkeys(pool.local)
            wide = wide or bool(pool.wide)
            pool.slices.pop(fact.name, None)
            if isinstance(fact, DeviceSliceSeen) and key == after:
                pool.slices[fact.name] = fact
                self._pool_of[fact.name] = key
            self._rebuild(key, pool)
            nodes |= dict.fromkeys(pool.local)
            wide = wide or bool(pool.wide)
        return nodes, wide

    def _rebuild(self, key: PoolKey, pool: Pool) -> None:
        self.version += 1
        for devices in (*pool.local.values(), *(devices for _, devices in pool.wide)):
            for number in devices:
                self._drop(number)
        for node in pool.local:
            del self._by_node[node][key]
            if not self._by_node[node]:
                del self._by_node[node]
        pool.local, pool.wide, pool.partial = {}, [], False
        self.wide.pop(key, None)
        if not pool.slices:
            del self.pools[key]
            return
        newest = max(each.generation for each in pool.slices.values())
        current = [each for _, each in sorted(pool.slices.items()) if each.generation == newest]
        pool.partial = len(current) != current[0].slices
        names = [device.name for each in current for device in each.devices]
        if len(names) == len(dict.fromkeys(names)):
            for each in current:
                self._take_in(key, pool, each)
        else:
            pool.partial = True

    def _take_in(self, key: PoolKey, pool: Pool, fact: DeviceSliceSeen) -> None:
        numbers = [self.number((*key, device.name)) for device in fact.devices]
        for number, device in zip(numbers, fact.devices, strict=True):
            self._devices[number] = device
            self.node_of[number] = fact.node
            self.terms_of[number] = fact.terms
        if fact.node:
            pool.local.setdefault(fact.node, []).extend(numbers)
            self._by_node.setdefault(fact.node, {})[key] = None
        elif numbers:
            pool.wide.append((fact.terms, numbers))
            self.wide[key] = None

    def _drop(self, number: int) -> None:
        for known in (self._devices, self._attributes, self.node_of, self.terms_of):
            known.pop(number, None)
        for answers in self._eligible.values():
            answers.pop(number, None)

    # -- questions

    def has(self, node: NodeName) -> bool:
        """The node has devices for itself."""
        return node in self._by_node

    def local(self, node: NodeName) -> Iterator[int]:
        """Devices that only `node` reaches."""
        for key in sorted(self._by_node.get(node, ())):
            yield from self.pools[key].local[node]

    def reached(self, node: Node) -> Iterator[tuple[PoolKey, int]]:
        """Where there are devices that `node` reaches with others: pools, and places in their `wide`."""
        for key in sorted(self.wide):
            for place, (terms, _) in enumerate(self.pools[key].wide):
                if reaches(terms, node):
                    yield key, place

    def partial(self, node: Node) -> bool:
        """Not all is known of what `node` reaches."""
        keys = (*self._by_node.get(node.name, ()), *self.wide)
        return any(self.pools[key].partial for key in keys)

    def everywhere(self) -> bool:
        """Some device is reached by several nodes."""
        return bool(self.wide)

    def eligible(self, wish: Wish, number: int) -> bool:
        """The device is of the wish's class, passes its selectors, and repels nobody who wishes so."""
        key = wish.device_class, wish.selectors, wish.tolerations
        known = self._eligible.get(key)
        if known is None:
            known = self._eligible[key] = {}
        answer = known.get(number)
        if answer is None:
            answer = known[number] = self._judge(wish, number)
        return answer

    def _judge(self, wish: Wish, number: int) -> bool:
        each, device = self.classes.get(wish.device_class), self._devices.get(number)
        if each is None or each.problem or device is None or not device.tolerated(wish):
            return False
        return all(selector in device.passes for selector in (*each.selectors, *wish.selectors))

    def attribute(self, number: int, name: str) -> str | None:
        """A value by its full name."""
        known = self._attributes.get(number)
        if known is None:
            device = self._devices.get(number)
            known = self._attributes[number] = dict(device.attributes) if device is not None else {}
        return known.get(name)

    def of_class(self, wish: Wish) -> int:
        """How many devices there are that would do."""
        return sum(self.eligible(wish, number) for number in sorted(self._devices))

    def content(self) -> Mapping[NodeName, list[DeviceKey]]:
        """Names of what each node has for itself: for checks."""
        return {node: [self.names[number] for number in self.local(node)] for node in self._by_node}


def reaches(terms: tuple[Term, ...], node: Node) -> bool:
    """No terms mean everywhere."""
    return not terms or any(term and passes(term, node.labels, node.name) for term in terms)
