"""Notices that the settings file changed, and hands over what it says now, if that is sound.

A mounted ConfigMap changes by a swapped symbolic link, an edited file by its time: both show in a stat of the target.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import structlog

from flowbatch.errors import SpecErrors
from flowbatch.runtime.settings import Settings, load_settings

LOOK_S: Final = 5.0

log = structlog.get_logger()


class SettingsWatch:
    """Keeps `settings` as fresh as its file allows; `problem` says why a newer version was refused."""

    def __init__(self, settings: Settings, look_s: float = LOOK_S) -> None:
        self.settings = settings
        self.problem = ""
        self._look_s = look_s
        self._mark = _mark(settings.source)

    async def run(self, changed: Callable[[Settings], None]) -> None:
        """Call `changed` with every sound new version, until cancelled."""
        if not self.settings.source:
            return
        while True:
            await anyio.sleep(self._look_s)
            mark = await anyio.to_thread.run_sync(_mark, self.settings.source)
            if mark != self._mark:
                self._mark = mark
                self._reload(changed)

    def _reload(self, changed: Callable[[Settings], None]) -> None:
        try:
            fresh = load_settings(self.settings.source)
            if fresh != self.settings:
                changed(fresh)
        except SpecErrors as error:
            self.problem = str(error)
            log.error("settings not reloaded; the old ones stay in force", problem=self.problem)
            return
        self.settings, self.problem = fresh, ""
        log.info("settings reloaded", source=fresh.source)


def _mark(source: str) -> tuple[int, int, int] | None:
    try:
        stat = Path(source).stat() if source else None
    except OSError:
        return None
    return None if stat is None else (stat.st_mtime_ns, stat.st_size, stat.st_ino)
