"""Schedules: crontab's five fields by cronsim, and what robfig/cron, Kubernetes' parser, takes besides.

Where clocks change, a job at a fixed hour runs once a night, as in Debian's cron: one whose time is skipped in spring
runs when the gap ends, one whose time comes twice in autumn runs the first time. Jobs that run every so many minutes,
or every hour, follow real time. (robfig leaves the first out and runs the second twice.)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from flowbatch.api.timestamps import parse_duration

#: Runs missed beyond this many are not counted one by one (Kubernetes' figure).
MANY_MISSED = 100

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
#: Where the last run before a moment is looked for: near it first.
_WINDOWS = tuple(timedelta(days=days) for days in (1, 32, 366, 9 * 366))
#: A Monday, from which a schedule that never comes true is tried.
_TRIAL = datetime(2024, 1, 1, tzinfo=UTC)


class BadSchedule(ValueError):
    """The text is no schedule, or one that never comes true."""


@dataclass(frozen=True, slots=True)
class Missed:
    """The latest run that was due, and how many were due in all (at most one more than `MANY_MISSED`)."""

    latest: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is to run; `following` gives every moment after one, in order."""

    following: Callable[[datetime], Iterator[datetime]]
    #: Of `@every`, which counts from the run before.
    period: timedelta | None = None

    def after(self, moment: datetime) -> datetime:
        """The first run after `moment`. Raises BadSchedule if there is none."""
        for run in self.following(moment):
            return run
        raise BadSchedule("never comes true")

    def missed(self, since: datetime, until: datetime) -> Missed | None:
        """The runs after `since` and not after `until`, or None if there was none."""
        count, latest = 0, None
        for run in self.following(since):
            if run > until:
                break
            count, latest = count + 1, run
            if count > MANY_MISSED:
                latest = self._last_before(since, until) or run
                break
        return Missed(latest, count) if latest is not None else None

    def _last_before(self, since: datetime, until: datetime) -> datetime | None:
        """The last run not after `until`, without going through all of them."""
        if self.period is not None:
            start = since.replace(microsecond=0)
            return start + (until - start) // self.period * self.period
        for window in _WINDOWS:
            latest = None
            for run in self.following(max(since, until - window)):
                if run > until:
                    break
                latest = run
            if latest is not None:
                return latest
        return None


def parse_schedule(text: str, time_zone: str | None = None) -> Schedule:
    """The schedule that `text` says, in the zone called `time_zone` or in UTC. Raises BadSchedule."""
    stated = text.strip()
    if "TZ=" in stated:
        raise BadSchedule("must not name a time zone: use spec.timeZone")
    zone = parse_zone(time_zone)
    if stated.startswith(_EVERY):
        return _every(stated.removeprefix(_EVERY).strip())
    if stated.startswith("@") and stated not in _NICKNAMES:
        raise BadSchedule(f"is not known: one of {', '.join(_NICKNAMES)}, or @every with a duration")
    return _crontab(_NICKNAMES.get(stated, stated), zone)


def parse_zone(name: str | None) -> ZoneInfo | None:
    """The time zone of this name; None is UTC. Raises BadSchedule."""
    if name is None or name == "UTC":
        return None
    try:
        if name and name.lower() != "local":
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise BadSchedule("is no time zone of the IANA database")


def _crontab(text: str, zone: ZoneInfo | None) -> Schedule:
    fields = text.split()
    if len(fields) != 5:
        raise BadSchedule(f"has {len(fields)} fields: minute, hour, day of month, month, day of week")
    fields = [*fields[:2], *(field.replace("?", "*") if at != 1 else field for at, field in enumerate(fields[2:]))]
    plain = " ".join(fields)

    def following(moment: datetime) -> Iterator[datetime]:
        # cronsim works on wall clocks: in the hour that comes twice, it may answer with the first of them.
        for run in CronSim(plain, moment.astimezone(zone or UTC)):
            if (at := run.astimezone(UTC)) > moment:
                yield at

    schedule = Schedule(following)
    try:
        schedule.after(_TRIAL)
    except CronSimError as problem:
        raise BadSchedule(f"is no schedule: {str(problem).lower()}") from None
    return schedule


def _every(text: str) -> Schedule:
    try:
        wait = parse_duration(text)
    except ValueError as problem:
        raise BadSchedule(f"{problem}") from None
    wait = timedelta(seconds=int(wait.total_seconds()))
    if wait < timedelta(seconds=1):
        raise BadSchedule("must be at least @every 1s")

    def following(moment: datetime) -> Iterator[datetime]:
        run = moment.replace(microsecond=0)
        while True:
            try:
                run += wait
            except OverflowError:
                return
            yield run

    return Schedule(following, wait)
