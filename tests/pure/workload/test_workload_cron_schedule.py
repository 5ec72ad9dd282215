"""When does a schedule run? One golden table for crontab's language, robfig's additions, and clocks that change."""

from datetime import UTC, datetime, timedelta

import pytest

from flowbatch.workload.cron.schedule import MANY_MISSED, BadSchedule, parse_schedule

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


GOLDEN = [
    # schedule, zone, from, the next runs (all in UTC)
    ("* * * * *", None, "2026-01-01T00:00:30", ["2026-01-01T00:01", "2026-01-01T00:02"]),
    ("*/15 * * * *", None, "2026-01-01T00:14", ["2026-01-01T00:15", "2026-01-01T00:30"]),
    ("5-20/5 3 * * *", None, "2026-01-01T03:06", ["2026-01-01T03:10", "2026-01-01T03:15", "2026-01-01T03:20"]),
    ("0 0 1 jan *", None, "2026-01-01T00:00", ["2027-01-01T00:00"]),
    ("0 12 * * MON-FRI", None, "2026-01-02T12:00", ["2026-01-05T12:00", "2026-01-06T12:00"]),
    ("0 0 13 * 5", None, "2026-01-01T00:00", ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00"]),
    ("0 0 29 2 *", None, "2026-01-01T00:00", ["2028-02-29T00:00", "2032-02-29T00:00"]),
    ("0 0 ? * 1", None, "2026-01-01T00:00", ["2026-01-05T00:00"]),
    ("0 0 1 * ?", None, "2026-01-02T00:00", ["2026-02-01T00:00"]),
    ("@yearly", None, "2026-05-01T00:00", ["2027-01-01T00:00"]),
    ("@annually", None, "2026-05-01T00:00", ["2027-01-01T00:00"]),
    ("@monthly", None, "2026-05-02T00:00", ["2026-06-01T00:00"]),
    ("@weekly", None, "2026-01-01T00:00", ["2026-01-04T00:00"]),
    ("@daily", None, "2026-01-01T01:00", ["2026-01-02T00:00"]),
    ("@midnight", None, "2026-01-01T01:00", ["2026-01-02T00:00"]),
    ("@hourly", None, "2026-01-01T00:00", ["2026-01-01T01:00"]),
    ("@every 90m", None, "2026-01-01T00:10", ["2026-01-01T01:40", "2026-01-01T03:10"]),
    ("@every 1m30s", None, "2026-01-01T00:00", ["2026-01-01T00:01:30", "2026-01-01T00:03"]),
    # A zone is a zone, whatever the date.
    ("0 9 * * *", NEW_YORK, "2026-01-01T00:00", ["2026-01-01T14:00"]),
    ("0 9 * * *", NEW_YORK, "2026-07-01T00:00", ["2026-07-01T13:00"]),
    # Spring: from 02:00 to 03:00 there is no time. The run is made when the gap ends, and only then.
    ("30 2 * * *", BERLIN, "2026-03-28T00:00", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
    ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", ["2026-03-08T07:00", "2026-03-09T06:30"]),
    ("*/30 * * * *", BERLIN, "2026-03-29T00:30", ["2026-03-29T01:00", "2026-03-29T01:30"]),
    # Autumn: the hour from 02:00 comes twice. Once a night is once; every half hour is every half hour.
    ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25T01:10", ["2026-10-26T01:30"]),
    ("*/30 * * * *", BERLIN, "2026-10-25T00:00", ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"]),
    ("@hourly", BERLIN, "2026-10-25T00:00", ["2026-10-25T01:00", "2026-10-25T02:00"]),
]


@pytest.mark.parametrize(("schedule", "zone", "start", "runs"), GOLDEN)
def test_the_next_runs(schedule, zone, start, runs):
    parsed, moment, found = parse_schedule(schedule, zone), at(start), []
    for _ in runs:
        moment = parsed.after(moment)
        found.append(moment)
    assert found == [at(run) for run in runs]


@pytest.mark.parametrize(("schedule", "zone", "start", "runs"), GOLDEN)
def test_asking_for_the_rest_at_any_moment_gives_the_same_runs(schedule, zone, start, runs):
    parsed = parse_schedule(schedule, zone)
    for before, after in zip([start, *runs], runs, strict=False):
        until = at(after)
        missed = parsed.missed(at(before), until)
        assert missed is not None
        assert (missed.latest, missed.count) == (until, 1)
        assert parsed.missed(at(before), until - timedelta(seconds=1)) is None


BAD = """|* * * *|* * * * * *|60 * * * *|* 24 * * *|* * 32 * *|* * * 13 *|* * * * 8|*/0 * * * *|5-1 * * * *|? * * * *
    |@noon|@every|@every 0s|@every 500ms|@every -1h|@every 1d|a * * * *|59 23 31 2 *|١ * * * *
    |TZ=UTC * * * * *|CRON_TZ=UTC @hourly"""


@pytest.mark.parametrize(
    "schedule",
    [text.strip() for text in BAD.split("|")],
)
def test_what_is_no_schedule_says_so(schedule):
    with pytest.raises(BadSchedule):
        parse_schedule(schedule)


def test_years_of_missed_runs_are_counted_to_a_hundred_and_the_latest_is_found_at_once():
    since, until = at("2006-01-01T00:00"), at("2026-01-01T00:00:30")
    for schedule, latest in [
        ("* * * * *", "2026-01-01T00:00"),
        ("@daily", "2026-01-01T00:00"),
        ("0 0 15 * *", "2025-12-15T00:00"),
        ("@every 7s", "2026-01-01T00:00:25"),
    ]:
        missed = parse_schedule(schedule).missed(since, until)
        assert missed is not None
        assert missed.count == MANY_MISSED + 1, schedule
        assert missed.latest == at(latest), schedule
