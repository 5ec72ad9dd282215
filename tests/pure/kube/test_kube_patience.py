"""Do the gate, the back-off and the count of attempts keep their promises, by arithmetic alone?"""

import random

import pytest

from flowbatch.api.kinds import POD
from flowbatch.kube.backoff import Backoff
from flowbatch.kube.client import MAX_RETRY_AFTER_S, Attempts
from flowbatch.kube.errors import ApiError, Conflict, Fenced, ServerError, Throttled, TransportError, Unauthorized
from flowbatch.kube.gate import WriteGate
from flowbatch.kube.lease import LeaseTiming
from flowbatch.kube.request import create_object, list_objects

READ, WRITE = list_objects(POD), create_object(POD, {})


def test_the_gate_is_open_until_an_elector_takes_it_and_shuts_by_the_clock_alone():
    now = [100.0]
    gate = WriteGate(lambda: now[0])
    assert gate.is_open
    gate.open(epoch=4, until=110.0, write_s=4.0)
    assert gate.admit() == 4.0
    now[0] = 110.0
    with pytest.raises(Fenced):
        gate.admit()
    assert (gate.epoch, gate.refused) == (4, 1)


def test_a_refusal_says_why():
    gate = WriteGate()
    gate.shut("another leads")
    with pytest.raises(Fenced, match="another leads"):
        gate.admit()


def test_a_write_ends_before_a_rival_can_lead():
    timing = LeaseTiming()
    assert timing.renew_deadline_s + timing.write_s < timing.lease_s


@pytest.mark.parametrize("wrong", [(10, 10, 2), (15, 10, 9), (5, 10, 2)])
def test_an_election_that_cannot_be_safe_is_refused(wrong: tuple[float, float, float]):
    with pytest.raises(ValueError, match="retry_s"):
        LeaseTiming(*wrong)


def test_delays_are_drawn_from_a_growing_range_that_is_capped_and_reset():
    backoff = Backoff(1.0, 8.0, random.Random(1))
    assert all(backoff.delay_s() <= ceiling for ceiling in (1, 2, 4, 8, 8, 8))
    backoff.reset()
    assert backoff.delay_s() <= 1


def test_what_the_server_asks_for_is_waited_and_a_little_more():
    backoff = Backoff(1.0, 8.0, random.Random(1))
    assert all(10 <= backoff.delay_s(10) <= 12.5 for _ in range(9))


def attempts(request, *problems: ApiError | TransportError) -> list[bool]:
    made = Attempts(request)
    return [made.delay_s(problem) is not None for problem in problems]


def test_a_read_is_repeated_after_trouble_but_not_for_ever():
    assert attempts(READ, *[ServerError(503)] * 5) == [True] * 4 + [False]
    assert attempts(READ, *[TransportError("reset")] * 5) == [True] * 4 + [False]
    assert attempts(READ, TransportError("bad certificate", sent=False, lasting=True)) == [False]
    assert attempts(READ, Conflict(409)) == [False]


def test_a_write_is_repeated_only_where_nothing_was_done():
    assert attempts(WRITE, ServerError(500)) == [False]
    assert attempts(WRITE, TransportError("reset")) == [False]
    assert attempts(WRITE, TransportError("refused", sent=False)) == [True]
    assert attempts(WRITE, Throttled(429, retry_after=1)) == [True]
    assert attempts(WRITE, Throttled(429, retry_after=MAX_RETRY_AFTER_S + 1)) == [False]
    assert attempts(WRITE, Unauthorized(401), Unauthorized(401)) == [True, False]
