"""import_ms: what `import flowbatch_dsl` costs a script or a notebook, beside a bare interpreter."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.figure import Figure

RUNS = 11


def _seconds(code: str) -> float:
    """The median time of a fresh interpreter that runs `code`."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def figures() -> Iterator[Figure]:
    bare, msgspec, dsl = _seconds("pass"), _seconds("import msgspec"), _seconds("import flowbatch_dsl")
    import_ms, best_ms = (dsl - bare) * 1000, (msgspec - bare) * 1000
    yield Figure("import_ms", import_ms, "ms", must=60, better="lower", ceiling=best_ms, note="ceiling: msgspec alone")
