"""Is the table of task states total, and does it keep its promises?"""

import pytest

from flowbatch.model.lifecycle import FINISHED, ILLEGAL, TRANSITIONS, InvalidTransition, Stimulus, TaskState, next_state


class Someone:
    uid = "pod-1"
    story = "a long story"


def test_every_pair_has_an_entry():
    assert [len(Stimulus)] * len(TaskState) == [len(row) for row in TRANSITIONS]


def test_facts_are_never_illegal():
    facts = [each for each in Stimulus if each <= Stimulus.FAILED]
    assert not [(s, f) for s in TaskState for f in facts if TRANSITIONS[s][f] is ILLEGAL]


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_ends_are_ends(state):
    assert {state} == {new for new in TRANSITIONS[state] if new is not ILLEGAL}


def test_repeating_a_fact_changes_nothing():
    for state in TaskState:
        for fact in (each for each in Stimulus if each <= Stimulus.FAILED):
            once = next_state(state, fact, Someone())
            assert once is next_state(once, fact, Someone())


def test_what_cannot_happen_raises_with_the_story():
    with pytest.raises(InvalidTransition, match=r"PLACE in state RUNNING \(a long story\)"):
        next_state(TaskState.RUNNING, Stimulus.PLACE, Someone())
