"""Are Go's durations and Kubernetes' times read and written as Go and Kubernetes do?"""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.api.timestamps import format_micro_time, format_time, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5s", 5),
        ("1h30m", 5400),
        ("300ms", 0.3),
        ("1.5h", 5400),
        ("-1.5h", -5400),
        ("+5s", 5),
        (".5s", 0.5),
        ("1.s", 1),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1h1h", 7200),
        ("1e", None),
        ("", None),
        ("1h30", None),
        ("1d", None),
        ("1e9s", None),
        ("5", None),
        ("s", None),
        (".s", None),
        ("5 s", None),
        ("5S", None),
        ("５s", None),
        ("5s\n", None),
        ("--5s", None),
        ("1000000000h", None),
    ],
)
def test_durations_are_go_durations(text, seconds):
    if seconds is None:
        with pytest.raises(ValueError, match=r"duration"):
            parse_duration(text)
    else:
        assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.text(max_size=40))
def test_any_text_is_a_duration_or_refused(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_duration(text), timedelta)


@given(st.integers(0, 10**9), st.integers(0, 59), st.integers(0, 59))
def test_parts_add_up(hours, minutes, seconds):
    text = f"{hours % 100000}h{minutes}m{seconds}s"
    assert parse_duration(text) == timedelta(hours=hours % 100000, minutes=minutes, seconds=seconds)


def test_times_are_utc_with_whole_seconds_or_six_digits():
    moment = datetime(2026, 1, 2, 5, 4, 5, 60, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2026-01-02T03:04:05Z"
    assert format_micro_time(moment) == "2026-01-02T03:04:05.000060Z"
    assert format_time(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"
