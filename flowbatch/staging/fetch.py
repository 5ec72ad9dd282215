"""Fetching: every input whole and as expected under its final name, or a reason; never half of one."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from fsspec.core import url_to_fs

from flowbatch.api.staging import INPUTS, Item, Moved, Plan
from flowbatch.staging.digest import measure
from flowbatch.staging.problems import TRANSIENT, StagingError, explained

#: Waits between tries, in seconds.
PAUSES_S = (1.0, 3.0, 9.0)


def fetch_all(plan: Plan, root: Path, pause: Callable[[float], None] = time.sleep) -> tuple[Moved, ...]:
    """Fetch every item into `root`; one that fails does not keep the others."""
    folder = root / INPUTS
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_fetch(item, folder / item.name, pause) for item in plan.items)


def _fetch(item: Item, target: Path, pause: Callable[[float], None]) -> Moved:
    for seconds in (*PAUSES_S, None):
        try:
            size, digest = _once(item, target)
        except Exception as error:  # the one place: whatever a storage's library raises ends as a reason
            problem = explained(error, item.url)
            if seconds is None or problem.reason not in TRANSIENT:
                return Moved(item.name, reason=problem.reason, message=problem.message)
            pause(seconds)
        else:
            return Moved(item.name, size, digest)
    raise AssertionError("the last try returns")


def _once(item: Item, target: Path) -> tuple[int, str]:
    """One try: into a name of its own first, and moved when it is whole and right."""
    partial = target.with_name(f"{target.name}.partial")
    _remove(partial)
    try:
        _copy(item, partial)
        size, digest = measure(partial)
        if item.digest and digest != item.digest:
            raise StagingError("Changed", f"{item.url}: is {digest}, expected {item.digest}")
        _remove(target)
        partial.rename(target)
    finally:
        _remove(partial)
    return size, digest


def _copy(item: Item, partial: Path) -> None:
    storage, path = url_to_fs(item.place)
    if item.whole:
        if not storage.isdir(path):
            raise StagingError("NotFound", f"{item.url}: there is no such directory")
        partial.mkdir()
        storage.get(f"{path.rstrip('/')}/", f"{partial}/", recursive=True)
        return
    # Of http, fsspec says "not there" whatever the server answers; asked for the file, it tells what went wrong.
    web = "http" in storage.protocol
    if not web and (not storage.exists(path) or storage.isdir(path)):
        raise StagingError("NotFound", f"{item.url}: there is no such file")
    expected = None if web else storage.info(path).get("size")
    storage.get_file(path, str(partial))
    found = partial.stat().st_size
    if expected is not None and found != expected:
        raise StagingError("Incomplete", f"{item.url}: {found} of {expected} bytes came")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
