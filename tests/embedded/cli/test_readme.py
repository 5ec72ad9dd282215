"""Is what the README shows true: does its job run as it stands, are its commands real, do its links lead somewhere?"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from examples.demo import ACTS
from flowbatch.cli import VERBS

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
TEN_LINES = re.search(r"## A job in ten lines\n\n```python\n(.*?)```", README, re.DOTALL)


def in_a_loop(code):
    return f"import asyncio\nasync def cell():\n{textwrap.indent(code, '    ')}\nasyncio.run(cell())\n"


@pytest.mark.parametrize("around", [str, in_a_loop], ids=["a script", "a notebook's running loop"])
def test_the_ten_line_job_runs_as_it_stands(around, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    code = around(TEN_LINES[1])
    assert len([line for line in TEN_LINES[1].splitlines() if line]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pi is about 3.14159265" in done.stdout
    assert done.stdout.splitlines()[-1] == "Completed"
    assert done.stderr == ""


def test_the_demo_that_is_shown_is_the_demo_that_runs():
    shown = README.split("<!-- demo:begin -->")[1].split("<!-- demo:end -->")[0]
    commands = [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ ")]
    assert commands == ["make demo", *(command for _, commands in ACTS for command in commands)]
    assert [line.removeprefix("── ") for line in shown.splitlines() if line.startswith("── ")][1:-1] == [
        title for title, _ in ACTS
    ]


def test_the_commands_it_names_exist():
    named = set(re.findall(r"\bflowbatch ([a-z]+)", README.split("## How it compares")[0]))
    verbs = {word for word in named if re.search(rf"(?:`|\$ |\()flowbatch {word}\b", README)}
    assert verbs <= set(VERBS), verbs - set(VERBS)
    assert {"up", "run", "why", "validate", "render"} <= verbs


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_places_it_points_to_exist(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
        assert (ROOT / target).exists(), f"{page} points to {target}"
