"""Does what people see of a running job stay true from the first pod to after the last?"""

import io

from rich.console import Console

from flowbatch.api.batch import Job, JobSpec, JobState, JobStatus, TaskSpec
from flowbatch.api.core import Pod, PodSpec, PodStatus
from flowbatch.api.meta import ObjectMeta
from flowbatch.cli import live
from flowbatch.cli.progress import JobProgress


def job(phase, replicas=2):
    status = JobStatus(state=JobState(phase=phase))
    spec = JobSpec(tasks=[TaskSpec(name="t", replicas=replicas)])
    return Job(metadata=ObjectMeta(name="j", uid="u"), spec=spec, status=status)


def pod(index, phase="Pending", node="", deleted=None):
    labels = {"volcano.sh/task-spec": "t"}
    meta = ObjectMeta(name=f"j-t-{index}", uid=f"p{index}", labels=labels, deletion_timestamp=deleted)
    return Pod(metadata=meta, spec=PodSpec(node_name=node), status=PodStatus(phase=phase))


def drawn(progress, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(live._panel(progress))
    return console.file.getvalue()


def test_the_gang_fills_and_stays_full_when_its_pods_have_gone():
    progress = JobProgress("j", "u", job("Pending"))
    progress.see(pod(0, node="node-0"))
    progress.see(pod(1))
    assert "1/2 placed on node-0" in drawn(progress)
    progress.see(pod(1, "Running", "node-1"))
    progress.job = job("Completed")
    progress.see(pod(0, "Running", "node-0"), gone=True)
    progress.see(pod(1, "Succeeded", "node-1"), gone=True)
    assert "2/2 placed on node-0, node-1" in drawn(progress)
    assert progress.counts("t") == {"Pending": 0, "Running": 0, "Succeeded": 1, "Failed": 0, "Stopped": 1}


def test_a_gang_that_waits_again_is_empty_again():
    progress = JobProgress("j", "u", job("Running"))
    progress.see(pod(0, "Running", "node-0"))
    progress.see(pod(0, "Running", "node-0"), gone=True)
    progress.job = job("Pending")
    assert progress.placed == 0
    assert progress.counts("t")["Stopped"] == 0


def test_the_summary_tells_of_the_gang_until_it_runs_and_of_the_pods_after():
    progress = JobProgress("j", "u", job("Pending"))
    progress.see(pod(0, node="node-0"))
    assert progress.summary() == "Pending: gang 1/2 placed, 0 of 2 pods running"
    progress.job = job("Running")
    progress.see(pod(0, "Succeeded", "node-0"))
    assert progress.summary() == "Running: 0 of 2 pods running, 1 succeeded"


def test_many_jobs_are_a_row_each_and_few_a_panel():
    jobs = [JobProgress(f"job-{number}", str(number), job("Running")) for number in range(5)]
    follower = object.__new__(live.Follower)
    follower.jobs = jobs
    console = Console(file=io.StringIO(), width=80)
    console.print(follower.render())
    assert len(console.file.getvalue().splitlines()) == 6


def test_a_pod_that_was_told_to_stop_has_not_failed():
    progress = JobProgress("j", "u", job("Completing"))
    told = pod(0, "Failed", "node-0", deleted="2026-01-01T00:00:00Z")
    for gone in (False, True):
        progress.see(told, gone=gone)
        assert (progress.counts("t")["Failed"], progress.counts("t")["Stopped"]) == (0, 1)
