"""Asks pods what the probes of waiting steps ask, once a period, until a reconcile asks no more.

Beside the lanes: a pod that does not answer holds up no flow. What comes back is a level; the flow is looked at again
when an answer has changed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from flowbatch.controllers.bounded import each
from flowbatch.controllers.reach import Reach
from flowbatch.workload.flow.changes import Ask

#: Questions out at once.
MOST_ASKED = 64


class Prober:
    """The open questions of every flow."""

    def __init__(self, reach: Reach, told: Callable[[str], None], period_s: float = 1.0) -> None:
        self._reach = reach
        self._told = told
        self._period_s = period_s
        self._open: dict[str, tuple[Ask, ...]] = {}
        self._answers: dict[str, dict[Ask, str]] = {}
        self._some = asyncio.Event()
        self.asked = 0

    def answers(self, key: str) -> Mapping[Ask, str]:
        """What has been answered to the open questions of a flow."""
        return self._answers.get(key, {})

    def want(self, key: str, asks: Sequence[Ask]) -> None:
        """From now on a flow asks just this."""
        if not asks:
            self._open.pop(key, None)
            self._answers.pop(key, None)
            return
        fresh = tuple(asks) != self._open.get(key)
        self._open[key] = tuple(asks)
        if fresh:
            known = self._answers.get(key, {})
            self._answers[key] = {ask: known[ask] for ask in asks if ask in known}
            self._some.set()

    async def run(self) -> None:
        """Ask, until cancelled."""
        while True:
            if not self._open:
                self._some.clear()
                await self._some.wait()
            self._some.clear()
            await self._ask_all()
            try:
                # A new question is asked at once; the old ones may be asked once more with it.
                await asyncio.wait_for(self._some.wait(), self._period_s)
            except TimeoutError:
                continue

    async def _ask_all(self) -> None:
        """Every open question once, however many flows ask it; a slow pod keeps no other flow waiting."""
        asks = dict.fromkeys(ask for each_asks in self._open.values() for ask in each_asks)
        found: dict[Ask, str] = {}

        async def one(ask: Ask) -> None:
            found[ask] = await self._reach(ask)
            self.asked += 1

        await each(asks, one, MOST_ASKED)
        for key, wanted in self._open.items():
            # Questions that came meanwhile are asked in the next round.
            answers = {ask: found[ask] for ask in wanted if ask in found}
            if answers != self._answers.get(key):
                self._answers[key] = answers
                self._told(key)
