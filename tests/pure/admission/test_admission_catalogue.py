"""The catalogue of bad input (reliability.md 4.2) at the door, row by row, for jobs, flows, cron jobs and queues.

Jobs have more rows in tests/pure/workload/test_workload_rules.py; formats of files are for those who read files.
"""

import copy
import json

import pytest

from flowbatch.admission.admit import admit
from flowbatch.errors import SHOWN_VALUE_CHARS, SpecErrors
from tests.admissioncases import DROP, put
from tests.admissionworld import Stored, cron, flow, job, queue, task

WORLD = Stored(queue("root"), queue("default"), queue("shut", "Closed"), queue("a", parent="b"), queue("b", parent="a"))
FLOW = flow({"name": "a"}, {"name": "b", "dependsOn": {"targets": ["a"]}, "retry": {"limit": 1}})
BASES = {"job": job(), "flow": FLOW, "cron": cron(), "queue": queue("q", weight=1, capability={"cpu": "4"})}
T, S = "spec.tasks.0", "spec.flows.1"
HUGE = 10**30

#: (kind, where, what is put there, where it is refused)
COUNTS = [
    *[("job", f"{T}.replicas", value, "spec.tasks") for value in (-1, 2**31 - 1, 2**31, 10**9, HUGE, "1", 1.5)],
    *[("job", "spec.minAvailable", value, "spec.minAvailable") for value in (-1, 3, 2**31, HUGE, "all")],
    *[("job", "spec.maxRetry", value, "spec.maxRetry") for value in (-1, 2**31)],
    *[("job", "spec.ttlSecondsAfterFinished", value, "spec.ttlSecondsAfterFinished") for value in (-1, 2**31)],
    ("job", f"{T}.minAvailable", 3, f"{T}.minAvailable"),
    *[("flow", f"{S}.retry.limit", value, f"{S}.retry.limit") for value in (-1, 2**31, HUGE, "2", True)],
    *[("flow", f"{S}.retry", {"backoffSeconds": value}, f"{S}.retry.backoffSeconds") for value in (-1, 2**31)],
    *[("flow", f"{S}.forEach", {"items": [1], "maxParallel": value}, f"{S}.forEach.maxParallel") for value in (0, -1)],
    *[
        ("cron", f"spec.{field}", -1, f"spec.{field}")
        for field in ("failedJobsHistoryLimit", "startingDeadlineSeconds")
    ],
    *[("cron", "spec.successfulJobsHistoryLimit", value, "spec.successful") for value in (-1, 2**31, HUGE, 1.5)],
    *[("queue", "spec.weight", value, "spec.weight") for value in (-1, 65536, HUGE, "1", 1.5)],
    *[("queue", "spec.priority", value, "spec.priority") for value in (2**31, -(2**31) - 1, HUGE, "high")],
]
BAD_NAMES = ("", "A", "a.", "-a", "a-", "..", "é", "‮a", "a\u200b", "a\x00", "😀", "a/b", "a" * 254, " ", "a\n")
NAMES = [
    *[(kind, "metadata.name", name, "metadata.name") for kind in BASES for name in BAD_NAMES],
    *[("job", f"{T}.name", name, f"{T}.name") for name in BAD_NAMES if name],
    *[("flow", "spec.flows.0.name", name, "spec.flows[0].name") for name in BAD_NAMES],
    *[("job", "spec.queue", name, "spec.queue") for name in BAD_NAMES if name],
    *[("queue", "spec.parent", name, "spec.parent") for name in BAD_NAMES if name],
    *[(kind, "metadata.name", "x" * 64, "metadata.name") for kind in ("job", "cron", "queue")],
    ("job", "metadata.name", "x" * 55, f"{T}.name"),
    ("flow", "metadata.name", "x" * 62, "spec.flows[0].name"),
]
GRAPH = [
    ("job", f"{T}.dependsOn", {"name": ["worker"]}, f"{T}.dependsOn"),
    ("job", f"{T}.dependsOn", {"name": ["nobody"]}, f"{T}.dependsOn"),
    ("flow", f"{S}.dependsOn.targets", ["b"], f"{S}.dependsOn"),
    ("flow", f"{S}.dependsOn.targets", ["nobody"], f"{S}.dependsOn"),
    ("flow", f"{S}.dependsOn.targets", ["a", "a"], f"{S}.dependsOn"),
    ("flow", "spec.flows.0.dependsOn", {"targets": ["b"]}, "spec.flows[0].dependsOn"),
    ("queue", "spec.parent", "q", "spec.parent"),
    ("queue", "spec.parent", "a", "spec.parent"),
    ("queue", "spec.parent", "nobody", "spec.parent"),
]
WORDS = [
    *[
        ("cron", "spec.schedule", text, "spec.schedule")
        for text in ("", "daily", "* * * *", "61 * * * *", "@every -1s")
    ],
    *[("cron", "spec.timeZone", text, "spec.timeZone") for text in ("", "Mars/Olympus", "../etc/passwd", "UTC\x00")],
    ("cron", "spec.concurrencyPolicy", "Sometimes", "spec.concurrencyPolicy"),
    ("cron", "spec.jobTemplate", DROP, "spec.jobTemplate"),
    ("cron", "spec.jobTemplate.spec.maxRetry", -1, "spec.jobTemplate.spec.maxRetry"),
    ("flow", "spec.jobRetainPolicy", "burn", "spec.jobRetainPolicy"),
    ("queue", "spec.dequeueStrategy", "lifo", "spec.dequeueStrategy"),
    *[
        ("queue", "spec.capability.cpu", text, "spec.capability.cpu")
        for text in (
            "",
            "1 Gi",
            " 1",
            "1_000",
            "0x10",
            "1,5",
            "1GB",
            "nan",
            "１",
            "1K",
            "--1",
            ".",
            "-1",
            "1e1000000000",
            True,
        )
    ],
    ("queue", "spec.guarantee", {"resource": {"cpu": "1"}}, "spec.guarantee"),
    ("queue", "spec.deserved", {"cpu": "5"}, "spec.deserved"),
]
STRUCTURE = [
    *[(kind, "spec", value, "spec") for kind in BASES for value in ([], "text", 7, True)],
    *[(kind, "spec.noSuchField", 1, "spec.noSuchField") for kind in BASES],
    *[(kind, "metadata.labels", {"a b": "c"}, "metadata.labels") for kind in BASES],
    *[(kind, "metadata.labels", ["a"], "metadata.labels") for kind in BASES],
    *[(kind, "metadata.annotations", {"a": "x" * 300_000}, "metadata.annotations") for kind in BASES],
    ("job", "spec.tasks", {"a": 1}, "spec.tasks"),
    ("flow", "spec.flows", {"a": 1}, "spec.flows"),
    ("flow", "spec.flows", [None], "spec.flows[0]"),
    ("cron", "spec.jobTemplate", "job.yaml", "spec.jobTemplate"),
    ("queue", "spec.capability", ["cpu"], "spec.capability"),
]
SEMANTICS = [
    ("job", "spec.queue", "nobody", "spec.queue"),
    ("job", "spec.queue", "shut", "spec.queue"),
    ("job", "spec.queue", "root", "spec.queue"),
    ("job", "spec.priorityClassName", "nobody", "spec.priorityClassName"),
    ("job", f"{T}.template.spec.containers.0.image", "", f"{T}.template.spec.containers.0.image"),
]


@pytest.mark.parametrize(
    ("kind", "where", "value", "refused"),
    [*COUNTS, *NAMES, *GRAPH, *WORDS, *STRUCTURE, *SEMANTICS],
    ids=lambda each: "nothing" if each is DROP else ascii(each)[:40],
)
def test_bad_input_is_refused_at_its_place(kind, where, value, refused):
    manifest = copy.deepcopy(BASES[kind])
    put(where, value)(manifest)
    with pytest.raises(SpecErrors) as told:
        admit("CREATE", manifest["kind"], None, manifest, WORLD)
    wanted = _bracketed(refused)
    assert any(_bracketed(each.path).startswith(wanted) for each in told.value), [str(each) for each in told.value]
    for each in told.value:
        text = str(each)
        assert text.isprintable(), "nothing in a refusal moves a cursor or hides itself"
        assert len(text) < 1000 + SHOWN_VALUE_CHARS


def _bracketed(path):
    parts = path.replace("[", ".").replace("]", "").split(".")
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts)


@pytest.mark.parametrize("kind", BASES)
def test_what_the_rows_begin_with_is_right(kind):
    manifest = json.loads(json.dumps(BASES[kind]))
    admit("CREATE", manifest["kind"], None, manifest, WORLD)


def stored(**spec):
    return admit("CREATE", "Job", None, job(tasks=[task(replicas=4, minAvailable=2)], **spec), WORLD)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"queue": "shut"}, "spec.queue"),
        ({"minAvailable": 5}, "spec.minAvailable"),
        ({"minAvailable": -1}, "spec.minAvailable"),
        ({"plugins": {"svc": []}}, "spec.plugins"),
        ({"maxRetry": 9}, "spec.maxRetry"),
    ],
)
def test_edits_that_are_refused(change, refused):
    old = stored()
    new = {**old, "spec": {**old["spec"], **change}}
    with pytest.raises(SpecErrors) as told:
        admit("UPDATE", "Job", old, new, WORLD)
    assert refused in [each.path for each in told.value]


@pytest.mark.parametrize("replicas", [1, 2, 100])
def test_edits_that_are_fine(replicas):
    """Smaller than what runs, larger, and the minimum raised while it runs: the controller follows."""
    old = stored()
    tasks = [{**old["spec"]["tasks"][0], "replicas": replicas, "minAvailable": 1}]
    new = {**old, "spec": {**old["spec"], "tasks": tasks, "minAvailable": 1, "suspend": True}}
    assert admit("UPDATE", "Job", old, new, WORLD)["spec"]["tasks"][0]["replicas"] == replicas
