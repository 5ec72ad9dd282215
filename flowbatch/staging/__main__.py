"""`python -m flowbatch.staging fetch|store`: the commands of a pod's staging containers."""

import os
import sys
from pathlib import Path

import msgspec

from flowbatch.api.staging import EXIT_FAILED, PLAN, ROOT, Moved, Plan, report

MESSAGE = Path("/dev/termination-log")


def main(words: list[str]) -> int:
    """Do as the plan says, and tell how it went; 0 if nothing failed."""
    if words not in (["fetch"], ["store"]):
        print("usage: python -m flowbatch.staging fetch|store", file=sys.stderr)
        return 2
    plan, root = msgspec.json.decode(os.environ.get(PLAN, "{}"), type=Plan), Path(ROOT)
    moved = _fetch(plan, root) if words == ["fetch"] else _store(plan, root)
    for each in moved:
        done = "skipped: the containers did not succeed" if each.skipped else f"{each.bytes} bytes, {each.digest}"
        print(f"{each.name}: {f'{each.reason}: {each.message}' if each.reason else done}", flush=True)
    MESSAGE.write_bytes(report(moved))
    return EXIT_FAILED if any(each.reason for each in moved) else 0


def _fetch(plan: Plan, root: Path) -> tuple[Moved, ...]:
    from flowbatch.staging.fetch import fetch_all

    return fetch_all(plan, root)


def _store(plan: Plan, root: Path) -> tuple[Moved, ...]:
    from flowbatch.staging.store import linger, prepare, store_all, wait_for_end

    prepare(plan, root)
    moved = store_all(plan, root, succeeded=wait_for_end(plan, root))
    linger(root)
    return moved


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
