"""Does a trial that is undone leave no trace, and does one that is kept leave the right one?"""

import numpy as np
import pytest

from flowbatch.model.check import InvariantBroken, check
from flowbatch.model.gangs import Reservation
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.trial import Trial
from tests.factworld import digest
from tests.textcluster import confirm, cycle, engine_with


def two_rows():
    return np.array([0, 1], np.int64), np.array([2, 1], np.int64)


def waiting():
    engine = engine_with("2 nodes: cpu=4", "gang a: 3x cpu=1 %80, min 9, phase Inqueue", "gang b: 1x cpu=1")
    confirm(engine, cycle(engine))
    return engine, engine.state, engine.state.gangs["ns/a"]


def test_undone_placements_evictions_and_reservations_leave_no_trace():
    engine, state, gang = waiting()
    before = digest(engine)
    tasks = list(gang.tasks.values())
    rows, counts = two_rows()
    with Trial(state) as trial:
        trial.evict(state.tasks["b-0"])
        trial.place(gang, tasks[0].shape, tasks, rows, counts)
        trial.reserve(gang, Reservation("task", tasks[0].shape, rows, counts))
        assert TaskState.RELEASING is state.tasks["b-0"].state
        assert state.table.releasing[1].sum() == 1000
        assert before != digest(engine)
    assert before == digest(engine)
    assert TaskState.RUNNING is state.tasks["b-0"].state
    check(state)


def test_undo_to_a_mark_keeps_what_came_before():
    _, state, gang = waiting()
    tasks = list(gang.tasks.values())
    one = np.array([0], np.int64), np.array([1], np.int64)
    with Trial(state) as trial:
        trial.place(gang, tasks[0].shape, tasks[:1], *one)
        mark = trial.mark()
        trial.place(gang, tasks[0].shape, tasks[1:2], *one)
        trial.undo(mark)
        assert [tasks[0]] == [task for task, _ in trial.keep()]
    state.count_wanted(gang)
    check(state)
    assert tasks[0].node.name == "n1"


def test_kept_trial_is_not_undone_at_the_end():
    _, state, gang = waiting()
    tasks = list(gang.tasks.values())
    rows, counts = two_rows()
    with Trial(state) as trial:
        trial.place(gang, tasks[0].shape, tasks, rows, counts)
        assert [node.name for _, node in trial.preview()] == ["n1", "n1", "n2"]
        trial.keep()
        trial.undo()
    assert [task.state for task in tasks] == [TaskState.BINDING] * 3
    state.count_wanted(gang)
    check(state)


def test_check_sees_a_wrong_number():
    _, state, _ = waiting()
    state.table.free[1, 0] += 1
    state.used[1] += 7
    with pytest.raises(InvariantBroken, match=r"free differs on rows \[0\].*used"):
        check(state)
