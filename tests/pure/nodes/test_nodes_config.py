"""Are environment, volumes, scripts and log selections read from their specifications exactly?"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowbatch.api.core import ConfigMap, Secret
from flowbatch.embedded.nodes import logs
from flowbatch.embedded.nodes.environment import ConfigError, Surroundings, container_env, expand, resource_value
from flowbatch.embedded.nodes.inside import logfile, wire
from flowbatch.embedded.nodes.runnable import RunnablePod
from flowbatch.embedded.nodes.script import Script, script_of
from flowbatch.embedded.nodes.volumes import File, pod_volumes, references

AROUND = Surroundings(
    {"cm": ConfigMap(data={"a": "1", "bad name": "2"})},
    {"s": Secret(data={"k": "aHVzaA=="})},
    "10.0.0.1",
    "h",
    {"cpu": "8"},
)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "x"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("a$(A)$(A)b", "axxb"),
        ("$A ${A} $(", "$A ${A} $("),
        ("$$", "$"),
    ],
)
def test_references_expand_as_in_kubernetes(text: str, expanded: str):
    assert expand(text, {"A": "x"}) == expanded


def test_env_overrides_env_from_and_invalid_names_are_skipped():
    container = {"envFrom": [{"configMapRef": {"name": "cm"}}], "env": [{"name": "a", "value": "own"}]}
    assert container_env(RunnablePod(), container, AROUND, {"PATH": "/bin"}) == {"PATH": "/bin", "a": "own"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"configMapKeyRef": {"name": "cm", "key": "no"}}, "couldn't find key no"),
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        ({"fieldRef": {"fieldPath": "spec.nothing"}}, "unsupported fieldPath"),
    ],
)
def test_what_is_missing_is_named(source: dict, problem: str):
    with pytest.raises(ConfigError, match=problem):
        container_env(RunnablePod(), {"env": [{"name": "X", "valueFrom": source}]}, AROUND, {})


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "1m", "1500"),
        ("limits.cpu", "1", "2"),
        ("requests.memory", "1Mi", "64"),
        ("limits.memory", "1", "0"),
    ],
)
def test_resources_come_in_units_of_the_divisor_rounded_up(resource: str, divisor: str, value: str):
    container = {"resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "64Mi"}}}
    assert resource_value(RunnablePod(), container, {"resource": resource, "divisor": divisor}, AROUND) == value


def volumes_of(*volumes: dict) -> RunnablePod:
    return RunnablePod(spec={"volumes": [{"name": "v", **volume} for volume in volumes]})


def test_modes_and_items_are_kept():
    item = {"key": "k", "path": "deep/er", "mode": 0o400}
    [volume] = pod_volumes(volumes_of({"secret": {"secretName": "s", "items": [item]}}), AROUND)
    assert volume.files == (File("deep/er", b"hush", 0o400),)
    [volume] = pod_volumes(volumes_of({"secret": {"secretName": "s", "defaultMode": 0o600}}), AROUND)
    assert volume.files == (File("k", b"hush", 0o600),)


@pytest.mark.parametrize(
    "volume",
    [
        {"configMap": {"name": "missing"}},
        {"persistentVolumeClaim": {"claimName": "c"}},
        {"nfs": {"server": "s"}},
        {"hostPath": {"path": "/x", "type": "DirectoryOrCreate"}},
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "../up"}]}},
        {"secret": {"secretName": "s", "items": [{"key": "k", "path": "/abs"}]}},
    ],
)
def test_what_cannot_be_is_refused(volume: dict):
    with pytest.raises(ConfigError):
        pod_volumes(volumes_of(volume), AROUND)


def test_optional_references_need_not_exist():
    pod = volumes_of(
        {"configMap": {"name": "x", "optional": True}}, {"projected": {"sources": [{"secret": {"name": "y"}}]}}
    )
    assert references(pod).config_maps == {"x": False}
    assert references(pod).secrets == {"y": True}


def test_scripts_are_read_from_annotations():
    prefix = "flowbatch.dev/sim-"
    assert script_of({}) == Script()
    assert script_of({f"{prefix}run-seconds": "2.5", f"{prefix}exit-code": "3"}) == Script(run_s=2.5, exit_code=3)
    assert script_of({f"{prefix}run-seconds": "soon", f"{prefix}start-seconds": "-1"}) == Script()
    flaky = script_of({f"{prefix}fail-times": "2"})
    assert [flaky.exit_code_of(attempt) for attempt in (1, 2, 3)] == [1, 1, 0]


def records(path: Path, *chunks: bytes) -> None:
    log = logfile.LogFile(str(path))
    for chunk in chunks:
        log.feed(chunk)
    log.close()


async def read(path: Path, **wish: object) -> bytes:
    return b"".join([piece async for piece in logs.read(path, logs.Wish(**wish), lambda: True)])


def test_logs_come_back_as_they_were_written(tmp_path: Path):
    path = tmp_path / "log"
    records(path, b"one\ntw", b"o\n\nthree", b"")
    assert asyncio.run(read(path)) == b"one\ntwo\n\nthree"
    assert asyncio.run(read(path, tail_lines=2)) == b"\nthree"
    assert asyncio.run(read(path, tail_lines=0)) == b""
    assert asyncio.run(read(path, limit_bytes=5)) == b"one\nt"
    assert asyncio.run(read(path, since=datetime(2100, 1, 1, tzinfo=UTC))) == b""
    assert asyncio.run(read(path, timestamps=True)).split(b"\n")[0].endswith(b"Z one")


def test_a_log_is_bounded_and_followed_over_its_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logfile, "ROTATE_BYTES", 1000)
    path = tmp_path / "log"
    log = logfile.LogFile(str(path))
    seen: list[bytes] = []

    async def story() -> None:
        done = False

        async def follow() -> None:
            seen.extend([piece async for piece in logs.read(path, logs.Wish(follow=True), lambda: done)])

        reading = asyncio.create_task(follow())
        for number in range(60):
            log.feed(b"line %d\n" % number)
            await asyncio.sleep(0.03 if number % 10 == 0 else 0)
        done = True
        await reading

    asyncio.run(story())
    assert b"".join(seen).split() == b" ".join(b"line %d" % number for number in range(60)).split()
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 2000


def test_a_long_line_is_cut_into_pieces_and_read_whole(tmp_path: Path):
    line = b"x" * 50_000
    records(tmp_path / "log", line[:20_000], line[20_000:] + b"\nend\n")
    assert asyncio.run(read(tmp_path / "log")) == line + b"\nend\n"


@pytest.mark.parametrize("kind", ["packets", "stream"])
def test_messages_keep_their_bounds_on_either_kind_of_socket(kind: str, monkeypatch: pytest.MonkeyPatch):
    import socket

    if kind == "stream":
        monkeypatch.setattr(wire, "KIND", socket.SOCK_STREAM)
    here, there = wire.pair()
    with here, there:
        for number in range(3):
            wire.send(here, {"number": number, "text": "x" * 5000}, (0,) if number == 1 else ())
        for number in range(3):
            message, files = wire.receive(there)
            assert message is not None
            assert message["number"] == number
            assert len(files) == (number == 1)
        here.close()
        assert wire.receive(there) == (None, [])
