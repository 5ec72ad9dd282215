"""Is a queue Open, Closing or Closed when it should be, alone, below a parent, and through crashes?"""

import itertools

import pytest

from flowbatch.api.bus import Command
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.scheduling import PodGroup, PodGroupStatus, Queue, QueueSpec, QueueStatus
from flowbatch.controllers.queue_state import judge

MARK = "volcano.sh/closed-by-parent"


def queue(state="Open", *, name="q", parent="root", marked=False, level=None, **counts):
    annotations = {MARK: "true"} if marked else {}
    if level is not None:
        annotations["flowbatch.dev/closed"] = level
    meta = ObjectMeta(name=name, annotations=annotations)
    return Queue(metadata=meta, spec=QueueSpec(parent=parent), status=QueueStatus(state=state, **counts))


def groups(*phases):
    return [PodGroup(status=PodGroupStatus(phase=phase)) for phase in phases]


def commands(*actions):
    return [Command(action=action) for action in actions]


def state_of(verdict, before):
    return verdict.status_patch.get("status", {}).get("state", before)


def test_a_new_queue_is_opened_and_hung_under_root():
    verdict = judge(queue("", parent=""), None, [], [])
    # `allocated`: Volcano's own CRD refuses a status without it.
    assert verdict.status_patch == {"status": {"state": "Open", "allocated": {}}}
    assert verdict.object_patch == {"spec": {"parent": "root"}}
    assert verdict.urgent


def test_a_settled_queue_needs_no_write():
    verdict = judge(queue(pending=1, running=2), queue(name="root"), groups("", "Running", "Running"), [])
    assert (verdict.object_patch, verdict.status_patch, verdict.urgent) == ({}, {}, False)


def test_counts_are_patched_where_they_differ_only():
    verdict = judge(queue(pending=1, running=2), None, groups("Running", "Running", "Completed"), [])
    assert verdict.status_patch == {"status": {"pending": 0, "completed": 1, "allocated": {}}}
    assert not verdict.urgent


@pytest.mark.parametrize(
    ("phases", "state"), [([], "Closed"), (["Completed"], "Closed"), (["Running"], "Closing"), ([""], "Closing")]
)
def test_a_closed_queue_is_closing_while_groups_are_unfinished(phases, state):
    assert state_of(judge(queue(), None, groups(*phases), commands("CloseQueue")), "Open") == state


def test_closing_becomes_closed_when_the_last_group_ends_and_open_again_by_command():
    assert state_of(judge(queue("Closing", running=1), None, groups("Completed"), []), "Closing") == "Closed"
    assert state_of(judge(queue("Closed"), None, [], commands("OpenQueue")), "Closed") == "Open"


def test_commands_apply_in_order():
    assert state_of(judge(queue(), None, [], commands("CloseQueue", "OpenQueue")), "Open") == "Open"


def test_the_root_queue_is_never_closed():
    verdict = judge(queue(name="root", parent="", level="true"), None, [], commands("CloseQueue"))
    assert state_of(verdict, "Open") == "Open"
    assert verdict.object_patch == {}
    assert verdict.notes[0][0] == "CloseRefused"


def test_an_unknown_command_is_told_and_changes_nothing():
    verdict = judge(queue(), None, [], commands("Dance"))
    assert verdict.status_patch == {}
    assert "Dance" in verdict.notes[0][1]


def test_the_annotation_is_a_level():
    assert state_of(judge(queue(level="true"), None, [], []), "Open") == "Closed"
    assert state_of(judge(queue("Closed", level="false"), None, [], []), "Closed") == "Open"


def test_a_closed_parent_closes_and_marks_an_open_child_and_reopens_only_that_one():
    shut, opened = queue("Closed", name="p"), queue("Open", name="p")
    first = judge(queue(parent="p"), shut, [], [])
    assert first.object_patch == {"metadata": {"annotations": {MARK: "true"}}}
    assert state_of(first, "Open") == "Closed"
    assert not first.status_first, "the mark must be on before the state it explains"
    again = judge(queue("Closed", parent="p", marked=True), opened, [], [])
    assert again.object_patch == {"metadata": {"annotations": {MARK: None}}}
    assert state_of(again, "Closed") == "Open"
    assert again.status_first, "the mark must outlast the state it explains"
    own = judge(queue("Closed", parent="p"), opened, [], [])
    assert (own.object_patch, own.status_patch) == ({}, {})


def test_a_child_is_not_opened_below_a_closed_parent():
    verdict = judge(queue("Closed", parent="p"), queue("Closing", name="p"), [], commands("OpenQueue"))
    assert state_of(verdict, "Closed") == "Closed"
    assert verdict.notes[0][0] == "OpenRefused"


def test_closing_a_child_that_its_parent_closed_makes_it_its_own():
    verdict = judge(queue("Closed", parent="p", marked=True), queue("Closed", name="p"), [], commands("CloseQueue"))
    assert verdict.object_patch == {"metadata": {"annotations": {MARK: None}}}
    assert verdict.status_patch == {}


def apply(before, patch):
    """The queue after a merge patch, as far as these tests patch."""
    annotations = dict(before.metadata.annotations)
    for key, value in patch.get("metadata", {}).get("annotations", {}).items():
        annotations.pop(key, None)
        if value is not None:
            annotations[key] = value
    state = patch.get("status", {}).get("state", before.status.state)
    return queue(state, parent="p", marked=MARK in annotations)


@pytest.mark.parametrize("crashes", list(itertools.product([False, True], repeat=2)))
def test_a_crash_between_the_two_writes_never_leaves_a_child_closed_for_good(crashes):
    child = queue(parent="p")
    for parent_state, crash in zip(["Closed", "Open"], crashes, strict=True):
        parent = queue(parent_state, name="p")
        verdict = judge(child, parent, [], [])
        writes = [verdict.object_patch, verdict.status_patch]
        if verdict.status_first:
            writes.reverse()
        child = apply(child, writes[0])
        if not crash:
            child = apply(child, writes[1])
    for _ in range(2):
        verdict = judge(child, queue("Open", name="p"), [], [])
        child = apply(apply(child, verdict.object_patch), verdict.status_patch)
    assert child == queue("Open", parent="p")
