"""Do type checkers catch the slips people make, and nothing else? Slow: one run of mypy and one of pyright."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path("tests") / "typing"
FILES = [
    str(FOLDER / name) for name in ("typed_specs.py", "typed_flows.py", "planted_errors.py", "planted_flow_errors.py")
]
PLANTED = {
    (file, number)
    for file in FILES
    for number, line in enumerate((ROOT / file).read_text().splitlines(), 1)
    if "# planted:" in line
}


def run(*command: str) -> str:
    program = str(Path(sys.executable).parent / command[0])
    return subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def by_mypy() -> set[tuple[str, int]]:
    said = run("mypy", "--no-error-summary", "--hide-error-context", "--no-pretty", *FILES)
    found = re.findall(r"^(\S+?):(\d+): error:", said, re.MULTILINE)
    return {(file, int(line)) for file, line in found}


def by_pyright() -> set[tuple[str, int]]:
    said = json.loads(run("pyright", "--outputjson", *FILES))
    return {
        (str(Path(each["file"]).relative_to(ROOT)), each["range"]["start"]["line"] + 1)
        for each in said["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [by_mypy, by_pyright], ids=["mypy", "pyright"])
def test_exactly_the_planted_errors_are_found(checker) -> None:
    assert len(PLANTED) > 30
    found = checker()
    assert found - PLANTED == set(), "errors that are none"
    assert PLANTED - found == set(), "planted errors that nobody saw"
