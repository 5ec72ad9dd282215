"""Does an owner wait until the cache shows each of its writes, and is a lagging cache checked, never believed?"""

from datetime import UTC, datetime

from flowbatch.api.kinds import POD, POD_GROUP, SECRET
from flowbatch.api.meta import ObjectMeta
from flowbatch.controllers.expectations import Expectations


class World:
    """A cache and a clock in the test's hands."""

    def __init__(self):
        self.cache: dict[tuple[str, str], ObjectMeta] = {}
        self.now = 100.0
        self.expectations = Expectations(self, lambda: self.now, lag_s=5)

    def look(self, kind, key):
        return self.cache.get((kind.kind, key))

    def watches(self, kind):
        return kind is not SECRET

    def show(self, kind, meta):
        self.cache[kind.kind, meta.key] = meta


def meta(uid="u1", version=7, name="p", deleting=False):
    gone = datetime(2026, 1, 1, tzinfo=UTC) if deleting else None
    return ObjectMeta(name=name, namespace="ns", uid=uid, resource_version=str(version), deletion_timestamp=gone)


def test_an_owner_without_writes_is_settled():
    assert World().expectations.settled("job")


def test_a_created_object_is_awaited():
    world = World()
    world.expectations.written("job", POD, meta())
    assert not world.expectations.settled("job")
    assert world.expectations.settled("another"), "one owner's writes must not hold up another"
    world.show(POD, meta())
    assert world.expectations.settled("job")


def test_a_patch_is_awaited_by_version():
    world = World()
    world.show(POD, meta(version=6))
    world.expectations.written("job", POD, meta(version=7))
    assert not world.expectations.settled("job")
    world.show(POD, meta(version=9))
    assert world.expectations.settled("job")


def test_a_predecessor_of_the_same_name_does_not_count_as_the_created_one():
    world = World()
    world.show(POD, meta("old", version=3))
    world.expectations.written("job", POD, meta("new", version=7))
    assert not world.expectations.settled("job")


def test_a_successor_of_the_same_name_means_that_ours_has_come_and_gone():
    world = World()
    world.expectations.written("job", POD, meta("ours", version=7))
    world.show(POD, meta("next", version=9))
    assert world.expectations.settled("job")


def test_a_delete_is_shown_by_absence_by_a_deletion_time_or_by_a_namesake():
    for after in (None, meta(deleting=True), meta("other", 9)):
        world = World()
        world.show(POD, meta())
        world.expectations.deleted("job", POD, "ns/p", "u1")
        assert not world.expectations.settled("job")
        world.cache.clear()
        if after is not None:
            world.show(POD, after)
        assert world.expectations.settled("job")


def test_an_object_seen_to_go_is_no_longer_awaited():
    world = World()
    world.expectations.written("job", POD, meta())
    world.expectations.saw_gone("job", POD, meta("stranger", version=3))
    assert not world.expectations.settled("job"), "an older namesake went, not ours"
    world.expectations.saw_gone("job", POD, meta(version=8))
    assert world.expectations.settled("job")


def test_a_kind_that_is_not_watched_is_not_awaited():
    world = World()
    world.expectations.written("job", SECRET, meta())
    assert world.expectations.settled("job")


def test_kinds_with_equal_keys_are_apart():
    world = World()
    world.expectations.written("job", POD, meta())
    world.show(POD_GROUP, meta())
    assert not world.expectations.settled("job")


def test_a_lagging_cache_is_checked_at_the_deadline_and_waited_for_while_the_object_lives():
    world = World()
    world.expectations.written("job", POD, meta())
    assert world.expectations.overdue("job") == []
    world.now += 5
    (late,) = world.expectations.overdue("job")
    world.expectations.answer("job", late, meta(version=8))
    assert not world.expectations.settled("job"), "it must never act on a cache that is known to be stale"
    assert world.expectations.overdue("job") == []
    world.now += 10
    assert world.expectations.overdue("job") == [late], "patience doubles, and the server is asked again"


def test_a_delete_that_never_happened_is_not_awaited():
    world = World()
    world.show(POD, meta())
    world.expectations.deleted("job", POD, meta().key, meta().uid)
    world.now += 5
    (late,) = world.expectations.overdue("job")
    world.expectations.answer("job", late, meta(version=8))
    assert world.expectations.settled("job"), "the server has it and does not delete it: it is for us to ask again"


def test_an_object_that_the_server_does_not_have_is_not_awaited():
    for live in (None, meta("other", 9)):
        world = World()
        world.expectations.written("job", POD, meta())
        world.now += 5
        (late,) = world.expectations.overdue("job")
        world.expectations.answer("job", late, live)
        assert world.expectations.settled("job")


def test_a_forgotten_owner_leaves_nothing_behind():
    world = World()
    world.expectations.written("job", POD, meta())
    world.expectations.forget("job")
    assert len(world.expectations) == 0
