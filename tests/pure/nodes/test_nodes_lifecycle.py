"""Which container starts, restarts or stops when, and what phase is the pod in?"""

from datetime import UTC, datetime, timedelta

import pytest

from flowbatch.embedded.nodes.lifecycle import Ended, PodLife, Start, Stop, new_life
from flowbatch.embedded.nodes.runnable import RunnablePod
from flowbatch.embedded.nodes.status import is_news, pod_status, signature

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def pod(
    policy: str = "Never", init: tuple[str, ...] = (), main: tuple[str, ...] = ("main",), **spec: object
) -> RunnablePod:
    inits = [{"name": name.rstrip("*")} | ({"restartPolicy": "Always"} if name.endswith("*") else {}) for name in init]
    containers = [{"name": name} for name in main]
    return RunnablePod(spec={"restartPolicy": policy, "initContainers": inits, "containers": containers, **spec})


def run(life: PodLife, name: str, start_s: float = 0) -> None:
    life.started(name, at(start_s))


def end(life: PodLife, name: str, code: int, at_s: float = 1) -> None:
    life.exited(name, Ended(code, "", "", life.containers[name].running_since, at(at_s)))


def test_init_containers_start_one_by_one_then_all_main_ones():
    life = new_life(pod(init=("a", "b"), main=("m", "n")), T0)
    assert life.next(T0) == [Start("a", 0)]
    assert life.next(T0) == []
    run(life, "a")
    end(life, "a", 0)
    assert life.next(at(1)) == [Start("b", 0)]
    assert life.phase == "Pending"
    run(life, "b")
    end(life, "b", 0)
    assert life.next(at(1)) == [Start("m", 0), Start("n", 0)]


def test_a_sidecar_is_waited_for_and_stopped_last():
    life = new_life(pod(init=("side*",)), T0)
    assert life.next(T0) == [Start("side", 0)]
    assert life.next(T0) == []
    run(life, "side")
    assert life.next(T0) == [Start("main", 0)]
    run(life, "main")
    end(life, "main", 0)
    assert life.next(at(1)) == [Stop("side")]
    assert life.next(at(1)) == []
    assert not life.finished
    end(life, "side", 143)
    assert life.finished
    assert life.phase == "Succeeded"


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [("Never", 0, False), ("Never", 1, False), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Always", 0, True)],
)
def test_the_restart_policy_decides(policy: str, code: int, again: bool):
    life = new_life(pod(policy), T0)
    life.next(T0)
    run(life, "main")
    end(life, "main", code)
    assert (life.next(at(1)) == [Start("main", 1)]) is again
    assert life.finished is not again


def test_back_off_doubles_to_five_minutes_and_is_forgiven_after_ten():
    life = new_life(pod("Always"), T0)
    waits, now_s = [], 0.0
    life.next(T0)
    for _ in range(8):
        run(life, "main", now_s)
        end(life, "main", 1, now_s)
        woken = life.wake_at(at(now_s))
        waits.append((woken - at(now_s)).total_seconds() if woken else 0)
        now_s += waits[-1]
        assert [order.name for order in life.next(at(now_s))] == ["main"]
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    run(life, "main", now_s)
    end(life, "main", 1, now_s + 601)
    assert life.next(at(now_s + 601)) == [Start("main", 9)]


def test_a_deadline_fails_the_pod_and_stops_everything():
    life = new_life(pod(activeDeadlineSeconds=5), T0)
    life.next(T0)
    run(life, "main")
    assert life.wake_at(T0) == at(5)
    assert life.next(at(5)) == [Stop("main")]
    end(life, "main", 143, 5)
    assert (life.phase, life.verdict and life.verdict[0]) == ("Failed", "DeadlineExceeded")


def test_trouble_is_retried_and_does_not_count_as_a_restart():
    life = new_life(pod(), T0)
    life.next(T0)
    life.troubled("main", "CreateContainerConfigError", "no such thing", at(2))
    assert life.next(at(1)) == []
    assert life.wake_at(at(1)) == at(2)
    assert life.next(at(2)) == [Start("main", 0)]


def test_a_stopped_pod_starts_nothing():
    life = new_life(pod("Always", init=("a",)), T0)
    life.next(T0)
    life.stop()
    assert life.next(T0) == [Stop("a")]
    end(life, "a", 0)
    assert life.next(at(1)) == []
    assert life.finished


def test_a_failed_init_container_fails_the_pod_that_never_restarts():
    life = new_life(pod(init=("a",)), T0)
    life.next(T0)
    run(life, "a")
    end(life, "a", 2)
    assert life.next(at(1)) == []
    assert (life.finished, life.phase) == (True, "Failed")


def status(life: PodLife, of: RunnablePod) -> dict:
    return pod_status(of, life, "10.0.0.1", "127.0.0.1", T0, at(9))


def test_only_news_is_written():
    of = pod()
    life = new_life(of, T0)
    assert not is_news(status(life, of), None)
    life.next(T0)
    assert not is_news(status(life, of), None)
    run(life, "main")
    running = status(life, of)
    assert is_news(running, None)
    assert not is_news(status(life, of), signature(running))
    end(life, "main", 0)
    assert is_news(status(life, of), signature(running))


def test_the_state_before_is_shown_beside_the_state_now():
    of = pod("Always")
    life = new_life(of, T0)
    life.next(T0)
    for code in (1, 2):
        run(life, "main")
        end(life, "main", code)
        life.next(at(1))
    shown = status(life, of)["containerStatuses"][0]
    assert shown["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert (shown["lastState"]["terminated"]["exitCode"], shown["restartCount"]) == (2, 1)
