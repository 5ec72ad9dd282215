"""Is the phase machine total, and every row of volcano.md 4.2 and 4.3 as written, but for the stated repairs?"""

import pytest

from flowbatch.workload.lifecycle import ACTIVE, FINISHED, HALTED, MOVES, Phase, Tally, Terms, after_action, after_sync
from flowbatch.workload.vocabulary import ACTIONS

RESTARTS = ("RestartJob", "RestartTask", "RestartPod", "RestartPartition")
TWO = Terms(replicas=2, min_available=2, task_minimums={"a": 2}, max_retry=3)


def test_every_phase_has_an_answer_to_every_action():
    assert set(MOVES) == set(Phase)
    for phase in Phase:
        for action in ACTIONS:
            assert after_action(phase, action) in (*Phase, None)


@pytest.mark.parametrize("phase", sorted(ACTIVE))
def test_an_active_job_obeys_every_action_but_resume(phase):
    assert {after_action(phase, action) for action in RESTARTS} == {Phase.RESTARTING}
    assert after_action(phase, "AbortJob") is Phase.ABORTING
    assert after_action(phase, "CompleteJob") is Phase.COMPLETING
    assert after_action(phase, "TerminateJob") is Phase.TERMINATING
    assert after_action(phase, "ResumeJob") is None


@pytest.mark.parametrize("phase", sorted(HALTED))
def test_a_halted_job_only_resumes(phase):
    assert {action: after_action(phase, action) for action in ACTIONS if after_action(phase, action)} == {
        "ResumeJob": Phase.RESTARTING
    }


@pytest.mark.parametrize("phase", sorted(FINISHED | {Phase.COMPLETING, Phase.TERMINATING}))
def test_an_ended_job_does_nothing_any_more(phase):
    assert MOVES[phase] == {}


@pytest.mark.parametrize("phase", sorted(FINISHED | {Phase.ABORTED}))
@pytest.mark.parametrize("tally", [Tally(), Tally(running=2), Tally(succeeded=9), Tally(failed=9, terminating=3)])
def test_no_state_of_pods_moves_a_job_out_of_its_end(phase, tally):
    assert after_sync(phase, tally, TWO, 0) is None


@pytest.mark.parametrize(
    ("phase", "end"),
    [(Phase.ABORTING, Phase.ABORTED), (Phase.COMPLETING, Phase.COMPLETED), (Phase.TERMINATING, Phase.TERMINATED)],
)
def test_winding_down_ends_when_the_last_pod_has_stopped(phase, end):
    for busy in (Tally(running=1), Tally(pending=1), Tally(terminating=1, stopping=1), Tally(unknown=1)):
        assert after_sync(phase, busy, TWO, 0) is None
    assert after_sync(phase, Tally(succeeded=1, failed=1, terminating=1), TWO, 0).phase is end


PENDING = [
    (Tally(running=1), None),
    (Tally(running=2), Phase.RUNNING),
    (Tally(running=1, failed=1), Phase.RUNNING),
    (Tally(succeeded=2), Phase.RUNNING),
    (Tally(pending=2), None),
    (Tally(failed=1, hopeless=1), Phase.FAILED),
    (Tally(failed=1, hopeless=1, running=0, pending=1), None),
]


@pytest.mark.parametrize(("tally", "phase"), PENDING)
def test_a_pending_job_runs_when_its_minimum_has_started(tally, phase):
    move = after_sync(Phase.PENDING, tally, Terms(replicas=2, min_available=2), 0)
    assert (move.phase if move else None) is phase


RUNNING = [
    ("no replicas at all: stays", Tally(), Terms(0, 0), None),
    ("enough successes end it early", Tally(succeeded=1, running=1), Terms(2, 2, min_success=1), Phase.COMPLETED),
    ("all succeeded", Tally(succeeded=2, succeeded_by_task={"a": 2}), TWO, Phase.COMPLETED),
    ("a task below its minimum", Tally(succeeded=1, failed=1, succeeded_by_task={"a": 1}), TWO, Phase.FAILED),
    (
        "task minimums do not count when the job's is below their sum",
        Tally(succeeded=1, failed=1, succeeded_by_task={"a": 1}),
        Terms(2, 1, {"a": 2}),
        Phase.COMPLETED,
    ),
    ("fewer successes than asked for", Tally(succeeded=1, failed=1), Terms(2, 1, {}, min_success=2), Phase.FAILED),
    ("fewer successes than the minimum", Tally(succeeded=1, failed=2), Terms(3, 2, {"a": 3}), Phase.FAILED),
    ("one still runs", Tally(succeeded=1, running=1), TWO, None),
    ("below the minimum again", Tally(running=1, pending=1), TWO, Phase.PENDING),
    ("above the minimum, some pending", Tally(running=2, pending=1), Terms(3, 2), None),
    ("what is left waits for ever", Tally(succeeded=1, failed=1, hopeless=1), Terms(3, 3), Phase.FAILED),
]


@pytest.mark.parametrize(("why", "tally", "terms", "phase"), RUNNING, ids=[row[0] for row in RUNNING])
def test_a_running_job_is_judged_in_order(why, tally, terms, phase):
    move = after_sync(Phase.RUNNING, tally, terms, 0)
    assert (move.phase if move else None) is phase, why


@pytest.mark.parametrize(
    ("terminating", "retries", "phase"),
    [(0, 1, Phase.PENDING), (1, 1, None), (2, 2, None), (0, 3, Phase.FAILED), (2, 3, Phase.FAILED)],
)
def test_a_restarting_job_waits_for_its_names_or_gives_up(terminating, retries, phase):
    move = after_sync(Phase.RESTARTING, Tally(terminating=terminating), TWO, retries)
    assert (move.phase if move else None) is phase


def test_an_untouched_job_is_pending_first():
    assert after_sync(Phase.NEW, Tally(), TWO, 0).phase is Phase.PENDING
