"""Is each order written as the smallest request that says it, and not at all where it is said already?"""

from datetime import UTC, datetime

import msgspec
import pytest

from flowbatch.api.core import Pod
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.engine.decisions import Bind, Evict, Nominate, QueueReport, Report, Step
from flowbatch.scheduler import requests
from flowbatch.scheduler.statuses import Pace, patience_s

NOW = datetime(2026, 11, 24, 12, 0, 0, 500_000, tzinfo=UTC)
WAITS = Report("ns/g", "Inqueue", "NeedsCapacity", "NotEnoughResources", "3/5 tasks in gang unschedulable: short 3 cpu")


def body(request) -> dict:
    assert request is not None
    return msgspec.json.decode(request.body)


def group(**status) -> PodGroup:
    return msgspec.convert({"metadata": {"name": "g", "namespace": "ns", "uid": "gu"}, "status": status}, PodGroup)


def test_a_binding_names_the_uid_the_node_and_the_epoch():
    request = requests.bind_request(Bind("u1", "ns", "p", "n1"), epoch=7)
    assert (request.method, request.path) == ("POST", "/api/v1/namespaces/ns/pods/p/binding")
    assert body(request)["metadata"]["uid"] == "u1"
    assert body(request)["target"]["name"] == "n1"
    assert body(request)["metadata"]["annotations"] == {"flowbatch.dev/epoch": "7"}
    assert "annotations" not in body(requests.bind_request(Bind("u1", "ns", "p", "n1")))["metadata"]


def test_an_eviction_names_the_uid():
    request = requests.evict_request(Evict("u1", "ns", "p", "preempted"))
    assert request.path.endswith("/pods/p/eviction")
    assert body(request)["deleteOptions"]["preconditions"] == {"uid": "u1"}


def test_a_nomination_is_written_to_the_status_and_taken_back_by_null():
    request = requests.nominate_request(Nominate("u1", "ns", "p", "n1"))
    assert request.path.endswith("/pods/p/status")
    assert body(request)["status"] == {"nominatedNodeName": "n1"}
    assert body(requests.nominate_request(Nominate("u1", "ns", "p", None)))["status"] == {"nominatedNodeName": None}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step("annotation", "a", "b"), {"annotations": {"a": "b"}}),
        (Step("gate", "queue"), {"schedulingGates": [{"name": "queue", "$patch": "delete"}]}),
        (Step("patch", "x", '{"labels": {"l": "m"}}'), {"labels": {"l": "m"}}),
    ],
)
def test_a_step_is_one_patch(step, expected):
    request = requests.step_request(Bind("u1", "ns", "p", "n1"), step)
    assert request.method == "PATCH"
    sent = body(request)
    assert expected.items() <= {**sent, **sent.get("metadata", {}), **sent.get("spec", {})}.items()


@pytest.mark.parametrize("step", [Step("volume", "v"), Step("patch", "p", "[1"), Step("patch", "p", "[1]")])
def test_no_request_can_do_some_steps(step):
    with pytest.raises(requests.NoSuchStep):
        requests.step_request(Bind("u1", "ns", "p", "n1"), step)


def test_a_gang_that_waits_says_why_in_volcanos_form():
    request = requests.group_request(WAITS, group(phase="Inqueue"), NOW, "run-3")
    assert body(request) == {
        "metadata": {"uid": "gu"},
        "status": {
            "conditions": [
                {
                    "type": "Unschedulable",
                    "status": "True",
                    "reason": "NotEnoughResources",
                    "message": "3/5 tasks in gang unschedulable: short 3 cpu",
                    "lastTransitionTime": "2026-11-24T12:00:00Z",
                    "transitionID": "run-3",
                }
            ]
        },
    }


def test_what_is_said_already_is_not_written_again():
    said = body(requests.group_request(WAITS, group(phase="Inqueue"), NOW, "run-3"))["status"]
    assert requests.group_request(WAITS, group(phase="Inqueue", **said), NOW, "run-9") is None


def test_a_gang_that_runs_no_longer_says_that_it_waited():
    waiting = body(requests.group_request(WAITS, group(phase="Inqueue"), NOW, "run-3"))["status"]
    other = {"type": "Somebody", "status": "True", "reason": "", "message": ""}
    waiting["conditions"].append(other)
    running = Report("ns/g", "Running", running=5)
    status = body(requests.group_request(running, group(phase="Inqueue", **waiting), NOW, "run-4"))["status"]
    assert (status["phase"], status["running"]) == ("Running", 5)
    assert [each["type"] for each in status["conditions"]] == ["Somebody", "Scheduled"]


def test_admission_writes_the_phase_alone():
    request = requests.phase_request(WAITS, group(phase="Pending"))
    assert body(request) == {"metadata": {"uid": "gu"}, "status": {"phase": "Inqueue"}}
    assert requests.phase_request(WAITS, group(phase="Inqueue")) is None


@pytest.mark.parametrize(
    ("report", "patience"),
    [
        (Report("ns/g", "Running", running=5), "settle_s"),
        (Report("ns/g", "Inqueue"), None),
        (Report("ns/g", "Inqueue", running=1), "count_s"),
        (WAITS, "settle_s"),
        (Report("ns/g", "Inqueue", "NeedsMembers", "NotEnoughTasks", "2/5 pods exist"), "count_s"),
    ],
)
def test_news_waits_as_long_as_it_may(report, patience):
    pace = Pace()
    assert patience_s(report, group(phase="Inqueue"), pace) == (getattr(pace, patience) if patience else None)


def test_a_gang_just_admitted_says_nothing_of_pods_that_are_still_being_made():
    report = Report("ns/g", "Inqueue", "NeedsMembers", "NotEnoughTasks", "0/5 pods exist")
    assert patience_s(report, group(phase="Pending"), Pace()) == Pace().count_s


def test_the_same_reason_in_new_words_waits_longest():
    said = body(requests.group_request(WAITS, group(phase="Inqueue"), NOW, "run-3"))["status"]
    reworded = msgspec.structs.replace(WAITS, message="2/5 tasks in gang unschedulable: short 2 cpu")
    other_reason = msgspec.structs.replace(WAITS, reason="NotEnoughTasks")
    assert patience_s(WAITS, group(phase="Inqueue", **said), Pace()) is None
    assert patience_s(reworded, group(phase="Inqueue", **said), Pace()) == Pace().reword_s
    assert patience_s(other_reason, group(phase="Inqueue", **said), Pace()) == Pace().settle_s


def pod(conditions=(), node="") -> Pod:
    whole = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"nodeName": node}}
    return msgspec.convert({**whole, "status": {"conditions": conditions}}, Pod)


def test_a_waiting_pod_is_told_once_and_a_bound_one_never():
    request = requests.pod_condition_request(pod(), "Unschedulable", "0/3 nodes", NOW)
    assert request is not None
    assert (request.path, request.content_type) == (
        "/api/v1/namespaces/ns/pods/p/status",
        "application/strategic-merge-patch+json",
    )
    told = body(request)["status"]["conditions"]
    assert told[0]["type"] == "PodScheduled"
    assert requests.pod_condition_request(pod(told), "Unschedulable", "0/3 nodes", NOW) is None
    assert requests.pod_condition_request(pod(node="n1"), "Unschedulable", "0/3 nodes", NOW) is None


def test_new_words_on_a_pod_keep_the_time_of_the_change():
    told = body(requests.pod_condition_request(pod(), "Unschedulable", "0/3 nodes", NOW))["status"]["conditions"]
    assert told[0]["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    later = datetime(2026, 11, 25, tzinfo=UTC)
    # Not said again: in a strategic merge patch, what is there stays.
    again = body(requests.pod_condition_request(pod(told), "Unschedulable", "0/4 nodes", later))
    assert again["status"]["conditions"] == [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/4 nodes"}
    ]
    told[0]["status"] = "Unknown"
    turned = body(requests.pod_condition_request(pod(told), "Unschedulable", "0/4 nodes", later))
    assert turned["status"]["conditions"][0]["lastTransitionTime"] == "2026-11-25T00:00:00Z"


def test_a_queue_says_what_it_uses_and_forgets_what_it_no_longer_does():
    queue = msgspec.convert({"metadata": {"name": "q"}, "status": {"allocated": {"cpu": "1", "gpu": "2"}}}, Queue)
    request = requests.queue_request(QueueReport("q", (("cpu", 1500), ("memory", 2**30))), queue, NOW)
    assert request is not None
    assert request.path.endswith("/queues/q/status")
    assert body(request)["status"] == {"allocated": {"cpu": "1500m", "memory": "1Gi", "gpu": None}}
    assert requests.queue_request(QueueReport("q", (("cpu", 1000), ("gpu", 2))), queue, NOW) is None


def test_a_queue_says_what_is_wrong_with_it_and_that_it_was_mended():
    queue = msgspec.convert({"metadata": {"name": "q", "uid": "u"}}, Queue)
    assert requests.queue_request(QueueReport("q", ()), queue, NOW) is None, "a sound queue costs no write"
    wrong = QueueReport("q", (), ("this", "that"))
    request = requests.queue_request(wrong, queue, NOW)
    assert request is not None
    (told,) = body(request)["status"]["conditions"]
    assert (told["type"], told["status"], told["reason"], told["message"]) == (
        "Sound",
        "False",
        "BadSpec",
        "this; that",
    )
    says_so = msgspec.convert({"metadata": {"name": "q"}, "status": {"conditions": [told]}}, Queue)
    assert requests.queue_request(wrong, says_so, NOW) is None
    mended = requests.queue_request(QueueReport("q", ()), says_so, NOW)
    assert mended is not None
    assert [(each["type"], each["status"]) for each in body(mended)["status"]["conditions"]] == [("Sound", "True")]


def test_an_event_about_a_queue_is_named_by_what_it_says():
    queue = msgspec.convert({"metadata": {"name": "q", "uid": "u"}}, Queue)
    first, again, other = (
        body(requests.queue_event(QueueReport("q", (), (text,)), queue, NOW)) for text in ("this", "this", "that")
    )
    assert first == again
    assert first["metadata"]["name"] != other["metadata"]["name"]
    assert (first["involvedObject"]["name"], first["type"], first["message"]) == ("q", "Warning", "this")
