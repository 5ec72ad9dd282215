"""Does a CronJob run over real HTTP as it says, in few requests? Volcano's CronJob suite, on a clock that is turned."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from flowbatch.api.kinds import CRON_JOB, EVENT, JOB
from flowbatch.controllers.clock import wall_clock
from flowbatch.kube.errors import ApiError, NotFound
from tests.embedded.controllers.stage import task


class Clock:
    """The time of day, and what a test has added to it."""

    def __init__(self):
        # Runs are at full minutes: begin well after one, so that none comes by itself while a test looks.
        self.ahead = timedelta(seconds=-(wall_clock().second) + 10)

    def __call__(self):
        return wall_clock() + self.ahead

    def turn(self, **span):
        self.ahead += timedelta(**span)


class Crons:
    def __init__(self, world):
        self.world = world
        self.clock = Clock()

    async def start(self, **more):
        await self.world.start(now=self.clock, **more)

    async def submit(self, name="c", schedule="* * * * *", **spec):
        created = {"jobTemplate": {"spec": {"schedulerName": "volcano", "tasks": [task()]}}, "schedule": schedule}
        manifest = {
            "apiVersion": CRON_JOB.api_version,
            "kind": CRON_JOB.kind,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {**created, **spec},
        }
        await self.world.client.create(CRON_JOB, manifest)
        await self.seen(name)

    async def seen(self, name="c"):
        async def known():
            return self.world.controllers.caches.cron_jobs.store.get(f"default/{name}")

        await self.world.until(known, "the controller to know the CronJob")
        await self.world.settled()

    async def pass_time(self, name="c", **span):
        """Turn the clock; the controller looks at once, as it would on time."""
        self.clock.turn(**span)
        self.world.controllers.running["cronjob"].queue.add(f"default/{name}")
        await self.world.settled()

    async def status(self, name="c"):
        return (await self.world.client.get(CRON_JOB, name, "default")).status

    async def jobs(self):
        found = await self.world.client.list(JOB, "default")
        return sorted(job.metadata.name for job in found if job.metadata.controller)

    async def until_jobs(self, count):
        async def enough():
            return len(await self.jobs()) == count

        await self.world.until(enough, f"{count} jobs")
        return await self.jobs()

    async def until_active(self, count):
        async def so():
            return len((await self.status()).active) == count

        await self.world.until(so, f"{count} active jobs")

    async def reasons(self):
        return {event.reason for event in await self.world.client.list(EVENT, "default")}

    async def until_reason(self, reason):
        async def said():
            return reason in await self.reasons()

        await self.world.until(said, f"an event {reason}")

    async def run_once(self, exit_code=0):
        before = await self.jobs()
        await self.pass_time(minutes=1)
        (name,) = set(await self.until_jobs(len(before) + 1)) - set(before)
        await self.world.until_phase(name, "Running")
        await self.world.end(name, exit_code=exit_code)
        await self.world.until_phase(name, "Failed" if exit_code else "Completed")
        await self.world.settled()
        return name


@pytest.fixture
def crons(world):
    return Crons(world)


async def test_runs_are_made_on_time_and_say_when_they_were_due(crons):
    await crons.start()
    await crons.submit()
    assert await crons.jobs() == []
    await crons.pass_time(minutes=1)
    (name,) = await crons.until_jobs(1)
    await crons.world.until_phase(name, "Running")
    await crons.until_active(1)
    status = await crons.status()
    assert status.last_schedule_time is not None
    job = await crons.world.client.get(JOB, name, "default")
    stamp = job.metadata.annotations["volcano.sh/cronjob-scheduled-timestamp"]
    assert stamp.startswith(status.last_schedule_time.strftime("%Y-%m-%dT%H:%M"))
    await crons.pass_time(minutes=1)
    await crons.until_jobs(2)
    await crons.until_reason("SuccessfulCreate")


async def test_a_run_costs_one_create_and_one_status(crons):
    await crons.start()
    await crons.submit()
    await crons.world.settled(quiet_s=0.5)

    def cost():
        asked = crons.world.requests()
        return asked.get("create jobs", 0), asked.get("patch cronjobs/status", 0)

    before = cost()
    await crons.pass_time(minutes=1)
    await crons.until_active(1)
    await crons.world.settled(quiet_s=0.5)
    assert [now - then for now, then in zip(cost(), before, strict=True)] == [1, 1]


async def test_a_suspended_one_makes_nothing_until_it_is_resumed(crons):
    await crons.start()
    await crons.submit(suspend=True)
    await crons.pass_time(minutes=3)
    assert await crons.jobs() == []
    await crons.world.client.patch(CRON_JOB, "c", {"spec": {"suspend": False}}, "default")
    await crons.until_jobs(1)


async def test_allow_has_several_at_once(crons):
    await crons.start()
    await crons.submit(concurrencyPolicy="Allow")
    await crons.pass_time(minutes=1)
    await crons.until_jobs(1)
    await crons.pass_time(minutes=1)
    await crons.until_jobs(2)
    await crons.until_active(2)


async def test_forbid_has_one_at_a_time(crons):
    await crons.start()
    await crons.submit(concurrencyPolicy="Forbid")
    await crons.pass_time(minutes=1)
    (first,) = await crons.until_jobs(1)
    await crons.world.until_phase(first, "Running")
    await crons.pass_time(minutes=1)
    await crons.until_reason("ForbidConcurrent")
    assert await crons.jobs() == [first]
    await crons.world.end(first)
    await crons.until_jobs(2)


async def test_replace_deletes_the_one_that_runs_for_the_next(crons):
    await crons.start()
    await crons.submit(concurrencyPolicy="Replace")
    await crons.pass_time(minutes=1)
    (first,) = await crons.until_jobs(1)
    await crons.world.until_phase(first, "Running")
    await crons.pass_time(minutes=1)

    async def replaced():
        return first not in await crons.jobs()

    await crons.world.until(replaced, "the first run to go")
    await crons.until_jobs(1)
    await crons.until_active(1)
    await crons.until_reason("ReplaceConcurrent")


async def test_a_controller_that_was_away_for_hours_makes_up_for_one_run_and_says_so(crons):
    await crons.start()
    await crons.submit()
    await crons.world.kill()
    crons.clock.turn(hours=3)
    await crons.start()
    await crons.until_jobs(1)
    await crons.until_reason("TooManyMissedTimes")


async def test_a_job_that_ends_is_no_longer_active(crons):
    await crons.start()
    await crons.submit()
    await crons.run_once()
    await crons.until_active(0)
    assert (await crons.status()).last_successful_time is not None
    await crons.until_reason("SawCompletedJob")


@pytest.mark.parametrize(("exit_code", "limit"), [(0, "successfulJobsHistoryLimit"), (1, "failedJobsHistoryLimit")])
async def test_of_finished_jobs_as_many_stay_as_the_limit_says(crons, exit_code, limit):
    await crons.start()
    await crons.submit(**{limit: 1})
    first = await crons.run_once(exit_code)
    second = await crons.run_once(exit_code)

    async def only_the_second():
        return await crons.jobs() == [second]

    await crons.world.until(only_the_second, f"{first} to go")


@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_killed_after_any_write_it_makes_each_run_once(crons, writes):
    await crons.start()
    await crons.submit()
    await crons.world.kill()
    crons.clock.turn(minutes=1)
    with contextlib.suppress(asyncio.CancelledError):
        await crons.start(killed_after=writes, enabled=frozenset({"cronjob"}))
    await asyncio.sleep(0.3)
    await crons.world.kill()
    await crons.start()
    await crons.until_active(1)
    assert len(await crons.jobs()) == 1


async def test_a_name_that_somebody_else_took_is_left_alone_and_said(crons):
    await crons.start()
    await crons.submit()
    due = crons.clock() + timedelta(minutes=1)
    await crons.world.submit(f"c-{int(due.timestamp()) // 60}", task())
    await crons.pass_time(minutes=1)
    await crons.until_reason("ForeignJob")
    assert await crons.jobs() == []


async def test_deleting_it_deletes_its_jobs(crons):
    await crons.start()
    await crons.submit()
    await crons.pass_time(minutes=1)
    await crons.until_jobs(1)
    await crons.world.client.delete(CRON_JOB, "c", "default")
    await crons.until_jobs(0)


async def test_a_bad_one_is_refused_with_every_problem(crons):
    with pytest.raises(ApiError) as refused:
        await crons.world.client.create(
            CRON_JOB,
            {
                "apiVersion": CRON_JOB.api_version,
                "kind": CRON_JOB.kind,
                "metadata": {"name": "bad", "namespace": "default"},
                "spec": {"schedule": "61 * * * *", "timeZone": "Mars/X", "jobTemplate": {"spec": {"tasks": []}}},
            },
        )
    told = str(refused.value)
    assert all(path in told for path in ("spec.schedule", "spec.timeZone", "spec.jobTemplate.spec.tasks")), told
    with pytest.raises(NotFound):
        await crons.world.client.get(CRON_JOB, "bad", "default")
