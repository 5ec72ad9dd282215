"""Does a CronJob make each run once, at its time, beside what is still running, and keep as much history as it says?"""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from flowbatch.api.batch import Job, JobState, JobStatus
from flowbatch.api.cron import CronJob
from flowbatch.workload.cron.reconcile import reconcile

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
TASK = {"name": "w", "replicas": 1, "template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}}
TEMPLATE = {"metadata": {"labels": {"app": "a"}, "annotations": {"note": "n"}}, "spec": {"tasks": [TASK]}}


class CronWorld:
    """A CronJob and its jobs, on a clock of the test's; crashes are effects that never happened."""

    def __init__(self, schedule="* * * * *", **spec):
        meta = {"name": "c", "namespace": "ns", "uid": "cron-1", "creationTimestamp": START}
        spec = {"schedule": schedule, "jobTemplate": TEMPLATE, **spec}
        self.cron = msgspec.convert({"metadata": meta, "spec": spec}, CronJob)
        self.now = START
        self.jobs: dict[str, Job] = {}
        self.notes: list[str] = []
        self.made: list[str] = []
        self.writes = 0

    def turn(self, crash_after=None):
        changes = reconcile(self.cron, tuple(self.jobs.values()), self.now)
        effects = [lambda each=each: self._delete(each) for each in changes.deletes]
        effects += [lambda each=each: self._create(each) for each in changes.creates]
        if changes.status is not None:
            effects.append(lambda: setattr(self, "cron", replace(self.cron, status=changes.status)))
        effects += [lambda each=each: self._delete(each) for each in changes.sweeps]
        for effect in effects[:crash_after]:
            effect()
            self.writes += 1
        self.notes += [note.reason for note in changes.notes]
        return changes

    def settle(self):
        for _ in range(20):
            before = self.writes
            changes = self.turn()
            if self.writes == before:
                return changes
        raise AssertionError("never settles")

    def _create(self, create):
        name = create.manifest["metadata"]["name"]
        self.made.append(name)
        meta = {**create.manifest["metadata"], "uid": f"job-{len(self.made)}", "creationTimestamp": self.now}
        self.jobs.setdefault(name, msgspec.convert({**create.manifest, "metadata": meta}, Job))

    def _delete(self, delete):
        if delete.name in self.jobs and self.jobs[delete.name].metadata.uid == delete.uid:
            del self.jobs[delete.name]

    def wait(self, **span):
        self.now += timedelta(**span)
        return self.settle()

    def end(self, name, phase="Completed"):
        state = JobState(phase=phase, last_transition_time=self.now)
        self.jobs[name] = replace(self.jobs[name], status=JobStatus(state=state))

    @property
    def active(self):
        return [each.name for each in self.cron.status.active]


def name_at(text):
    return f"c-{int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 60}"


def test_a_run_is_a_job_named_after_its_minute_with_what_the_template_says():
    world = CronWorld(timeZone="Europe/Berlin")
    changes = world.settle()
    assert (world.made, changes.wake_at) == ([], datetime(2026, 3, 1, 12, 1, tzinfo=UTC))
    world.wait(seconds=30)
    assert world.made == [name_at("2026-03-01T12:01")]
    job = world.jobs[world.made[0]]
    assert job.metadata.labels == {"app": "a"}
    assert job.metadata.annotations == {
        "note": "n",
        "volcano.sh/cronjob-scheduled-timestamp": "2026-03-01T13:01:00+01:00",
    }
    owner = job.metadata.controller
    assert owner is not None
    assert (owner.kind, owner.name, owner.uid) == ("CronJob", "c", "cron-1")
    assert job.spec.tasks[0].template == TASK["template"]
    assert world.active == world.made
    assert world.cron.status.last_schedule_time == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)


def test_nothing_is_written_between_runs():
    world = CronWorld()
    world.wait(seconds=30)
    before = world.writes
    for _ in range(5):
        world.wait(seconds=5)
    assert world.writes == before == 2


@pytest.mark.parametrize("crash_after", [0, 1, 2])
def test_a_crash_after_any_write_makes_no_second_job_and_loses_no_run(crash_after):
    world = CronWorld()
    world.now += timedelta(seconds=35)
    world.turn(crash_after)
    world.settle()
    assert set(world.made) == {name_at("2026-03-01T12:01")}
    assert len(world.made) == 1
    assert world.active == world.made


def test_a_job_that_ended_before_the_status_was_written_is_not_run_again():
    world = CronWorld(successfulJobsHistoryLimit=0)
    world.now += timedelta(seconds=35)
    world.turn(crash_after=1)
    world.end(world.made[0])
    changes = world.turn(crash_after=1)
    assert changes.sweeps
    assert world.cron.status.last_schedule_time is not None, "the status is written before what it was read from goes"
    world.settle()
    assert (len(world.made), world.jobs) == (1, {})


def test_finished_jobs_leave_the_active_list_and_the_last_success_is_kept():
    world = CronWorld()
    world.wait(seconds=30)
    first = world.made[0]
    world.now += timedelta(seconds=10)
    world.end(first)
    world.settle()
    assert (world.active, world.notes[-1]) == ([], "SawCompletedJob")
    assert world.cron.status.last_successful_time == world.now
    ended = world.now
    world.wait(seconds=50)
    world.end(world.made[1], "Failed")
    world.settle()
    assert world.cron.status.last_successful_time == ended


def test_an_aborted_job_is_still_active():
    world = CronWorld(concurrencyPolicy="Forbid")
    world.wait(seconds=30)
    world.end(world.made[0], "Aborted")
    world.wait(minutes=1)
    assert world.active == world.made
    assert len(world.made) == 1


def test_allow_runs_side_by_side():
    world = CronWorld()
    for _ in range(3):
        world.wait(minutes=1)
    assert world.active == world.made
    assert len(world.made) == 3


def test_forbid_holds_a_run_back_until_the_one_before_has_ended():
    world = CronWorld(concurrencyPolicy="Forbid")
    world.wait(minutes=1)
    world.wait(minutes=1)
    assert (len(world.made), world.notes[-1]) == (1, "ForbidConcurrent")
    world.end(world.made[0])
    world.settle()
    assert world.made == [name_at("2026-03-01T12:01"), name_at("2026-03-01T12:02")]


def test_forbid_with_a_deadline_skips_what_is_too_late():
    world = CronWorld(concurrencyPolicy="Forbid", startingDeadlineSeconds=10)
    world.wait(seconds=30)
    world.wait(seconds=100)
    world.end(world.made[0])
    world.settle()
    assert len(world.made) == 1
    assert world.notes[-1] == "MissSchedule"
    world.wait(seconds=20)
    assert world.made[-1] == name_at("2026-03-01T12:03")


def test_replace_deletes_what_is_active_and_then_makes_the_next():
    world = CronWorld(concurrencyPolicy="Replace")
    world.wait(minutes=1)
    world.wait(minutes=1)
    assert list(world.jobs) == [name_at("2026-03-01T12:02")] == world.active
    assert "ReplaceConcurrent" in world.notes


@pytest.mark.parametrize("crash_after", range(4))
def test_replace_converges_after_a_crash_at_any_write(crash_after):
    world = CronWorld(concurrencyPolicy="Replace")
    world.wait(minutes=1)
    world.now += timedelta(minutes=1)
    world.turn(crash_after)
    world.settle()
    assert list(world.jobs) == [name_at("2026-03-01T12:02")] == world.active
    assert len(world.made) == 2


def test_suspended_nothing_is_made_but_what_runs_is_still_followed():
    world = CronWorld()
    world.wait(minutes=1)
    world.cron = replace(world.cron, spec=replace(world.cron.spec, suspend=True))
    assert world.wait(minutes=10).wake_at is None
    world.end(world.made[0])
    world.settle()
    assert (len(world.made), world.active) == (1, [])


def test_after_a_long_sleep_one_run_is_made_up_for_and_a_hundred_missed_are_remarked_upon():
    world = CronWorld()
    world.wait(minutes=50)
    assert world.made == [name_at("2026-03-01T12:50")]
    assert "TooManyMissedTimes" not in world.notes
    world.wait(hours=3)
    assert world.made == [name_at("2026-03-01T12:50"), name_at("2026-03-01T15:50")]
    assert "TooManyMissedTimes" in world.notes


@pytest.mark.parametrize(("phase", "limit"), [("Completed", "successful"), ("Failed", "failed")])
def test_the_oldest_finished_jobs_beyond_the_limit_go(phase, limit):
    world = CronWorld(**{f"{limit}JobsHistoryLimit": 2})
    for _ in range(4):
        world.wait(minutes=1)
        world.end(world.made[-1], phase)
        world.settle()
    assert list(world.jobs) == world.made[-2:]


def test_without_limits_three_successes_and_one_failure_are_kept():
    world = CronWorld()
    for turn in range(8):
        world.wait(minutes=1)
        world.end(world.made[-1], "Completed" if turn % 2 else "Failed")
        world.settle()
    phases = sorted(job.status.state.phase for job in world.jobs.values())
    assert phases == ["Completed", "Completed", "Completed", "Failed"]


def test_jobs_that_go_and_jobs_that_come_from_elsewhere_are_remarked_upon():
    world = CronWorld()
    world.wait(minutes=1)
    world.jobs.clear()
    world.settle()
    assert ("StaleReference" in world.notes, world.active) == (True, [])
    assert len(world.made) == 1, "a run that was deleted has been made"
    owned = world.turn
    assert owned().empty
    world.wait(minutes=1)
    job = world.jobs[world.made[-1]]
    world.jobs[job.metadata.name] = replace(job, metadata=replace(job.metadata, annotations={}))
    world.settle()
    assert "OrphanedJob" in world.notes


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({"schedule": "nonsense"}, "UnParseableCronJobSchedule"), ({"timeZone": "Mars/X"}, "InvalidTimeZone")],
)
def test_what_was_let_in_before_there_were_rules_says_what_is_wrong_and_makes_nothing(spec, reason):
    world = CronWorld(**spec)
    world.wait(hours=1)
    assert (world.made, set(world.notes)) == ([], {reason})


def test_runs_every_few_seconds_have_names_of_their_own():
    world = CronWorld("@every 20s")
    for _ in range(3):
        world.wait(seconds=20)
    assert len(set(world.made)) == 3
    assert all(len(name) <= len("c") + 11 for name in world.made)


def test_a_clock_that_is_set_back_makes_no_run_twice():
    world = CronWorld()
    world.wait(minutes=5)
    before = list(world.made)
    world.wait(minutes=-4)
    world.wait(minutes=4)
    assert world.made == before
