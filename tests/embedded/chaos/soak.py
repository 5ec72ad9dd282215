"""Seeds by the dozen, by hand: `python tests/embedded/chaos/soak.py FIRST LAST`; each failure prints its story."""

import asyncio
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from world import Plan, lived


def main() -> None:
    first, last = int(sys.argv[1]), int(sys.argv[2])
    failed = []
    for seed in range(first, last + 1):
        began = time.monotonic()
        try:
            here = asyncio.run(lived(Plan(seed=seed, log=sys.argv[3] if len(sys.argv) > 3 else "error")))
            said = f"ok, {here.checkers.bindings} bindings, {here.lives} lives, faults {here.trouble.fired}"
        except Exception as problem:
            said = "".join(traceback.format_exception(problem))
            failed.append(seed)
        print(f"seed {seed} ({time.monotonic() - began:.1f} s): {said}", flush=True)
    print("failed:", failed)


if __name__ == "__main__":
    main()
