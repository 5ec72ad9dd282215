"""Notices that the settings or the policies beside them changed, and hands over what they say now, if that is sound.

A mounted ConfigMap changes by a swapped symbolic link, an edited file by its time: both show in a stat of the target.
SIGHUP asks for a look at once. A version that is refused leaves the old one in force, and that is told in the metrics,
on the health page, and by an Event.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import structlog

from flowbatch.errors import SpecErrors
from flowbatch.metrics import CONFIG_FAILURES, CONFIG_RELOADS, CONFIG_SOUND, CONFIG_SUCCESS_SECONDS
from flowbatch.runtime.clock import now_ms
from flowbatch.runtime.files import files_of
from flowbatch.runtime.settings import Settings, load_settings

LOOK_S: Final = 2.0

log = structlog.get_logger()

#: (path, time, size, inode) of every file that counts.
Mark = tuple[tuple[str, int, int, int], ...]


class Nudge:
    """Asks for a look at once; called by whoever hears of a signal."""

    def __init__(self) -> None:
        self._asked = anyio.Event()

    def ask(self) -> None:
        """Look now."""
        self._asked.set()

    async def wait(self) -> None:
        """Until somebody asks."""
        await self._asked.wait()

    def heard(self) -> bool:
        """Whether somebody has asked since the last time."""
        asked, self._asked = self._asked.is_set(), anyio.Event()
        return asked


class SettingsWatch:
    """Keeps `settings` as fresh as its file allows; `problem` says why a newer version was refused."""

    def __init__(self, settings: Settings, look_s: float = LOOK_S, nudge: Nudge | None = None) -> None:
        self.settings = settings
        self.problem = ""
        #: Called with the problem of a refused version, and with "" when a later one was taken over.
        self.told: Callable[[str], None] = lambda _: None
        self._look_s = look_s
        self._files = [str(path) for path in settings.policy_files]
        self._mark = _mark(settings.source, self._files)
        self._nudge = nudge or Nudge()
        CONFIG_SOUND.set(1)

    async def run(self, changed: Callable[[Settings], None]) -> None:
        """Call `changed` with every sound new version, until cancelled. It may refuse one with SpecErrors."""
        if not self.settings.source:
            return
        while True:
            with anyio.move_on_after(self._look_s):
                await self._nudge.wait()
            asked = self._nudge.heard()
            mark = await anyio.to_thread.run_sync(_mark, self.settings.source, self._files)
            if asked or mark != self._mark:
                self._reload(changed)

    def _reload(self, changed: Callable[[Settings], None]) -> None:
        # Marked before it is read: what changes meanwhile is looked at again.
        self._mark = _mark(self.settings.source, self._files)
        try:
            fresh = load_settings(self.settings.source)
            self._follow([str(path) for path in fresh.policy_files])
            changed(fresh)
        except SpecErrors as error:
            self._refused(str(error))
            return
        recovered, self.problem, self.settings = bool(self.problem), "", fresh
        CONFIG_RELOADS.inc()
        CONFIG_SOUND.set(1)
        CONFIG_SUCCESS_SECONDS.set(now_ms() / 1000)
        log.info("settings reloaded", source=fresh.source)
        if recovered:
            self.told("")

    def _follow(self, files: list[str]) -> None:
        """Policy files of the new version are watched even if it is refused: they may be what is wrong with it."""
        if files != self._files:
            self._files = files
            self._mark = _mark(self.settings.source, files)

    def _refused(self, problem: str) -> None:
        CONFIG_FAILURES.inc()
        CONFIG_SOUND.set(0)
        log.error("settings not reloaded; the old ones stay in force", problem=problem)
        if problem != self.problem:
            self.told(problem)
        self.problem = problem


def _mark(source: str, others: list[str]) -> Mark:
    mark: list[tuple[str, int, int, int]] = []
    paths = files_of(source) if source else []
    for path in [*paths, *map(Path, others)]:
        with contextlib.suppress(OSError):
            stat = path.stat()
            mark.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(mark)
