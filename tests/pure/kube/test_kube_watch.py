"""Are watch lines framed whatever the chunks are, and is each decoded, refused or reported as it must be?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.api.kinds import CONFIG_MAP, POD
from flowbatch.kube.errors import Gone, ServerError, TransportError
from flowbatch.kube.watch import EventDecoder, LineFramer, Malformed, ends_initial_events


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.lists(st.integers(1, 9)))
def test_lines_do_not_depend_on_where_the_chunks_end(lines: list[bytes], sizes: list[int]):
    data = b"".join(line + b"\n" for line in lines)
    framer, got = LineFramer(), []
    while data:
        size = sizes.pop() if sizes else len(data)
        got += framer.feed(data[:size])
        data = data[size:]
    assert got == [line for line in lines if line]
    assert framer.rest() == b""


def test_a_line_without_an_end_is_bounded():
    framer = LineFramer(max_line_bytes=10)
    framer.feed(b"12345678")
    with pytest.raises(TransportError, match="longer than"):
        framer.feed(b"90123")


def test_a_part_line_is_not_lost_when_the_stream_ends():
    framer = LineFramer()
    assert framer.feed(b"a\nb") == [b"a"]
    assert framer.feed(b"c") == []
    assert framer.rest() == b"bc"


def line(kind: str, /, **thing: object) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode()


def test_an_event_becomes_the_kinds_struct():
    event = EventDecoder(POD).event(line("ADDED", metadata={"name": "p"}, spec={"nodeName": "n", "unknown": [1]}))
    assert (event.type, event.object.metadata.name, event.object.spec.node_name) == ("ADDED", "p", "n")


def test_a_bookmark_is_read_although_its_object_is_none():
    metadata = {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}
    event = EventDecoder(POD).event(line("BOOKMARK", metadata=metadata, spec={"containers": None}, status={}))
    assert event.object.metadata.resource_version == "7"
    assert ends_initial_events(event)


@pytest.mark.parametrize("kind", [POD, CONFIG_MAP])  # a Status decodes as a ConfigMap, so the type must decide
def test_an_error_inside_the_stream_is_raised(kind):
    with pytest.raises(Gone, match="too old"):
        EventDecoder(kind).event(line("ERROR", kind="Status", code=410, reason="Expired", message="too old"))


def test_an_error_without_a_code_is_the_servers_trouble():
    with pytest.raises(ServerError, match="RequestWatchProgress"):
        EventDecoder(POD).event(line("ERROR", message="RequestWatchProgress is disabled"))


def test_an_object_that_does_not_decode_is_named():
    with pytest.raises(Malformed, match="a/p"):
        EventDecoder(POD).event(line("ADDED", metadata={"namespace": "a", "name": "p"}, spec=[]))


@pytest.mark.parametrize("garbage", [b"<html>", b"{}", b'{"type":"WHAT","object":{}}', b'{"type":"ADDED"}', b"\xff"])
def test_garbage_is_a_broken_stream(garbage: bytes):
    with pytest.raises(TransportError):
        EventDecoder(POD).event(garbage)


def test_null_is_unset_at_any_depth():
    event = EventDecoder(POD).event(
        line("ADDED", metadata={"name": "p", "labels": None}, spec={"containers": [{"name": "c", "ports": None}]})
    )
    assert event.object.spec.containers[0].ports == ()
