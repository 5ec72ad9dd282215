"""Do policies, retries, timers and suspension do what volcano.md 4.1-4.3 says, with flowbatch's repairs?"""

import pytest

from tests.jobworld import JobWorld, a_job, a_task, running


def on(event, action, **more):
    key = "events" if isinstance(event, list) else "exitCode" if isinstance(event, int) else "event"
    return {key: event, "action": action, **more}


def after(world: JobWorld) -> JobWorld:
    """What was killed is gone, and everything has settled."""
    world.settle()
    world.sweep()
    world.settle()
    return world


ENDS = {"RestartJob": "Pending", "TerminateJob": "Terminated", "AbortJob": "Aborted", "CompleteJob": "Completed"}


@pytest.mark.parametrize("action", ENDS)
def test_a_failed_pod_leads_to_the_jobs_action(action):
    world = running(a_job(policies=[on("PodFailed", action)]))
    world.finish("j-worker-1", code=2)
    assert after(world).phase == ENDS[action]


@pytest.mark.parametrize("action", ENDS)
def test_an_evicted_pod_leads_to_the_jobs_action(action):
    world = running(a_job(policies=[on("PodEvicted", action)]))
    world.delete_pod("j-worker-1")
    assert after(world).phase == ENDS[action]


@pytest.mark.parametrize("event", ["PodFailed", "PodEvicted"])
def test_the_tasks_policy_wins_over_the_jobs(event):
    world = running(a_job(a_task(policies=[on(event, "RestartJob")]), policies=[on(event, "AbortJob")]))
    if event == "PodFailed":
        world.finish("j-worker-0", code=1)
    else:
        world.delete_pod("j-worker-0")
    world.settle()
    assert world.phase == "Restarting"


def test_a_catch_all_answers_a_lost_pod():
    world = running(a_job(policies=[on("*", "RestartJob")]))
    world.lose("j-worker-0")
    world.settle()
    assert world.phase == "Restarting"


def test_a_list_of_events_is_any_of_them():
    world = running(a_job(policies=[on(["PodEvicted", "PodFailed"], "TerminateJob")]))
    world.finish("j-worker-0", code=1)
    assert after(world).phase == "Terminated"


def test_an_exit_code_policy_answers_only_its_code():
    world = running(a_job(policies=[on(3, "RestartJob")]))
    world.finish("j-worker-0", code=2)
    world.settle()
    assert world.phase == "Running"
    world.finish("j-worker-1", code=3)
    world.settle()
    assert world.phase == "Failed" or world.phase == "Restarting"
    assert "Restarting" in world.history


def test_the_first_match_in_order_wins():
    world = running(a_job(policies=[on(3, "AbortJob"), on("PodFailed", "TerminateJob")]))
    world.finish("j-worker-0", code=3)
    assert after(world).phase == "Aborted"


def test_a_completed_task_completes_the_job_and_stops_the_others():
    world = running(a_job(a_task("a", 1, policies=[on("TaskCompleted", "CompleteJob")]), a_task("b", 1)))
    world.finish("j-a-0")
    assert after(world).phase == "Completed"
    assert world.alive == ["j-a-0"]


def test_success_is_answered_before_the_failures_it_causes():
    policies = [on("TaskCompleted", "CompleteJob"), on("PodFailed", "RestartJob")]
    world = running(a_job(a_task("a", 1), a_task("b", 1), policies=policies))
    world.finish("j-b-0", code=255)
    world.finish("j-a-0")
    assert after(world).phase == "Completed"


def test_too_many_restarts_in_place_fail_the_task():
    world = running(a_job(a_task(maxRetry=3), policies=[on("TaskFailed", "TerminateJob")]))
    world.restart_in_place("j-worker-0", 2)
    world.settle()
    assert world.phase == "Running"
    world.restart_in_place("j-worker-1", 1)
    assert after(world).phase == "Terminated"


def test_a_job_that_can_no_longer_be_scheduled_is_unknown_once():
    world = running(a_job(policies=[on("Unknown", "RestartJob")], maxRetry=10))
    world.set_group("Unknown")
    world.settle()
    assert world.phase == "Restarting"
    assert world.retries == 1
    after(world)
    assert world.retries == 1


def test_a_change_of_the_job_is_answered_once_and_never_by_a_catch_all():
    world = running(a_job(policies=[on("JobUpdated", "RestartJob")]))
    world.resize("worker", 3)
    world.settle()
    assert world.phase == "Restarting"
    assert world.retries == 1
    after(world)
    assert world.retries == 1
    other = running(a_job(policies=[on("*", "RestartJob")]))
    other.resize("worker", 3)
    other.settle()
    assert "Restarting" not in other.history


# Restarts ----------------------------------------------------------------------------------------------------------


def test_a_restart_deletes_every_pod_and_begins_again_in_the_queue():
    world = running(a_job(policies=[on("PodFailed", "RestartJob")]))
    group = world.group.metadata.uid
    world.finish("j-worker-0", code=1)
    world.settle()
    assert world.phase == "Restarting"
    assert world.alive == []
    assert world.group.metadata.uid != group
    after(world)
    assert world.alive == ["j-worker-0", "j-worker-1"]
    world.run()
    world.settle()
    assert (world.phase, world.retries) == ("Running", 1)
    assert world.history == ["Pending", "Running", "Restarting", "Pending", "Running"]


def test_a_restart_runs_succeeded_work_again_unlike_a_resumption():
    world = running(a_job(policies=[on("PodFailed", "RestartJob")]))
    world.finish("j-worker-0")
    world.settle()
    world.finish("j-worker-1", code=1)
    after(world)
    assert world.pods_made.count("j-worker-0") == 2
    assert world.job.status.succeeded == 0


def test_a_restarted_pod_restarts_alone_while_the_job_goes_on():
    policies = [on("PodFailed", "RestartPod"), on("PodEvicted", "TerminateJob", timeout="5m")]
    world = running(a_job(a_task(replicas=3), policies=policies))
    group = world.group.metadata.uid
    world.finish("j-worker-1", code=1)
    after(world)
    assert world.pods_made.count("j-worker-1") == 2
    assert world.pods_made.count("j-worker-0") == 1
    world.run()
    world.settle()
    assert world.phase == "Running"
    assert world.group.metadata.uid == group
    world.pass_time(600)
    world.settle()
    assert world.phase == "Running", "our own deletion is no eviction"


def test_a_restarted_task_leaves_other_tasks_alone():
    world = running(a_job(a_task("a", 2, policies=[on("PodFailed", "RestartTask")]), a_task("b", 2)))
    world.finish("j-a-0")
    world.settle()
    world.finish("j-a-1", code=1)
    after(world)
    assert world.pods_made.count("j-a-0") == 2
    assert world.pods_made.count("j-b-0") == 1
    assert world.job.status.succeeded == 0


def test_a_restarted_partition_is_all_that_restarts():
    parts = {"totalPartitions": 2, "partitionSize": 2}
    world = running(a_job(a_task("a", 4, partitionPolicy=parts, policies=[on("PodFailed", "RestartPartition")])))
    world.finish("j-a-2", code=1)
    after(world)
    assert [world.pods_made.count(f"j-a-{index}") for index in range(4)] == [1, 1, 2, 2]


def test_pods_that_fail_together_cost_one_retry():
    world = running(a_job(a_task(replicas=4), policies=[on("PodFailed", "RestartPod")]))
    world.finish("j-worker-0", "j-worker-1", code=1)
    world.settle()
    world.finish("j-worker-2", code=1)
    after(world)
    assert world.retries == 1
    assert [world.pods_made.count(f"j-worker-{index}") for index in range(4)] == [2, 2, 2, 1]


def test_the_last_retry_keeps_the_pods_that_have_logs():
    world = running(a_job(policies=[on("PodFailed", "RestartJob")], maxRetry=2))
    world.finish("j-worker-0", code=1)
    after(world)
    world.run()
    world.settle()
    world.finish("j-worker-0", code=1)
    after(world)
    assert (world.phase, world.retries) == ("Failed", 2)
    assert world.alive == ["j-worker-0"]
    assert world.job.status.state.reason == "RetriesSpent"
    assert "PodFailed of worker-0 (exit code 1)" in world.job.status.state.message


def test_the_retry_is_written_before_a_pod_is_killed():
    world = running(a_job(policies=[on("PodFailed", "RestartJob")]))
    world.finish("j-worker-0", code=1)
    changes = world.changes()
    assert changes.status_first
    assert changes.status.retry_count == 1
    assert {each.kind for each in changes.deletes} == {"Pod", "PodGroup"}


def test_infrastructure_failures_cost_no_retry():
    world = running(a_job(policies=[on("*", "RestartJob")], maxRetry=2))
    for _ in range(5):
        world.finish("j-worker-0", code=137, disrupted=True)
        after(world)
        world.run()
        world.settle()
        world.lose("j-worker-1")
        after(world)
        world.run()
        world.settle()
    assert (world.phase, world.retries) == ("Running", 0)


def test_an_evicted_pod_that_ends_as_failed_is_answered_as_evicted():
    world = running(a_job(policies=[on("PodEvicted", "TerminateJob")]))
    world.finish("j-worker-0", reason="Evicted")
    assert after(world).phase == "Terminated"


def test_a_pod_that_its_node_refused_is_made_again_but_not_in_a_hurry():
    world = JobWorld(a_job(policies=[on("PodFailed", "TerminateJob")]))
    world.settle()
    world.refuse("j-worker-0")
    world.settle()
    assert world.pods_made.count("j-worker-0") == 1
    assert world.changes().wake_at is not None
    world.pass_time(5)
    after(world)
    assert world.pods_made.count("j-worker-0") == 2
    assert (world.phase, world.retries) == ("Pending", 0)


# Timers ------------------------------------------------------------------------------------------------------------


def test_a_timer_acts_when_it_is_due_and_survives_a_restart_of_the_controller():
    world = running(a_job(a_task(replicas=3), policies=[on("PodFailed", "RestartJob", timeout="5m")]))
    world.finish("j-worker-0", code=1)
    world.settle()
    assert world.phase == "Running"
    wake = world.changes().wake_at
    assert (wake - world.now).total_seconds() == 300
    world.pass_time(200)
    world.settle()
    assert world.changes().wake_at == wake, "nothing but the job's status remembers it"
    world.pass_time(100)
    world.settle()
    assert world.phase == "Restarting"


def test_an_eviction_timer_stops_when_the_pod_runs_again():
    world = running(a_job(policies=[on("PodEvicted", "TerminateJob", timeout="1m")]))
    world.lose("j-worker-0")
    world.settle()
    world.pass_time(30)
    world.run()
    world.settle()
    world.pass_time(60)
    world.settle()
    assert world.phase == "Running"
    assert world.changes().wake_at is None


def test_an_eviction_timer_acts_when_the_pod_does_not_come_back():
    world = running(a_job(policies=[on("PodEvicted", "TerminateJob", timeout="1m")]))
    world.lose("j-worker-0")
    world.settle()
    world.pass_time(60)
    assert after(world).phase == "Terminated"


def test_a_pod_pending_too_long_is_answered_and_one_that_runs_is_not():
    world = JobWorld(a_job(policies=[on("PodPending", "AbortJob", timeout="10m")]))
    world.settle()
    assert (world.changes().wake_at - world.now).total_seconds() == 600
    world.run("j-worker-0")
    world.pass_time(599)
    world.settle()
    assert world.phase == "Pending"
    world.run()
    world.pass_time(10)
    world.settle()
    assert world.phase == "Running"
    late = JobWorld(a_job(policies=[on("PodPending", "AbortJob", timeout="10m")]))
    late.settle()
    late.pass_time(600)
    assert after(late).phase == "Aborted"


def test_a_restart_stops_the_jobs_timers():
    policies = [on(7, "RestartJob"), on("PodFailed", "TerminateJob", timeout="1m")]
    world = running(a_job(a_task(replicas=3), policies=policies))
    world.finish("j-worker-0", code=1)
    world.settle()
    world.finish("j-worker-1", code=7)
    after(world)
    world.run()
    world.pass_time(120)
    world.settle()
    assert world.phase == "Running"


# Suspension --------------------------------------------------------------------------------------------------------


def suspend_by_annotation(world, value="true"):
    meta = world.job.metadata
    notes = {**meta.annotations, "flowbatch.dev/suspended": value}
    world.job = type(world.job)(
        metadata=type(meta)(**{**{f: getattr(meta, f) for f in meta.__struct_fields__}, "annotations": notes}),
        spec=world.job.spec,
        status=world.job.status,
    )


HOW = {
    "field": (lambda world: world.edit(suspend=True), lambda world: world.edit(suspend=False)),
    "annotation": (suspend_by_annotation, lambda world: suspend_by_annotation(world, "false")),
    "command": (lambda world: world.order("AbortJob"), lambda world: world.order("ResumeJob")),
}


@pytest.mark.parametrize("how", HOW)
def test_suspending_stops_every_pod_and_resuming_runs_on_without_a_retry(how):
    suspend, resume = HOW[how]
    world = running(a_job(a_task(replicas=3)))
    world.finish("j-worker-0")
    world.finish("j-worker-1", code=1)
    world.settle()
    suspend(world)
    world.settle()
    assert world.phase == "Aborting"
    assert world.alive == ["j-worker-0", "j-worker-1"]
    after(world)
    assert world.phase == "Aborted"
    assert world.group is None
    assert world.changes().empty
    resume(world)
    after(world)
    world.run()
    world.settle()
    assert (world.phase, world.retries) == ("Running", 0)
    made = [world.pods_made.count(f"j-worker-{index}") for index in range(3)]
    assert made == [1, 2, 2], "succeeded work stays, failed work runs again"


def test_a_job_suspended_before_its_start_makes_no_pod():
    world = JobWorld(a_job(suspend=True))
    world.settle()
    assert world.phase == "Aborted"
    assert (world.pods_made, world.group) == ([], None)
    world.edit(suspend=False)
    world.settle()
    assert len(world.alive) == 2


@pytest.mark.parametrize("how", HOW)
def test_a_job_suspended_while_restarting_stays_suspended(how):
    world = running(a_job(policies=[on("PodFailed", "RestartJob")]))
    world.finish("j-worker-0", code=1)
    world.settle()
    assert world.phase == "Restarting"
    HOW[how][0](world)
    after(world)
    assert world.phase == "Aborted"
    assert world.alive == []
    assert world.changes().empty
    HOW[how][1](world)
    after(world)
    assert world.phase == "Pending"
    assert world.retries == 1


def test_many_suspensions_cost_no_retry():
    world = running(a_job())
    for _ in range(5):
        world.order("AbortJob")
        after(world)
        world.order("ResumeJob")
        after(world)
        world.run()
        world.settle()
    assert (world.phase, world.retries) == ("Running", 0)


def test_a_job_aborted_by_a_policy_is_resumed_like_any_other():
    world = running(a_job(policies=[on("PodFailed", "AbortJob")]))
    world.finish("j-worker-0", code=1)
    after(world)
    assert world.phase == "Aborted"
    assert world.job.metadata.annotations["flowbatch.dev/suspended"] == "true"
    world.order("ResumeJob")
    after(world)
    world.run()
    world.settle()
    assert (world.phase, world.retries) == ("Running", 0)
    assert world.job.status.failed == 0


def test_of_two_orders_the_newer_one_holds():
    world = running(a_job())
    world.order("ResumeJob")
    world.pass_time(1)
    world.order("AbortJob")
    after(world)
    assert world.phase == "Aborted"
    assert world.commands == {}


def test_an_order_to_a_finished_job_is_cleared_away():
    world = running(a_job())
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    world.order("AbortJob")
    world.order("RestartJob")
    world.settle()
    assert world.phase == "Completed"
    assert world.commands == {}


@pytest.mark.parametrize(("action", "phase"), [("TerminateJob", "Terminated"), ("CompleteJob", "Completed")])
def test_other_orders_are_obeyed_also_while_restarting(action, phase):
    world = running(a_job(policies=[on("PodFailed", "RestartJob")]))
    world.finish("j-worker-0", code=1)
    world.settle()
    world.order(action)
    after(world)
    assert world.phase == phase


def test_an_ordered_restart_happens_once_though_its_command_lingers():
    world = running(a_job())
    world.order("RestartJob")
    changes = world.turn(crash_after=1)
    assert changes.status_first
    assert world.commands != {}
    after(world)
    assert world.retries == 1
    assert world.commands == {}
