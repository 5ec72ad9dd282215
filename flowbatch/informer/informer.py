"""An informer: one kind, kept in memory and watched, with everybody told who wants to know."""

import logging
import time
from collections.abc import Mapping
from typing import Generic, TypeVar

from flowbatch import metrics
from flowbatch.api.kinds import Kind
from flowbatch.api.meta import Wire
from flowbatch.informer.interning import parts_of
from flowbatch.informer.reflector import Reflector
from flowbatch.informer.store import Handler, IndexFunction, Store
from flowbatch.informer.timing import Timing
from flowbatch.kube.client import Client

T = TypeVar("T", bound=Wire)

log = logging.getLogger(__name__)


class Informer(Generic[T]):
    """`store` follows the API server while `run` runs.

    Until `wait_synced` returns, the store is filling; from then on it is whole, and stays so through every relist.
    Handlers are synchronous and must be quick: they note what changed, and work elsewhere.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind[T],
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, IndexFunction[T]] | None = None,
        watch_list: bool = True,
        timing: Timing | None = None,
    ) -> None:
        self.kind = kind
        self.store: Store[T] = Store(indexes, parts_of(kind))
        self._reflector = Reflector(
            client,
            kind,
            self.store,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            watch_list=watch_list,
            timing=timing,
        )

    def on_change(self, handler: Handler[T], *, replay: bool = True) -> None:
        """Call `handler(old, new)` after each change; objects that are already there come at once as `(None, it)`,
        unless `replay` is false.

        A handler that raises is counted and logged; the store and the other handlers go on.
        """

        def guarded(old: T | None, new: T | None) -> None:
            try:
                handler(old, new)
            except Exception:
                metrics.HANDLER_FAILURES.labels(self.kind.plural).inc()
                log.exception("a handler of %s failed", self.kind.plural)

        self.store.subscribe(guarded, replay=replay)

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        age = metrics.LAST_EVENT_SECONDS.labels(self.kind.plural)
        age.set_function(lambda: self.seconds_since_event)
        await self._reflector.run()

    async def wait_synced(self) -> None:
        """Wait until everything has been read once."""
        await self._reflector.synced.wait()

    async def wait_settled(self) -> None:
        """The same for a kind that may be missing: also return when the server says that there is nothing for us."""
        await self._reflector.settled.wait()

    @property
    def synced(self) -> bool:
        """Whether everything has been read once."""
        return self._reflector.synced.is_set()

    @property
    def seconds_since_event(self) -> float:
        """How long nothing has arrived, bookmarks included: beyond some minutes, the watch is not healthy."""
        return time.monotonic() - self._reflector.last_event_at
