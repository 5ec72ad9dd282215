"""Is a CronJob refused for what would never run, and its job for what a job is refused for?"""

import pytest

from flowbatch.workload import rules

CONTAINER = {"name": "main", "image": "busybox"}
TASK = {"name": "w", "replicas": 1, "template": {"spec": {"containers": [CONTAINER]}}}


def cron(name="c", schedule="* * * * *", **spec):
    spec.setdefault("jobTemplate", {"spec": {"tasks": [TASK]}})
    return {"metadata": {"name": name}, "spec": {"schedule": schedule, **spec}}


def problems(manifest):
    return {each.path: each.problem for each in rules.check_cron_job(manifest)}


@pytest.mark.parametrize(
    "good",
    [
        cron(),
        cron("n" * 50),
        cron(schedule="@every 90s", timeZone="Europe/Berlin", concurrencyPolicy="Replace", suspend=True),
        cron(startingDeadlineSeconds=0, successfulJobsHistoryLimit=0, failedJobsHistoryLimit=0),
    ],
)
def test_good_crons_are_let_in(good):
    assert problems(good) == {}


@pytest.mark.parametrize(
    ("bad", "path", "said"),
    [
        (cron(schedule="61 * * * *"), "spec.schedule", "bad minute"),
        (cron(schedule=""), "spec.schedule", "has 0 fields"),
        (cron(schedule="59 23 31 2 *"), "spec.schedule", "is no schedule"),
        (cron(schedule="CRON_TZ=UTC * * * * *"), "spec.schedule", "must not name a time zone"),
        (cron(schedule="* " * 600), "spec.schedule", "is longer than"),
        (cron(timeZone="Mars/Olympus"), "spec.timeZone", "is no time zone"),
        (cron(timeZone="Local"), "spec.timeZone", "is no time zone"),
        (cron(timeZone="../../etc/passwd"), "spec.timeZone", "is no time zone"),
        (cron(timeZone=""), "spec.timeZone", "is no time zone"),
        (cron("n" * 53), "metadata.name", "is 53 characters long: at most 52"),
        (cron(concurrencyPolicy="forbid"), "spec.concurrencyPolicy", "is not known"),
        (cron(startingDeadlineSeconds=-1), "spec.startingDeadlineSeconds", "must be at least 0"),
        (cron(successfulJobsHistoryLimit=-1), "spec.successfulJobsHistoryLimit", "must be at least 0"),
        (cron(failedJobsHistoryLimit=2**31), "spec.failedJobsHistoryLimit", "must be at most"),
        (cron(jobTemplate=None), "spec.jobTemplate", "is missing"),
        (cron(jobTemplate={"spec": {}}), "spec.jobTemplate.spec.tasks", "must have at least one task"),
        (cron(jobTemplate={"spec": {"tasks": [TASK, TASK]}}), "spec.jobTemplate.spec.tasks[1].name", "is the name"),
        (
            cron("n" * 52, jobTemplate={"spec": {"tasks": [{**TASK, "name": "w"}]}}, schedule=3),
            "spec.schedule",
            "must be a string",
        ),
        (cron(jobTemplate={"metadata": {"labels": {"a b": "c"}}}), "spec.jobTemplate.metadata.labels.a b", "is no"),
        (cron(shedule="x"), "spec.shedule", "is not a field"),
    ],
)
def test_bad_crons_are_refused_at_their_path(bad, path, said):
    found = problems(bad)
    assert said in found.get(path, ""), found


def test_a_run_whose_pods_would_have_names_too_long_is_refused_before_the_first_one():
    found = problems(cron("n" * 52, jobTemplate={"spec": {"tasks": [{**TASK, "name": "worker"}]}}))
    assert "makes a pod name of 70 characters" in found["spec.jobTemplate.spec.tasks[0].name"]
