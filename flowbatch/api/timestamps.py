"""RFC 3339 times and Go durations as Kubernetes writes them."""

import re
from datetime import UTC, datetime, timedelta

_UNIT_NANOS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h)")
#: Go keeps a duration in an int64 of nanoseconds.
_MAX_NANOS = 2**63 - 1


def format_time(moment: datetime) -> str:
    """`moment` as metav1.Time: whole seconds, UTC, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """`moment` as metav1.MicroTime: always six digits, UTC, `Z` (leases and events)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_duration(text: str) -> timedelta:
    """A Go duration ("300ms", "1h30m", "-1.5h", "0") as a timedelta, to the microsecond.

    Raises ValueError, naming the form, for anything `time.ParseDuration` of Go refuses.
    """
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return timedelta(0)
    nanos, end = 0, 0
    while end < len(rest) and (part := _PART.match(rest, end)):
        nanos += _nanos(part.group(1), _UNIT_NANOS[part.group(2)])
        end = part.end()
    if not rest or end != len(rest):
        raise ValueError('is not a duration: expected numbers with a unit, e.g. "90s", "1h30m"')
    if nanos > _MAX_NANOS:
        raise ValueError("is too long a duration: at most about 292 years")
    return timedelta(microseconds=sign * nanos // 1000)


def _nanos(number: str, unit: int) -> int:
    """`number` (decimal digits with at most one point) times `unit`, exactly, rounded down."""
    whole, _, fraction = number.partition(".")
    return int(whole or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
