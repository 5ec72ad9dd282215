"""Are an extender's replies read for what they say, and refused where they are nonsense?"""

import pytest

from flowbatch.api.core import Container, Pod, PodSpec, ResourceRequirements
from flowbatch.api.meta import ObjectMeta
from flowbatch.scheduler.extending import (
    ExtenderFailed,
    PredicateReply,
    PrioritizeReply,
    ReadyReply,
    read,
    resource,
    scores_of,
    task_info,
    too_deep,
)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"{}", ""),
        (b"", ""),
        (b'{"errorMessage": "no"}', "'no'"),
        (b'{"status": "older field", "code": 1}', "'older field'"),
        (b'{"code": 3}', "code 3"),
        (b'{"code": 0, "unknown": [{}]}', ""),
    ],
)
def test_predicates_are_read_in_every_spelling_of_volcano(body, refusal):
    assert read(body, PredicateReply).refusal == refusal


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{", b'{"status": "yes"}', b'{"status": 1}', b"\xff"])
def test_what_is_no_reply_is_refused(body):
    with pytest.raises(ExtenderFailed):
        read(body, ReadyReply)


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" * 32 + b"]" * 32, False),
        (b"[" * 33 + b"]" * 33, True),
        (b'{"a": "' + b"[" * 100 + b'"}', False),
        (b'{"a": "' + b'\\"[' * 100 + b'"}', False),
        (b'{"a": "\\\\", "b": ' + b"[" * 40, True),
        (b"[]" * 100, False),
        (b"{" * 1_000_000, True),
    ],
)
def test_depth_is_judged_without_decoding(body, deep):
    assert too_deep(body) is deep


def test_what_is_too_deep_is_refused_even_where_it_would_be_skipped():
    with pytest.raises(ExtenderFailed, match="nested deeper"):
        read(b'{"other": ' + b"[" * 40 + b"]" * 40 + b"}", PredicateReply)


def test_scores_are_cut_to_what_a_score_may_be():
    reply = PrioritizeReply({"a": 50.0, "b": -1.0, "c": 1e9, "d": float("nan"), "stranger": 3.0})
    assert scores_of(reply, ["a", "b", "c", "d", "e"]) == {"a": 0.5, "b": 0.0, "c": 1.0}


def test_a_pod_is_told_in_volcanos_words():
    container = Container(name="c", resources=ResourceRequirements(requests={"cpu": "1500m", "x/gpu": "2"}))
    pod = Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(containers=(container,)))
    told = task_info(pod, "ns/g", "worker", "n1")
    assert told["Resreq"] == {"MilliCPU": 1500, "Memory": 0, "ScalarResources": {"pods": 1000, "x/gpu": 2000}}
    assert (told["Job"], told["TaskRole"], told["NodeName"]) == ("ns/g", "worker", "n1")
    assert told["Pod"]["metadata"]["name"] == "p"


def test_amounts_of_memory_are_bytes():
    assert resource((("cpu", 5), ("memory", 7))) == {"MilliCPU": 5, "Memory": 7, "ScalarResources": {}}
