"""Do containers run as Kubernetes runs them: exit codes, restarts, init containers, grace, last words?"""

import asyncio
import time

from flowbatch.api.kinds import EVENT
from flowbatch.api.meta import JsonObject
from tests.embedded.nodes.conftest import Field


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def state(pod: JsonObject, kind: str = "containerStatuses") -> JsonObject:
    return pod["status"][kind][0]["state"]


async def test_a_command_runs_and_its_output_is_the_log(field_: Field):
    assert await field_.output("hello", sh("echo hello; echo world >&2")) == "hello\nworld\n"


async def test_the_exit_code_fails_the_pod(field_: Field):
    await field_.run_pod("bad", sh("exit 7"))
    pod = await field_.finished("bad")
    ended = state(pod)["terminated"]
    assert (pod["status"]["phase"], ended["exitCode"], ended["reason"]) == ("Failed", 7, "Error")


async def test_a_signal_counts_as_128_and_its_number(field_: Field):
    await field_.run_pod("killed", sh("kill -9 $$$$"))
    assert state(await field_.finished("killed"))["terminated"]["exitCode"] == 137


async def test_a_command_that_does_not_exist_is_named(field_: Field):
    await field_.run_pod("typo", ["no-such-program"])
    ended = state(await field_.finished("typo"))["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "no-such-program" in ended["message"]
    assert "not found in $PATH" in ended["message"]


async def test_running_is_one_write_and_the_end_another(field_: Field):
    await field_.run_pod("two-writes", sh("sleep 0.5"))
    running = await field_.phase("two-writes", "Running")
    conditions = {each["type"]: each["status"] for each in running["status"]["conditions"]}
    assert {"PodScheduled", "Initialized", "ContainersReady", "Ready"} <= {
        k for k, v in conditions.items() if v == "True"
    }
    assert running["status"]["containerStatuses"][0]["ready"] is True
    assert running["status"]["podIP"].startswith("10.244.")
    pod = await field_.finished("two-writes")
    assert {each["type"]: each["status"] for each in pod["status"]["conditions"]}["Ready"] == "False"


async def test_init_containers_run_in_order_before_the_main_ones(field_: Field):
    volume = [{"name": "v", "mountPath": "/v"}]
    spec = {
        "initContainers": [
            {"name": "one", "command": sh("sleep 0.1; echo one >> /v/order"), "volumeMounts": volume},
            {"name": "two", "command": sh("echo two >> /v/order"), "volumeMounts": volume},
        ],
        "containers": [{"name": "main", "command": sh("cat /v/order"), "volumeMounts": volume}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    assert await field_.output("ordered", spec) == "one\ntwo\n"


async def test_a_failed_init_container_fails_a_pod_that_never_restarts(field_: Field):
    spec = {
        "initContainers": [{"name": "init", "command": sh("exit 4")}],
        "containers": [{"name": "main", "command": sh("echo never")}],
    }
    await field_.run_pod("init-fails", spec)
    pod = await field_.finished("init-fails")
    assert pod["status"]["phase"] == "Failed"
    assert state(pod, "initContainerStatuses")["terminated"]["exitCode"] == 4


async def test_a_sidecar_runs_beside_and_is_stopped_at_the_end(field_: Field):
    spec = {
        "initContainers": [{"name": "side", "restartPolicy": "Always", "command": sh("touch /v/up; sleep 100")}],
        "containers": [{"name": "main", "command": sh("until test -e /v/up; do sleep 0.02; done; echo seen")}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    for container in (*spec["initContainers"], *spec["containers"]):
        container["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    assert await field_.output("sidecar", spec) == "seen\n"


async def test_on_failure_restarts_in_place_and_the_count_shows(field_: Field):
    script = "test -e /v/again && exit 0; touch /v/again; exit 3"
    spec = {
        "restartPolicy": "OnFailure",
        "containers": [{"name": "main", "command": sh(script), "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    await field_.run_pod("retry", spec)
    pod = await field_.finished("retry")
    assert pod["status"]["phase"] == "Succeeded"
    shown = pod["status"]["containerStatuses"][0]
    assert (shown["restartCount"], shown["lastState"]["terminated"]["exitCode"]) == (1, 3)


async def test_a_container_that_keeps_failing_backs_off(field_: Field):
    await field_.run_pod("crash", {"restartPolicy": "Always", "containers": [{"name": "main", "command": ["false"]}]})

    def backs_off(status: JsonObject) -> bool:
        shown = (status.get("containerStatuses") or [{"state": {}}])[0]["state"]
        return shown.get("waiting", {}).get("reason") == "CrashLoopBackOff"

    pod = await field_.until("crash", backs_off)
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    assert await field_.logs("crash", previous=True) == ""
    await field_.delete("crash")
    await field_.gone("crash")


async def test_deletion_sends_sigterm_and_waits_within_the_grace(field_: Field):
    script = "trap 'echo bye > /v/word; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    spec = {
        "terminationGracePeriodSeconds": 5,
        "containers": [{"name": "main", "command": sh(script), "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    await field_.run_pod("polite", spec)
    await field_.phase("polite", "Running")
    begun = time.monotonic()
    await field_.delete("polite")
    await field_.gone("polite")
    assert time.monotonic() - begun < 3


async def test_what_ignores_sigterm_is_killed_when_the_grace_is_over(field_: Field):
    spec = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "command": sh("trap '' TERM; while :; do sleep 0.05; done")}],
    }
    await field_.run_pod("stubborn", spec)
    await field_.phase("stubborn", "Running")
    begun = time.monotonic()
    await field_.delete("stubborn")
    await field_.gone("stubborn")
    assert 0.8 < time.monotonic() - begun < 4


async def test_last_words_come_from_the_file_or_the_log(field_: Field):
    await field_.run_pod("words", sh("echo spoken > /dev/termination-log; exit 1"))
    assert state(await field_.finished("words"))["terminated"]["message"] == "spoken\n"
    container = {"name": "main", "command": sh("echo the end; exit 1")}
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    await field_.run_pod("log-words", {"containers": [container]})
    assert "the end" in state(await field_.finished("log-words"))["terminated"]["message"]


async def test_an_active_deadline_ends_the_pod(field_: Field):
    spec = {"activeDeadlineSeconds": 1, "containers": [{"name": "main", "command": ["sleep", "100"]}]}
    await field_.run_pod("late", spec)
    status = (await field_.finished("late"))["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


async def test_a_readiness_probe_decides_readiness(field_: Field):
    probe = {"exec": {"command": ["test", "-e", "/tmp/ok"]}, "periodSeconds": 1}
    container = {"name": "main", "command": sh("sleep 0.6; touch /tmp/ok; sleep 100"), "readinessProbe": probe}
    await field_.run_pod("probed", {"containers": [container]})
    pod = await field_.phase("probed", "Running")
    assert pod["status"]["containerStatuses"][0]["ready"] is False
    await field_.until("probed", lambda status: status["containerStatuses"][0]["ready"])


async def test_a_tcp_probe_asks_inside_the_pod(field_: Field):
    server = "import socket,time; s=socket.create_server(('', 8080)); time.sleep(100)"
    probe = {"tcpSocket": {"port": "web"}, "periodSeconds": 1}
    container = {"name": "main", "command": ["python", "-c", server], "readinessProbe": probe}
    container["ports"] = [{"name": "web", "containerPort": 8080}]
    await field_.run_pod("tcp", {"containers": [container]})
    await field_.until("tcp", lambda status: status.get("containerStatuses", [{}])[0].get("ready"))


async def test_a_container_without_a_command_is_played_and_says_so(field_: Field):
    await field_.run_pod("imageonly", {"containers": [{"name": "main", "image": "nginx:1"}]})
    await field_.phase("imageonly", "Running")
    events = await field_.client.list(EVENT, field_.namespace)
    assert [(each.type, each.reason) for each in events] == [("Warning", "ContainerSimulated")]
    assert "images are not pulled" in await field_.logs("imageonly")
    await field_.delete("imageonly")
    await field_.gone("imageonly")


async def test_an_image_can_be_mapped_to_a_command(field_: Field):
    spec = {"containers": [{"name": "main", "image": "registry/greeter:3", "args": ["and you"]}]}
    assert await field_.output("mapped", spec) == "hello from the map and you\n"


async def test_logs_can_be_followed_to_the_end(field_: Field):
    await field_.run_pod("chatty", sh("for i in 1 2 3; do echo line $i; sleep 0.15; done"))
    await field_.phase("chatty", "Running")
    async with asyncio.timeout(5):
        assert await field_.logs("chatty", follow=True) == "line 1\nline 2\nline 3\n"
    assert await field_.logs("chatty", tail_lines=1) == "line 3\n"
    assert (await field_.logs("chatty", timestamps=True)).splitlines()[0].endswith("Z line 1")


async def test_a_forced_deletion_kills_at_once(field_: Field):
    await field_.run_pod("forced", sh("trap '' TERM; while :; do sleep 0.05; done"))
    await field_.phase("forced", "Running")
    await field_.delete("forced", grace_seconds=0)
    await field_.gone("forced", 2)
