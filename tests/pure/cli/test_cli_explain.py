"""Does `why` say the truest thing that the objects know?"""

from flowbatch.api.batch import DependsOn, Job, JobSpec, JobState, JobStatus, TaskSpec
from flowbatch.api.core import ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus
from flowbatch.api.meta import Condition, ObjectMeta
from flowbatch.api.names import SUSPENDED, TASK_SPEC
from flowbatch.api.scheduling import PodGroup, PodGroupSpec, PodGroupStatus, Queue, QueueSpec, QueueStatus
from flowbatch.workload.explain import explain

OPEN = Queue(metadata=ObjectMeta(name="q"), spec=QueueSpec(capability={"cpu": "4"}), status=QueueStatus(state="Open"))


def job(phase="Pending", *, annotations=None, tasks=None, **status):
    tasks = tasks or (TaskSpec(name="w", replicas=2),)
    meta = ObjectMeta(name="j", namespace="default", annotations=annotations or {})
    return Job(
        metadata=meta, spec=JobSpec(queue="q", tasks=tasks), status=JobStatus(state=JobState(phase=phase), **status)
    )


def pod(task="w", phase="Running", node="n"):
    return Pod(
        metadata=ObjectMeta(labels={TASK_SPEC: task}), spec=PodSpec(node_name=node), status=PodStatus(phase=phase)
    )


def group(phase="Inqueue", message=""):
    conditions = (Condition(type="Unschedulable", status="True", message=message),) if message else ()
    return PodGroup(spec=PodGroupSpec(min_member=2), status=PodGroupStatus(phase=phase, conditions=conditions))


def test_the_schedulers_reason_comes_first_with_the_queue_below():
    said = explain(job(), group(message="short 3 cpu"), OPEN, [])
    assert said.headline == "short 3 cpu"
    assert said.details == ("queue q: weight 1, limit cpu 4",)


def test_a_suspended_job_says_how_to_resume_it():
    said = explain(job(annotations={SUSPENDED: "true"}), group(message="short"), OPEN, [])
    assert said.headline.startswith("suspended")
    assert "flowbatch resume j" in str(said)


def test_a_closed_and_a_missing_queue_name_the_command_that_helps():
    closed = Queue(metadata=ObjectMeta(name="q"), status=QueueStatus(state="Closed"))
    assert "flowbatch queue open q" in str(explain(job(), group("Pending"), closed, []))
    assert "flowbatch queue create q" in str(explain(job(), group("Pending"), None, []))


def test_a_held_back_task_names_what_it_waits_for():
    tasks = (
        TaskSpec(name="ps", replicas=1),
        TaskSpec(name="w", replicas=2, depends_on=DependsOn(name=("ps",))),
    )
    said = explain(job(tasks=tasks), group("Running"), OPEN, [pod("ps")])
    assert "task w waits for ps to be running" in said.details


def test_running_and_finished_jobs_say_so():
    assert explain(job("Running"), group("Running"), OPEN, [pod(), pod()]).headline == "running: 2 of 2 pods"
    assert explain(job("Completed"), group("Completed"), OPEN, []).headline == "completed"
    assert explain(job("Failed", retry_count=3), None, OPEN, []).headline == "failed after 3 retries"


def test_a_suspended_job_whose_pods_still_stop_does_not_say_that_it_holds_none():
    said = explain(job(annotations={SUSPENDED: "true"}), group(), OPEN, [pod(), pod(phase="Succeeded")])
    assert said.headline == "being suspended: 1 pod still to stop"


def test_a_failed_job_says_how_its_containers_ended_each_way_once():
    ended = ContainerStatus(state=ContainerState(terminated=ContainerStateTerminated(exit_code=3, message="no data")))
    failed = [
        Pod(metadata=ObjectMeta(name=f"j-w-{index}"), status=PodStatus(phase="Failed", container_statuses=(ended,)))
        for index in range(3)
    ]
    said = explain(job("Failed"), None, OPEN, failed)
    assert said.details == ("j-w-0 and 2 more: exit code 3, no data",)


def test_a_reason_that_is_not_taken_back_yet_is_not_told_of_a_gang_that_runs():
    said = explain(job("Running"), group("Running", message="short 3 cpu"), OPEN, [pod(), pod()])
    assert said.headline == "running: 2 of 2 pods"
    half = explain(job(), group(message="short 3 cpu"), OPEN, [pod(), pod(phase="Pending", node="")])
    assert half.headline == "short 3 cpu"
