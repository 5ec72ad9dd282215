"""Does a job end, and go, when its time is up: counted from its start, anew after a suspension, and never early?"""

from tests.jobworld import JobWorld, a_job, a_task, running


def gone_down(world: JobWorld) -> JobWorld:
    world.settle()
    world.sweep()
    world.settle()
    return world


def test_the_deadline_counts_from_the_start_and_not_from_the_submission():
    world = JobWorld(a_job(activeDeadlineSeconds=100))
    world.settle()
    world.pass_time(1000)
    world.settle()
    assert world.phase == "Pending"
    world.run()
    world.settle()
    assert (world.changes().wake_at - world.now).total_seconds() == 100
    world.pass_time(99)
    world.settle()
    assert world.phase == "Running"
    world.pass_time(1)
    world.settle()
    assert (world.phase, world.job.status.state.reason) == ("Failed", "DeadlineExceeded")
    assert world.alive == []


def test_a_restart_does_not_set_the_deadline_anew():
    world = running(a_job(policies=[{"event": "PodFailed", "action": "RestartJob"}], activeDeadlineSeconds=100))
    world.pass_time(60)
    world.finish("j-worker-0", code=1)
    gone_down(world)
    world.run()
    world.settle()
    world.pass_time(40)
    world.settle()
    assert world.job.status.state.reason == "DeadlineExceeded"


def test_a_job_that_waits_to_be_tried_again_runs_out_of_time_all_the_same():
    policies = [{"event": "PodFailed", "action": "RestartJob"}]
    world = running(a_job(policies=policies, activeDeadlineSeconds=100, retry={"backoffSeconds": 600}))
    world.finish("j-worker-0", code=1)
    gone_down(world)
    assert (world.changes().wake_at - world.now).total_seconds() == 100
    world.pass_time(100)
    world.settle()
    assert world.phase == "Failed"


def test_resuming_restores_the_deadline():
    world = running(a_job(activeDeadlineSeconds=100))
    world.pass_time(90)
    world.order("AbortJob")
    gone_down(world)
    world.pass_time(10_000)
    world.settle()
    assert world.phase == "Aborted"
    world.order("ResumeJob")
    world.settle()
    world.run()
    world.settle()
    world.pass_time(99)
    world.settle()
    assert world.phase == "Running"
    world.pass_time(1)
    world.settle()
    assert world.phase == "Failed"


def test_a_job_that_is_done_when_its_deadline_comes_has_completed():
    world = running(a_job(a_task(replicas=1), activeDeadlineSeconds=100))
    world.pass_time(100)
    world.finish("j-worker-0")
    world.settle()
    assert world.phase == "Completed"


def test_a_clock_that_runs_backwards_kills_nobody_and_deletes_nothing():
    world = running(a_job(activeDeadlineSeconds=100, ttlSecondsAfterFinished=50))
    world.pass_time(-3600)
    world.settle()
    assert world.phase == "Running"
    world.pass_time(3600)
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    world.pass_time(-3600)
    world.settle()
    assert not world.deleted_job


def test_a_suspended_job_goes_when_its_own_time_to_live_says_so_and_never_by_that_of_the_finished():
    world = running(a_job(ttlSecondsAfterFinished=1))
    world.order("AbortJob")
    gone_down(world)
    world.pass_time(10_000)
    world.settle()
    assert not world.deleted_job
    other = running(a_job(ttlSecondsAfterSuspended=60))
    other.order("AbortJob")
    gone_down(other)
    assert (other.changes().wake_at - other.now).total_seconds() == 60
    other.pass_time(60)
    other.turn()
    assert other.deleted_job


def test_a_job_resumed_in_time_stays():
    world = running(a_job(ttlSecondsAfterSuspended=60))
    world.order("AbortJob")
    gone_down(world)
    world.pass_time(59)
    world.order("ResumeJob")
    world.settle()
    world.pass_time(60)
    world.settle()
    assert not world.deleted_job
