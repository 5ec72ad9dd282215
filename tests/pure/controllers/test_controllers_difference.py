"""Is a status patch the smallest merge patch that has the wanted effect, for all JSON objects?"""

from hypothesis import given
from hypothesis import strategies as st

from flowbatch.api.batch import JobState, JobStatus
from flowbatch.controllers.difference import difference, wire_difference

leaves = st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2)
objects = st.recursive(
    st.dictionaries(st.text("xyz", min_size=1, max_size=2), leaves, max_size=4),
    lambda inner: st.dictionaries(st.text("xyz", min_size=1, max_size=2), leaves | inner, max_size=4),
    max_leaves=12,
)


def merged(target, patch):
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(objects, objects)
def test_applying_the_difference_gives_the_new_object(old, new):
    assert merged(old, difference(old, new)) == new


@given(objects)
def test_equal_objects_differ_in_nothing(value):
    assert difference(value, value) == {}


def test_only_what_changes_is_sent():
    old = {"state": {"phase": "Pending", "message": "m"}, "pending": 3, "version": 1}
    new = {"state": {"phase": "Running"}, "running": 3, "version": 1}
    assert difference(old, new) == {"state": {"phase": "Running", "message": None}, "pending": None, "running": 3}


def test_a_count_that_falls_to_zero_is_removed():
    old = JobStatus(state=JobState(phase="Running"), running=2)
    assert wire_difference(old, JobStatus(state=JobState(phase="Running"))) == {"running": None}
