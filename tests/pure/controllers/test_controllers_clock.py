"""J9: does a machine's clock that jumps neither end a job early nor keep one for ever?"""

from datetime import UTC, datetime, timedelta

import pytest

from flowbatch.controllers.clock import BELIEVED_S, SteadyClock

START = datetime(2026, 1, 1, tzinfo=UTC)


class Machine:
    """Time that passes, and a clock that may be set."""

    def __init__(self):
        self.passed = 1000.0
        self.wrong = timedelta()
        self.clock = SteadyClock(
            lambda: START + timedelta(seconds=self.passed - 1000) + self.wrong, lambda: self.passed
        )

    def after(self, seconds, *, every=10.0):
        """The time that the clock gives when `seconds` have passed, asked now and then meanwhile."""
        end = self.passed + seconds
        while self.passed < end:
            self.passed = min(end, self.passed + every)
            now = self.clock()
        return (now - START).total_seconds()


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(hours=-3), timedelta(seconds=5)])
def test_a_jump_is_not_followed_and_one_that_is_taken_back_never_was(jump):
    machine = Machine()
    assert machine.after(60) == pytest.approx(60)
    machine.wrong = jump
    assert machine.after(300) == pytest.approx(360)
    machine.wrong = timedelta()
    assert machine.after(BELIEVED_S) == pytest.approx(360 + BELIEVED_S)


def test_a_correction_is_believed_when_it_has_lasted():
    machine = Machine()
    machine.wrong = timedelta(hours=1)
    assert machine.after(BELIEVED_S + 20) == pytest.approx(BELIEVED_S + 20 + 3600)


def test_small_differences_are_followed_at_once():
    machine = Machine()
    machine.wrong = timedelta(seconds=0.5)
    assert machine.after(10) == pytest.approx(10.5)
    machine.wrong = timedelta(seconds=1.2)
    assert machine.after(10) == pytest.approx(21.2)
