"""Does a job live as it should, from its first look to its end, while people change their minds?"""

import pytest
from msgspec.structs import replace

from flowbatch.api.meta import ObjectMeta
from flowbatch.api.scheduling import Queue, QueueStatus
from tests.jobworld import JobWorld, a_job, a_task, running


def test_a_new_job_gets_its_group_and_no_pods_until_the_queue_lets_it_in():
    world = JobWorld(a_job())
    world.lets_in = False
    world.settle()
    assert world.phase == "Pending"
    assert world.group is not None
    assert world.pods == {}
    world.set_group("Inqueue")
    world.settle()
    assert world.alive == ["j-worker-0", "j-worker-1"]


def test_a_job_runs_once_its_minimum_runs_and_completes_when_all_have_succeeded():
    world = JobWorld(a_job(a_task(replicas=3, minAvailable=2)))
    world.settle()
    world.run("j-worker-0")
    world.settle()
    assert world.phase == "Pending"
    world.run("j-worker-1")
    world.settle()
    assert world.phase == "Running"
    world.run()
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    assert world.phase == "Running"
    world.finish("j-worker-2")
    world.settle()
    assert world.phase == "Completed"
    assert world.job.status.succeeded == 3
    assert world.group is None
    assert world.history == ["Pending", "Running", "Completed"]


def test_a_settled_job_changes_nothing_in_any_phase():
    world = JobWorld(a_job(plugins={"svc": [], "ssh": [], "env": []}))
    world.settle()
    assert world.changes().empty
    world.run()
    world.settle()
    assert world.changes().empty
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    assert world.changes().empty


def test_an_unfinished_job_of_failed_pods_fails_when_the_last_one_ends():
    world = running(a_job())
    world.finish("j-worker-0", code=1)
    world.settle()
    assert world.phase == "Running"
    world.finish("j-worker-1")
    world.settle()
    assert world.phase == "Failed"
    assert "task worker: 1 of at least 2" in world.job.status.state.message
    assert world.alive == ["j-worker-0", "j-worker-1"], "finished pods stay for their logs"


def test_min_success_ends_the_job_early_and_stops_the_rest():
    world = running(a_job(a_task(replicas=3), minSuccess=1))
    world.finish("j-worker-1")
    world.settle()
    assert world.phase == "Completed"
    assert world.alive == ["j-worker-1"]


def test_a_completed_job_stops_its_servers():
    policies = [{"event": "TaskCompleted", "action": "CompleteJob"}]
    world = running(a_job(a_task("ps", 2), a_task("worker", 2, policies=policies)))
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    assert world.phase == "Completing"
    assert world.alive == ["j-worker-0", "j-worker-1"]
    world.sweep()
    world.settle()
    assert world.phase == "Completed"


# Dependencies ------------------------------------------------------------------------------------------------------


def two_phases(**spec):
    return a_job(a_task("worker", 2), a_task("launcher", 1, dependsOn={"name": ["worker"]}), **spec)


def test_a_dependent_task_starts_when_what_it_waits_for_is_ready():
    world = JobWorld(two_phases())
    world.settle()
    assert world.alive == ["j-worker-0", "j-worker-1"]
    world.run("j-worker-0")
    world.settle()
    assert "j-launcher-0" not in world.pods
    world.run("j-worker-1")
    world.settle()
    assert "j-launcher-0" in world.pods
    assert world.phase == "Pending"
    world.run()
    world.settle()
    assert world.phase == "Running"


def test_a_group_declares_tasks_that_have_no_pods_yet():
    world = JobWorld(two_phases())
    world.settle()
    declared = {each.name: (each.count, each.minimum, each.waits_for) for each in world.group.spec.declared_tasks}
    assert declared == {"worker": (2, 2, ()), "launcher": (1, 1, ("worker",))}
    assert world.group.spec.min_member == 3


def test_a_dependent_task_starts_after_success_too():
    world = JobWorld(two_phases())
    world.settle()
    world.run()
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    assert "j-launcher-0" in world.pods


def test_any_of_several_dependencies_is_enough_only_where_asked():
    either = a_job(
        a_task("a", 1),
        a_task("b", 1, dependsOn={"name": ["a"]}),
        a_task("c", 1, dependsOn={"name": ["a", "b"], "iteration": "any"}),
    )
    world = JobWorld(either)
    world.settle()
    world.run("j-a-0")
    world.settle()
    assert world.alive == ["j-a-0", "j-b-0", "j-c-0"]


def test_a_dependency_that_fails_for_good_ends_the_job():
    world = JobWorld(two_phases())
    world.settle()
    world.run()
    world.finish("j-worker-0", "j-worker-1", code=1)
    world.settle()
    assert world.phase == "Failed"
    assert world.job.status.state.reason == "DependencyFailed"
    assert world.pods_made == ["j-worker-0", "j-worker-1"]


# Size --------------------------------------------------------------------------------------------------------------


def test_scaling_up_makes_the_missing_pods_and_tells_group_and_hosts():
    world = running(a_job(plugins={"svc": []}))
    world.resize("worker", 4)
    world.edit(min_available=4)
    world.settle()
    assert len(world.alive) == 4
    assert world.group.spec.min_member == 4
    assert world.group.spec.declared_tasks[0].count == 4
    assert world.objects["ConfigMap", "j-svc"]["data"]["VC_WORKER_NUM"] == "4"


def test_scaling_down_deletes_the_highest_indexes_and_is_no_eviction():
    world = running(a_job(a_task(replicas=3), policies=[{"event": "PodEvicted", "action": "TerminateJob"}]))
    world.resize("worker", 1)
    world.edit(min_available=1)
    world.settle()
    assert world.alive == ["j-worker-0"]
    world.sweep()
    world.settle()
    assert world.phase == "Running"


def test_scaling_to_nothing_and_up_again():
    world = running(a_job())
    world.resize("worker", 0)
    world.edit(min_available=0)
    world.settle()
    world.sweep()
    world.settle()
    assert (world.phase, world.alive) == ("Running", [])
    world.resize("worker", 2)
    world.edit(min_available=2)
    world.settle()
    assert len(world.alive) == 2


def test_a_terminating_pod_holds_its_index_until_it_is_gone():
    world = running(a_job())
    world.delete_pod("j-worker-0")
    world.settle()
    assert world.pods_made.count("j-worker-0") == 1
    world.sweep()
    world.settle()
    assert world.pods_made.count("j-worker-0") == 2
    assert world.phase == "Pending", "below its minimum again"
    world.run()
    world.settle()
    assert world.phase == "Running"


def test_a_pod_marked_out_of_sync_is_replaced_without_an_event():
    world = running(a_job(policies=[{"event": "*", "action": "TerminateJob"}]))
    pod = world.pods["j-worker-0"]
    marked = {**pod.metadata.annotations, "volcano.sh/controller-out-of-sync": "true"}
    world.pods["j-worker-0"] = replace(pod, metadata=replace(pod.metadata, annotations=marked))
    world.settle()
    world.sweep()
    world.settle()
    assert world.pods_made.count("j-worker-0") == 2
    assert world.phase in ("Pending", "Running")


def test_a_pod_of_a_namesake_is_not_ours():
    world = running(a_job())
    pod = world.pods["j-worker-0"]
    owner = replace(pod.metadata.owner_references[0], uid="another-job")
    world.pods["j-worker-0"] = replace(pod, metadata=replace(pod.metadata, owner_references=(owner,)))
    changes = world.changes()
    assert [each.manifest["metadata"]["name"] for each in changes.creates] == ["j-worker-0"]
    assert not [each for each in changes.deletes if each.name == "j-worker-0"]


def test_success_is_remembered_when_the_pod_is_gone():
    world = running(a_job())
    world.finish("j-worker-0")
    world.settle()
    world.lose("j-worker-0")
    world.settle()
    assert world.pods_made.count("j-worker-0") == 1
    assert world.job.status.succeeded == 1
    world.finish("j-worker-1")
    world.settle()
    assert world.phase == "Completed"


# Waiting -----------------------------------------------------------------------------------------------------------


def test_a_job_says_that_its_queue_is_missing_or_closed():
    world = JobWorld(a_job(queue="ads"))
    world.lets_in, world.queue = False, None
    world.settle()
    assert world.job.status.state.message == "waits for queue ads, which does not exist"
    world.queue = Queue(metadata=ObjectMeta(name="ads"), status=QueueStatus(state="Closed"))
    world.settle()
    assert world.job.status.state.message == "waits for queue ads, which is closed"
    world.queue = Queue(metadata=ObjectMeta(name="ads"), status=QueueStatus(state="Open"))
    world.settle()
    assert world.job.status.state.message == ""


def test_a_job_waits_for_a_claim_that_does_not_exist():
    world = JobWorld(a_job(volumes=[{"mountPath": "/data", "volumeClaimName": "data"}]))
    world.missing_claims = frozenset({"data"})
    world.settle()
    assert world.phase == "Pending"
    assert "volume claim data" in world.job.status.state.message
    assert world.changes().wake_at is not None
    assert world.group is None
    world.missing_claims = frozenset()
    world.settle()
    assert len(world.alive) == 2


def test_pods_wait_for_the_secret_until_there_are_keys():
    world = JobWorld(a_job(plugins={"ssh": []}))
    world.keys = None
    world.settle()
    assert world.pods == {}
    assert world.changes().wake_at is not None


# The end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["Completed", "Failed", "Terminated"])
def test_a_finished_job_is_deleted_with_all_it_owns_when_its_time_is_up(end):
    world = running(a_job(ttlSecondsAfterFinished=60))
    if end == "Terminated":
        world.order("TerminateJob")
        world.settle()
        world.sweep()
    else:
        world.finish("j-worker-0", "j-worker-1", code=0 if end == "Completed" else 3)
    world.settle()
    assert world.phase == end
    assert (world.changes().wake_at - world.now).total_seconds() == 60
    world.pass_time(59)
    world.settle()
    assert not world.deleted_job
    world.pass_time(1)
    delete = world.turn().deletes[0]
    assert (delete.kind, delete.uid, delete.foreground) == ("Job", "job-1", True)


def test_a_job_without_a_time_to_live_stays():
    world = running(a_job())
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    assert world.changes().wake_at is None


def test_a_job_that_is_being_deleted_is_left_alone():
    world = running(a_job())
    world.job = replace(world.job, metadata=replace(world.job.metadata, deletion_timestamp=world.now))
    assert world.changes().empty


def test_the_history_of_a_job_is_bounded():
    world = running(a_job())
    for _ in range(30):
        world.order("AbortJob")
        world.settle()
        world.sweep()
        world.settle()
        world.order("ResumeJob")
        world.settle()
        world.run()
        world.settle()
    assert world.phase == "Running"
    assert len(world.job.status.conditions) <= 16


def test_running_time_is_measured_from_the_first_run():
    world = JobWorld(a_job())
    world.settle()
    world.pass_time(100)
    world.run()
    world.settle()
    world.pass_time(3723)
    world.finish("j-worker-0", "j-worker-1")
    world.settle()
    assert world.job.status.running_duration == "1h2m3s"


# Jobs that nobody has checked ----------------------------------------------------------------------------------------

UNREADABLE = [
    {},
    {"spec": "x"},
    {"spec": {"containers": "x"}},
    {"spec": {"containers": [None]}},
    {"metadata": 3, "spec": {}},
]


@pytest.mark.parametrize("template", UNREADABLE)
def test_a_job_that_no_admission_has_seen_fails_with_its_problems_and_makes_nothing(template):
    world = JobWorld(a_job(a_task(template=template), plugins={"svc": [], "env": [], "mpi": []}))
    world.settle()
    assert (world.phase, world.job.status.state.reason) == ("Failed", "InvalidSpec")
    assert "spec.tasks[0]" in world.job.status.state.message or "plugins.mpi" in world.job.status.state.message
    assert (world.group, world.pods, world.objects) == (None, {}, {})


def test_a_whole_life_costs_few_writes():
    world = JobWorld(a_job(a_task(replicas=20)))
    world.settle()
    world.run()
    world.settle()
    world.finish(*world.pods)
    world.settle()
    assert world.phase == "Completed"
    assert world.writes <= 20 + 6


def test_pods_that_pend_too_long_are_made_anew_alone():
    policies = [{"event": "PodPending", "action": "RestartPod", "timeout": "1m"}]
    world = JobWorld(a_job(policies=policies))
    world.settle()
    world.run("j-worker-0")
    world.settle()
    world.pass_time(60)
    world.settle()
    world.sweep()
    world.settle()
    assert [world.pods_made.count(f"j-worker-{index}") for index in range(2)] == [1, 2]
    assert (world.changes().wake_at - world.now).total_seconds() == 60
