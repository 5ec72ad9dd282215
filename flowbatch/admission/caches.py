"""A webhook's view of the world: watched, never asked for while somebody waits for a verdict.

A watch is a moment behind: `kubectl apply` of a queue and a job in one file would have the job refused. So a question
notes what it looked for in vain, and the server waits a little for that before it says no.
"""

from collections.abc import Callable, Iterable
from typing import Any

import anyio

from flowbatch.api.kinds import JOB_TEMPLATE, NAMESPACE, PRIORITY_CLASS, QUEUE, Kind, manifest
from flowbatch.api.meta import JsonObject, Wire
from flowbatch.informer import Informer
from flowbatch.kube.client import Client

#: What verdicts depend on, and what only warnings do: its kind need not even be served.
NEEDED: tuple[Kind[Any], ...] = (QUEUE, NAMESPACE, PRIORITY_CLASS)
OPTIONAL: tuple[Kind[Any], ...] = (JOB_TEMPLATE,)


class Caches:
    """One informer per kind."""

    def __init__(self, client: Client, informer: Callable[..., Informer[Any]] = Informer) -> None:
        self.informers: dict[str, Informer[Any]] = {kind.kind: informer(client, kind) for kind in (*NEEDED, *OPTIONAL)}
        self._changed = anyio.Event()
        for each in self.informers.values():
            each.on_change(self._tell)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            for informer in self.informers.values():
                tasks.start_soon(informer.run)

    def unlisted(self) -> str:
        """What has not been read yet; empty once all is."""
        missing = [kind.plural for kind in NEEDED if not self.informers[kind.kind].synced]
        return f"not listed yet: {', '.join(missing)}" if missing else ""

    async def listed(self) -> None:
        """Wait until everything that verdicts depend on has been read once: before that, absence means nothing."""
        for kind in NEEDED:
            await self.informers[kind.kind].wait_synced()

    def get(self, kind: str, namespace: str, name: str) -> Any:
        """One object, or None."""
        informer = self.informers.get(kind)
        return informer.store.get(f"{namespace}/{name}" if namespace else name) if informer else None

    def view(self) -> "View":
        """The world for one question."""
        return View(self)

    async def change(self) -> None:
        """Wait until anything has changed."""
        await self._changed.wait()

    def _tell(self, _old: Wire | None, _new: Wire | None) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class View:
    """The world as one question sees it, and what it has looked for in vain."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._missed: set[tuple[str, str, str]] = set()

    def __call__(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """One object, or None."""
        found = self._caches.get(kind, namespace, name)
        if found is None:
            self._missed.add((kind, namespace, name))
        return manifest(found) if found is not None else None

    @property
    def missed(self) -> bool:
        """Whether anything was looked for in vain."""
        return bool(self._missed)

    @property
    def came(self) -> bool:
        """Whether any of that is there by now."""
        return any(self._caches.get(*each) is not None for each in self._missed)

    def every(self, kind: str) -> Iterable[JsonObject]:
        """All objects of a kind."""
        informer = self._caches.informers.get(kind)
        return map(manifest, list(informer.store.values())) if informer else ()
