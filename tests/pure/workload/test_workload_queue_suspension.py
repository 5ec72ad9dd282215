"""Does a suspended queue take its jobs down, and give them back as they were, whatever else was said to them?"""

import msgspec
import pytest
from msgspec.structs import replace

from flowbatch.workload.explain import explain
from tests.jobworld import JobWorld, a_job, running


class QueueWorld(JobWorld):
    """A job whose queue can be suspended."""

    suspended_queue = ""

    def children(self):
        return replace(super().children(), suspended_queue=self.suspended_queue)

    def swept(self):
        self.settle()
        self.sweep()
        self.settle()
        return self


def in_queue(**spec) -> QueueWorld:
    world = QueueWorld(a_job(**spec))
    world.settle()
    world.run()
    world.settle()
    return world


def own_level(world: JobWorld) -> bool:
    return world.job.spec.suspend or world.job.metadata.annotations.get("flowbatch.dev/suspended") == "true"


def test_jobs_go_down_with_their_queue_and_come_back_with_it_at_no_price():
    world = in_queue()
    world.finish("j-worker-0")
    world.suspended_queue = "ads"
    world.swept()
    assert (world.phase, world.alive, world.group) == ("Aborted", ["j-worker-0"], None)
    assert not own_level(world), "the job itself was told nothing"
    world.suspended_queue = ""
    world.swept()
    assert world.alive == ["j-worker-0", "j-worker-1"]
    world.run("j-worker-1")
    world.settle()
    assert (world.phase, world.retries, world.pods_made.count("j-worker-0")) == ("Running", 0, 1)


def test_a_job_submitted_to_a_suspended_queue_makes_nothing_until_the_queue_is_resumed():
    world = QueueWorld(a_job())
    world.suspended_queue = "root"
    world.settle()
    assert (world.phase, world.pods_made, world.group) == ("Aborted", [], None)
    world.suspended_queue = ""
    world.settle()
    assert world.alive == ["j-worker-0", "j-worker-1"]


def test_why_says_whose_suspension_it_is():
    world = in_queue()
    world.suspended_queue = "ads"
    world.swept()
    told = str(explain(world.job, world.group, world.queue, []))
    assert "suspended with queue ads; resume that: flowbatch resume queue/ads" in told


def test_a_job_that_is_suspended_itself_stays_down_when_its_queue_is_resumed():
    world = in_queue()
    world.order("AbortJob")
    world.swept()
    world.suspended_queue = "ads"
    world.swept()
    world.suspended_queue = ""
    world.swept()
    assert world.phase == "Aborted"
    world.order("ResumeJob")
    assert world.swept().alive == ["j-worker-0", "j-worker-1"]


def test_an_order_to_resume_one_job_waits_for_the_queue_and_says_so():
    world = in_queue()
    world.order("AbortJob")
    world.swept()
    world.suspended_queue = "ads"
    world.swept()
    world.order("ResumeJob")
    world.swept()
    assert (world.phase, own_level(world), world.commands) == ("Aborted", False, {})
    assert "StillSuspended" in world.notes
    world.suspended_queue = ""
    assert world.swept().alive == ["j-worker-0", "j-worker-1"]


def test_a_job_aborted_by_a_policy_does_not_come_back_with_its_queue():
    world = in_queue(policies=[{"event": "PodFailed", "action": "AbortJob"}])
    world.finish("j-worker-0", code=1)
    world.turn()
    world.suspended_queue = "ads"
    world.swept()
    assert own_level(world)
    world.suspended_queue = ""
    world.swept()
    assert world.phase == "Aborted"


@pytest.mark.parametrize("crash", range(8))
def test_a_crash_at_any_write_changes_nothing_of_that(crash):
    world = in_queue()
    world.suspended_queue = "ads"
    world.turn(crash_after=crash)
    world.swept()
    assert (world.phase, world.alive) == ("Aborted", [])
    world.suspended_queue = ""
    world.turn(crash_after=crash)
    world.swept()
    assert (world.alive, world.retries) == (["j-worker-0", "j-worker-1"], 0)


def test_a_finished_job_is_left_alone():
    world = in_queue()
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    before = msgspec.json.encode(world.job)
    world.suspended_queue = "ads"
    world.settle()
    assert msgspec.json.encode(world.job) == before
    assert running(a_job()).changes().empty
