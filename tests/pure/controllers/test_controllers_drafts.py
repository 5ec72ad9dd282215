"""Which statuses may wait to be written, how long, and is the latest the one that is written?"""

from flowbatch.api.batch import JobState, JobStatus
from flowbatch.controllers.drafts import Drafts, may_wait, only_counts
from flowbatch.controllers.settings import Settings


def status(phase, **fields):
    return JobStatus(state=JobState(phase=phase), **fields)


class World:
    def __init__(self):
        self.now = 50.0
        self.drafts = Drafts(Settings(phase_delay_s=0.25, counts_delay_s=1, counts_longest_s=5), lambda: self.now)


def test_beginnings_may_wait_and_ends_may_not():
    assert may_wait(status(""), status("Pending"))
    assert may_wait(status("Pending"), status("Running"))
    for phase in (
        "Completed",
        "Failed",
        "Aborting",
        "Aborted",
        "Restarting",
        "Completing",
        "Terminating",
        "Terminated",
    ):
        assert not may_wait(status("Running"), status(phase)), phase
        assert not may_wait(status(phase), status("Pending")), phase


def test_what_pays_for_an_action_never_waits():
    assert not may_wait(status("Running"), status("Running", retry_count=1))
    assert not may_wait(status("Running"), status("Running", version=1))


def test_counts_are_told_from_phases():
    assert only_counts(status("Running", running=1), status("Running", running=2))
    assert not only_counts(status("Pending"), status("Running", running=2))


def test_a_draft_is_what_the_next_reconcile_sees():
    world = World()
    wrote = status("")
    assert world.drafts.keep("j", "u", wrote, status("Pending")) == 0.25
    assert world.drafts.status("j", "u", wrote) == status("Pending")
    assert world.drafts.status("k", "u", wrote) == wrote


def test_a_newer_draft_replaces_an_older_one_and_keeps_its_deadline():
    world = World()
    world.drafts.keep("j", "u", status(""), status("Pending"))
    world.now += 0.125
    assert world.drafts.keep("j", "u", status(""), status("Running", running=1)) == 0.125
    assert world.drafts.status("j", "u", status("")) == status("Running", running=1)
    world.now += 0.125
    assert world.drafts.keep("j", "u", status(""), status("Running", running=2)) == 0


def test_a_new_phase_shortens_the_wait_of_counts():
    world = World()
    assert world.drafts.keep("j", "u", status("Pending"), status("Pending", pending=2)) == 1
    assert world.drafts.keep("j", "u", status("Pending"), status("Running", running=2)) == 0.25


def test_counts_that_go_on_changing_are_written_ever_more_seldom_until_the_phase_changes():
    world = World()
    waits = []
    for running in range(1, 6):
        before, after = status("Running", running=running), status("Running", running=running + 1)
        waits.append(world.drafts.keep("j", "u", before, after))
        world.drafts.written("j", before, after)
    assert waits == [1, 2, 4, 5, 5]
    world.drafts.written("j", status("Pending"), status("Running"))
    assert world.drafts.keep("j", "u", status("Running"), status("Running", running=1)) == 1


def test_the_draft_of_a_namesake_is_dropped():
    world = World()
    world.drafts.keep("j", "old", status(""), status("Running"))
    assert world.drafts.status("j", "new", status("")) == status("")
    assert len(world.drafts) == 0
