"""Is a pod that somebody deletes an eviction, whichever of its last states the controller gets to see?"""

import pytest

from tests.jobworld import a_job, running

POLICIES = [{"event": "PodFailed", "action": "AbortJob"}, {"event": "PodEvicted", "action": "TerminateJob"}]


@pytest.mark.parametrize("seen", ["terminating", "failed", "gone"])
def test_a_pod_deleted_while_it_ran_was_evicted(seen):
    world = running(a_job(policies=POLICIES))
    world.delete_pod("j-worker-0")
    if seen != "terminating":
        world.finish("j-worker-0", code=143)
    if seen == "gone":
        world.sweep()
    world.settle()
    assert world.phase == "Terminating"


def test_a_pod_that_had_failed_before_it_was_deleted_has_failed():
    world = running(a_job(policies=POLICIES))
    world.finish("j-worker-0", code=1)
    world.pass_time(5)
    world.delete_pod("j-worker-0")
    world.settle()
    assert world.phase == "Aborting"
