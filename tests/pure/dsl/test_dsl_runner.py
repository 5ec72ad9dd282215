"""Does a pod find its function, call it with typed arguments, leave the result, and say what went wrong?"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowbatch_dsl.runner import StepRefused, unpickled
from flowbatch_dsl.workflows.pickling import this_python

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]


class Pod:
    """One run of the runner, as a pod has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""

    def run(self, target: str, **env: Any) -> tuple[int, str]:
        """Exit code and termination message; `self.said` is the log."""
        message = self.folder / "termination"
        message.write_text("")
        given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in env.items()}
        path = os.pathsep.join([str(ROOT), str(ROOT / "dsl"), str(FOLDER)])
        done = subprocess.run(
            [sys.executable, "-m", "flowbatch_dsl.runner", target],
            env={**os.environ, "PYTHONPATH": path, "FLOWBATCH_TERMINATION": str(message), **given},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.said = done.stdout + done.stderr
        return done.returncode, message.read_text()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_arguments_arrive_typed_and_the_result_is_left(pod: Pod) -> None:
    given = {"FLOWBATCH_ARGUMENTS": {"lr": 0.5}, "FLOWBATCH_ITEM": '"abcd"', "FLOWBATCH_ITEM_INDEX": "3"}
    assert pod.run("flowsteps:score", **given) == (0, '{"result":2.0}')
    model = {"path": "p", "loss": 0.25}
    assert pod.run("flowsteps:publish", FLOWBATCH_INPUT_model=model) == (0, '{"result":"published p at 0.25"}')
    rates = {"path": "p", "rates": [{"$from": "FLOWBATCH_INPUT_rates_0"}, 1], "note": "\u0024x"}
    code, left = pod.run("flowsteps:train", FLOWBATCH_ARGUMENTS=rates, FLOWBATCH_INPUT_rates_0=0.5)
    assert (code, json.loads(left)) == (0, {"result": {"path": "p$x", "loss": 1.5}})
    given = {"FLOWBATCH_ARGUMENTS": {"scores": [1, 2], "named": {"a": 3}}, "FLOWBATCH_INPUT_published": "null"}
    code, left = pod.run("flowsteps:report", **given)
    assert (code, json.loads(left)["result"]) == (0, {"published": 0.0, "scores": 3, "a": 3})
    by_number = {"FLOWBATCH_ARGUMENTS": {"names": {"1": "a"}}}
    assert pod.run("flowsteps:by_number", **by_number) == (0, '{"result":{"2":"a"}}')
    assert pod.run("flowsteps:pair") == (0, '{"result":[1,[2.0,"a"]]}')
    assert pod.run("flowsteps:nothing") == (0, '{"result":null}')


def test_what_a_function_raises_is_in_the_log_and_in_one_line_in_the_message(pod: Pod) -> None:
    code, left = pod.run("flowsteps:boom", FLOWBATCH_ARGUMENTS={"what": "luck"})
    assert code == 1
    assert left.startswith("ValueError: no luck at all (")
    assert "flowsteps.py:" in left
    assert "Traceback" in pod.said


@pytest.mark.parametrize(
    ("target", "env", "problem"),
    [
        ("flowsteps:large", {}, "is 5,013 bytes of JSON, and at most 4,096 can pass: write it to a volume"),
        ("flowsteps:endless", {}, "has a number that JSON has no word for"),
        ("flowsteps:wrong", {}, "what wrong returned is not float"),
        ("flowsteps:best", {"FLOWBATCH_ARGUMENTS": {"xs": ["a"]}}, "the argument xs is not list[float]"),
        ("flowsteps:nope", {}, "has no step nope"),
        ("flowstep:best", {}, "there is no module flowstep in"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(pod: Pod, target: str, env: dict[str, Any], problem: str) -> None:
    code, left = pod.run(target, **env)
    assert code == 2
    assert problem in left
    assert problem in pod.said
    assert "Traceback" not in pod.said


def test_a_module_is_found_where_the_submitter_said(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text("def f() -> int:\n    return 7\n")
    assert pod.run("mine:f", FLOWBATCH_PATH=str(tmp_path / "elsewhere")) == (0, '{"result":7}')


def test_a_file_that_submits_when_imported_does_not_do_so_in_its_pod(pod: Pod) -> None:
    body = "from flowbatch_dsl import Job, Task\n\ndef f() -> int:\n    return 7\n\n"
    (pod.folder / "unguarded.py").write_text(body + "Job('a', tasks=[Task('t', ['x'])]).submit()\n")
    code, left = pod.run("unguarded:f")
    assert code == 1
    assert "__main__" in left


def test_another_python_than_the_picklers_is_refused(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    (tmp_path / "python-version").write_text(this_python())
    (tmp_path / "function.pickle").write_bytes(cloudpickle.dumps(lambda x: x + 1))
    assert unpickled(tmp_path)(1) == 2
    (tmp_path / "python-version").write_text("3.9")
    with pytest.raises(StepRefused, match=r"was pickled by Python 3\.9, and this image has"):
        unpickled(tmp_path)


def test_a_missing_termination_file_is_said_and_no_new_one_is_made(pod: Pod, tmp_path: Path) -> None:
    code, _ = pod.run("flowsteps:nothing", FLOWBATCH_TERMINATION=str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    assert "no termination message can be left" in pod.said
    assert code == 2
