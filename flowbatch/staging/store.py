"""Storing: what the containers left behind, once they have ended; whole under its final name, or a reason."""

import json
import time
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from flowbatch.api.staging import ENDED, EXITS, OUTPUTS, REPORTS, Item, Moved, Plan
from flowbatch.staging.digest import files_below, measure
from flowbatch.staging.problems import StagingError, explained

#: Written last into a stored directory: its files, so that whoever reads it knows that it is whole.
MANIFEST = "_flowbatch.json"
#: How often the end of the containers is looked for, and how long a sidecar that is done waits to be told to end.
LOOK_S, LINGER_S = 0.1, 5.0


def prepare(plan: Plan, root: Path) -> None:
    """Folders that containers of any user may write to."""
    for folder in (*(root / OUTPUTS / item.name for item in plan.items), root / EXITS, root / REPORTS):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)


def wait_for_end(plan: Plan, root: Path) -> bool:
    """Wait until the containers have succeeded, or the kubelet says that all have ended; whether they succeeded.

    A container that failed may be started again by the pod's restart policy: only the kubelet knows.
    """
    while not _succeeded(plan, root):
        if (root / ENDED).exists():
            return _succeeded(plan, root)
        time.sleep(LOOK_S)
    return True


def linger(root: Path) -> None:
    """Wait a moment for the kubelet: a sidecar that ends before its pod does is started again."""
    for _ in range(int(LINGER_S / LOOK_S)):
        if (root / ENDED).exists():
            return
        time.sleep(LOOK_S)


def _succeeded(plan: Plan, root: Path) -> bool:
    return all(_exit_code(root / EXITS / name) == "0" for name in plan.containers)


def _exit_code(file: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return ""


def store_all(plan: Plan, root: Path, *, succeeded: bool) -> tuple[Moved, ...]:
    """Store every item that is due; one that fails does not keep the others. What was stored before is not again."""
    return tuple(_remembered(item, root, succeeded=succeeded) for item in plan.items)


def _remembered(item: Item, root: Path, *, succeeded: bool) -> Moved:
    note = root / REPORTS / item.name
    if note.exists():
        return Moved(item.name, **json.loads(note.read_text()))
    if not succeeded and not item.always:
        return Moved(item.name, skipped=True)
    try:
        size, digest = _store(item, root / OUTPUTS / item.name)
    except Exception as error:  # the one place: whatever a storage's library raises ends as a reason
        problem = explained(error, item.url)
        return Moved(item.name, reason=problem.reason, message=problem.message)
    note.write_text(json.dumps({"bytes": size, "digest": digest}))
    return Moved(item.name, size, digest)


def _store(item: Item, folder: Path) -> tuple[int, str]:
    source = folder / item.file if item.file else folder
    if not source.exists() or (item.whole and not any(files_below(source))):
        raise StagingError("NotFound", f"{item.url}: the containers left nothing to store")
    if not item.whole and not source.is_file():
        raise StagingError("NotFound", f"{item.url}: {item.file} is no file; a directory's path ends in /")
    size, digest = measure(source)
    storage, path = url_to_fs(item.place)
    path, local = path.rstrip("/"), "file" in storage.protocol
    # A file system is not atomic, an object store is: only whole objects appear there.
    target = f"{path}.partial-{time.time_ns()}" if local else path
    if local:
        storage.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
    try:
        if item.whole:
            storage.put(f"{source}/", f"{target}/", recursive=True)
            storage.pipe_file(f"{target}/{MANIFEST}", _manifest(source))
        elif "http" in storage.protocol:
            storage.put_file(str(source), target, method="put")
        else:
            storage.put_file(str(source), target)
        if local:
            _take_the_place(storage, target, path)
    except BaseException:
        if local and storage.exists(target):
            storage.rm(target, recursive=True)
        raise
    return size, digest


def _take_the_place(storage: Any, target: str, path: str) -> None:
    """Put what was written under its final name; what stood there before goes only then."""
    final, new = Path(path), Path(target)
    if final.is_dir() and new.is_dir():
        old = final.with_name(f"{final.name}.replaced-{time.time_ns()}")
        final.rename(old)
        new.rename(final)
        storage.rm(str(old), recursive=True)
    else:
        new.rename(final)


def _manifest(folder: Path) -> bytes:
    found = {}
    for file in files_below(folder):
        size, digest = measure(file)
        found[file.relative_to(folder).as_posix()] = {"bytes": size, "digest": digest}
    return json.dumps({"files": found}, indent=1, sort_keys=True).encode()
