"""One watch per kind for everybody in one process.

The scheduler reads all pods; the job controller reads those with a job's label, the pod group controller those without.
Three watches would have the server encode, and this process decode, each pod event three times. Instead one informer
watches all, and each reader gets a `View`: its own store with its own indexes, holding the same objects.
"""

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

import anyio

from flowbatch.api.kinds import Kind
from flowbatch.api.meta import Wire
from flowbatch.informer import Informer
from flowbatch.informer.store import IndexFunction
from flowbatch.kube.client import Client

T = TypeVar("T", bound=Wire)
Wanted = Callable[[Any], bool]

_LABEL = re.compile(r"(?P<absent>!?)(?P<key>[A-Za-z0-9./_-]+)(?:==?(?P<value>[A-Za-z0-9._-]*))?")
#: Fields that selectors name, as our Structs spell them.
_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "spec.schedulerName": attrgetter("spec.scheduler_name"),
    "spec.nodeName": attrgetter("spec.node_name"),
    "metadata.name": attrgetter("metadata.name"),
    "metadata.namespace": attrgetter("metadata.namespace"),
}


class View(Informer[T]):
    """What an informer with selectors would hold, taken from one without."""

    def __init__(self, client: Client, base: Informer[T], wanted: Wanted, indexes: Any = None) -> None:
        super().__init__(client, base.kind, indexes=indexes)
        self._base = base
        self._wanted = wanted
        base.on_change(self._changed)

    def _changed(self, old: T | None, new: T | None) -> None:
        if new is not None and self._wanted(new):
            # Old and new share what is equal between them, so comparing their versions here would tell nothing.
            self.store.take(new)
        elif old is not None:
            gone: Any = old
            self.store.remove(gone.metadata.key)

    async def run(self) -> None:
        """The base does the work."""
        await anyio.sleep_forever()

    async def wait_synced(self) -> None:
        """Wait until the base has read everything once: views hear of it in the same moment."""
        await self._base.wait_synced()

    async def wait_settled(self) -> None:
        """The same for a kind that may be missing."""
        await self._base.wait_settled()

    @property
    def synced(self) -> bool:
        """Whether the base has read everything once."""
        return self._base.synced

    @property
    def seconds_since_event(self) -> float:
        """How long the base has heard nothing."""
        return self._base.seconds_since_event


class SharedInformers:
    """Called like `Informer`; gives views on one informer per kind, which `run` runs."""

    def __init__(self) -> None:
        self._bases: dict[Kind[Any], Informer[Any]] = {}

    def base(self, client: Client, kind: Kind[T]) -> Informer[T]:
        """The one informer of all objects of a kind."""
        if kind not in self._bases:
            self._bases[kind] = Informer(client, kind)
        return self._bases[kind]

    def __call__(
        self,
        client: Client,
        kind: Kind[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, IndexFunction[T]] | None = None,
    ) -> Informer[T]:
        """A view with these selectors and indexes."""
        return View(client, self.base(client, kind), selected_by(label_selector, field_selector), indexes)

    async def run(self) -> None:
        """Run every base there is; views made later are fed all the same, if their kind was known by now."""
        async with anyio.create_task_group() as tasks:
            for base in self._bases.values():
                tasks.start_soon(base.run)


def selected_by(label_selector: str, field_selector: str) -> Wanted:
    """Whether an object matches, for the simple selectors that informers use. Raises ValueError for others."""
    labels = [_label_test(part) for part in label_selector.split(",") if part]
    fields = [_field_test(part) for part in field_selector.split(",") if part]
    tests = [*labels, *fields]
    return lambda thing: all(test(thing) for test in tests)


def _label_test(part: str) -> Wanted:
    match = _LABEL.fullmatch(part.strip())
    if match is None:
        raise ValueError(f"cannot share a watch by the label selector {part!r}")
    key, value = match["key"], match["value"]
    if match["absent"]:
        return lambda thing: key not in thing.metadata.labels
    if value is None:
        return lambda thing: key in thing.metadata.labels
    return lambda thing: thing.metadata.labels.get(key) == value


def _field_test(part: str) -> Wanted:
    name, equals, value = part.strip().partition("=")
    differs, name = name.endswith("!"), name.removesuffix("!")
    if not equals or name not in _FIELDS:
        raise ValueError(f"cannot share a watch by the field selector {part!r}")
    read = _FIELDS[name]
    if differs:
        return lambda thing: read(thing) != value
    return lambda thing: read(thing) == value
