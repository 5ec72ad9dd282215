"""`python -m benchmarks [NAME...]`: a table for people, then one line `figure NAME VALUE UNIT` each for machines.

Each benchmark runs in a process of its own: memory and garbage of one are not the next one's.
"""

import json
import subprocess
import sys
from dataclasses import asdict

from benchmarks import names, run
from benchmarks.figure import Figure

ALONE = "--in-this-process"


def main(arguments: list[str]) -> int:
    if arguments[:1] == [ALONE]:
        for figure in run(arguments[1]):
            print("json", json.dumps(asdict(figure)), flush=True)
        return 0
    unknown = set(arguments) - set(names())
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    found: list[Figure] = []
    failed = [name for name in arguments or names() if not measure(name, found)]
    show(found)
    for figure in found:
        print(f"figure {figure.name} {figure.value:.6g} {figure.unit}")
    for name in failed:
        print(f"benchmark {name} failed", file=sys.stderr)
    return 1 if failed else 0


def measure(name: str, found: list[Figure]) -> bool:
    """Runs one benchmark; adds its figures to `found`; whether it ended well."""
    command = [sys.executable, "-m", "benchmarks", ALONE, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for output in child.stdout:
            if output.startswith("json "):
                found.append(Figure(**json.loads(output.removeprefix("json "))))
            else:
                print(output, end="")
    return child.returncode == 0


def show(found: list[Figure]) -> None:
    from rich.console import Console  # here, so that no benchmark carries its objects
    from rich.table import Table

    table = Table("figure", "value", "unit", "must reach", "", "machine's ceiling", "share", "note")
    for each in found:
        sign = "≥" if each.better == "higher" else "≤"
        must = "" if each.must is None else f"{sign} {each.must:,.6g}"
        mark = {None: "", True: "ok", False: "MISSED"}[each.reached]
        ceiling = "" if each.ceiling is None else f"{each.ceiling:,.5g}"
        share = "" if not each.ceiling else f"{each.value / each.ceiling:.2f}"
        table.add_row(each.name, f"{each.value:,.5g}", each.unit, must, mark, ceiling, share, each.note)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
