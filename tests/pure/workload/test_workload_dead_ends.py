"""Does a job whose gang can never be whole again end, and does nobody wait for members that are done and gone?"""

from tests.jobworld import JobWorld, a_job, a_task, running


def swept(world: JobWorld) -> JobWorld:
    world.settle()
    world.sweep()
    world.settle()
    return world


def three(**more) -> JobWorld:
    return running(a_job(a_task(replicas=3, **more)))


def test_what_waits_for_a_member_that_has_failed_for_good_is_given_up():
    world = three()
    world.finish("j-worker-0", code=1)
    world.finish("j-worker-2")
    world.delete_pod("j-worker-1")
    swept(world)
    assert (world.phase, world.job.status.state.reason) == ("Failed", "GangBroken")
    assert "1 failed, and 3 of 3 are needed together" in world.job.status.state.message


def test_a_member_that_still_runs_may_finish_first():
    world = three()
    world.finish("j-worker-0", code=1)
    world.delete_pod("j-worker-1")
    swept(world)
    assert world.phase == "Pending"
    world.finish("j-worker-2")
    assert swept(world).phase == "Failed"


def test_enough_others_go_on_without_the_one_that_failed():
    world = three(minAvailable=2)
    world.finish("j-worker-0", code=1)
    world.finish("j-worker-2")
    world.delete_pod("j-worker-1")
    swept(world)
    assert (world.phase, world.pods["j-worker-1"].status.phase) == ("Running", "Pending")


def test_a_failure_that_a_timer_is_about_to_answer_is_not_for_good():
    policies = [{"event": "PodFailed", "action": "RestartJob", "timeout": "10s"}]
    world = running(a_job(a_task(replicas=2), policies=policies))
    world.finish("j-worker-0", code=1)
    world.delete_pod("j-worker-1")
    swept(world)
    assert world.phase == "Pending"
    world.pass_time(10)
    assert swept(world).retries == 1


def test_the_group_asks_only_for_members_that_are_still_to_come():
    world = three()
    world.finish("j-worker-0")
    world.settle()
    assert (world.group.spec.min_member, world.group.spec.min_task_member) == (3, {"worker": 3})
    world.lose("j-worker-0")
    world.settle()
    assert (world.group.spec.min_member, world.group.spec.min_task_member) == (2, {"worker": 2})
    assert [task.count for task in world.group.spec.declared_tasks] == [2]


def test_a_restart_asks_for_everybody_again():
    world = three()
    world.finish("j-worker-0")
    world.settle()
    world.lose("j-worker-0")
    world.settle()
    world.order("RestartJob")
    swept(world)
    assert world.group.spec.min_member == 3
    assert world.alive == ["j-worker-0", "j-worker-1", "j-worker-2"]
