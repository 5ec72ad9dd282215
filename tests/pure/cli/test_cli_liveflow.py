"""What does one see of a workflow while it runs, and what is the last word on it?"""

import io
from typing import Any

import msgspec
from rich.console import Console

from flowbatch.api.flow import JobFlow
from flowbatch.cli.liveflow import SHOWN_STEPS, FlowFollower, FlowProgress


def a_flow(phase: str, *steps: dict[str, Any], names: int = 0, message: str = "") -> JobFlow:
    entries = [{"name": step["name"]} for step in steps] + [{"name": f"later-{i}"} for i in range(names)]
    status = {"state": {"phase": phase, "message": message}, "steps": list(steps)}
    meta = {"name": "nightly", "namespace": "default", "uid": "u"}
    return msgspec.convert({"metadata": meta, "spec": {"flows": entries}, "status": status}, JobFlow)


def shown(flow: JobFlow) -> str:
    follower = FlowFollower(None, [flow], plain=False)  # type: ignore[arg-type]  # nothing is asked of it
    console = Console(file=io.StringIO(), width=100)
    console.print(follower.render())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


RUNNING = {"name": "score", "state": "Running", "attempts": 2, "items": {"total": 8, "completed": 3}}
BROKEN = {"name": "train", "state": "Failed", "attempts": 1, "message": "job nightly-train failed"}


def test_each_step_is_a_row() -> None:
    text = shown(a_flow("Running", {"name": "shard", "state": "Completed", "attempts": 1}, RUNNING, names=1))
    rows = [line.strip("│ ").split() for line in text.splitlines()[2:5]]
    assert rows == [
        ["shard", "Completed", "·", "1"],
        ["score", "Running", "3/8", "2"],
        ["later-0", "Waiting", "·", "·"],
    ]
    assert "nightly  Running" in text


def test_of_a_long_workflow_only_what_moves_is_shown() -> None:
    text = shown(a_flow("Running", RUNNING, names=SHOWN_STEPS))
    assert "score" in text
    assert "later-" not in text
    assert f"0 of {SHOWN_STEPS + 1} completed" in text


def test_the_last_word_names_what_failed() -> None:
    failed = FlowProgress(a_flow("Failed", BROKEN, message="step train: job nightly-train failed"))
    assert not failed.succeeded
    assert failed.result().splitlines() == [
        "nightly: failed: step train: job nightly-train failed",
        "  train Failed: job nightly-train failed",
    ]
    done = FlowProgress(a_flow("Succeed"))
    assert done.succeeded
    assert done.result().startswith("nightly: completed in")
    done.gone = True
    assert (done.succeeded, done.result()) == (False, "nightly: deleted")


def test_in_lines_each_news_of_a_step_is_told_once(capsys: Any) -> None:
    follower = FlowFollower(None, [a_flow("Running", RUNNING, names=1)], plain=True)  # type: ignore[arg-type]
    for _ in range(2):
        follower._speak(follower.flows[0])
    assert capsys.readouterr().out == "nightly: score Running 3 of 8, attempt 2\n"
