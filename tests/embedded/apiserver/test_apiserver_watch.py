"""Does a watch say what a real API server says, from the version it starts at to its end?"""

import asyncio
from typing import Any

import pytest

from flowbatch.embedded.apiserver import ApiServer


async def test_watch_sends_strictly_newer_events(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json
    await api.post(config_maps, {"metadata": {"name": "b"}})
    async with api.watch(config_maps, resourceVersion=made["metadata"]["resourceVersion"]) as events:
        assert await events.kinds(1) == [("ADDED", "b")]
        await api.merge(f"{config_maps}/a", {"data": {"k": "v"}})
        await api.delete(f"{config_maps}/b")
        assert await events.kinds(2) == [("MODIFIED", "a"), ("DELETED", "b")]


@pytest.mark.parametrize("version", ["", "0"])
async def test_watch_from_no_version_begins_with_what_is_there(api: Any, config_maps: str, version: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a", "labels": {"l": "x"}}})
    async with api.watch(config_maps, labelSelector="l", resourceVersion=version) as events:
        assert await events.kinds(1) == [("ADDED", "a")]
        await api.post(config_maps, {"metadata": {"name": "b", "labels": {"l": "x"}}})
        assert await events.kinds(1) == [("ADDED", "b")]


async def test_deleted_carries_the_version_of_the_deletion(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json["metadata"]
    async with api.watch(config_maps, resourceVersion=made["resourceVersion"]) as events:
        await api.delete(f"{config_maps}/a")
        gone = await events.next()
        assert gone["type"] == "DELETED"
        assert int(gone["object"]["metadata"]["resourceVersion"]) > int(made["resourceVersion"])


async def test_object_enters_and_leaves_a_selection(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a", "labels": {"in": "no"}}})).json["metadata"]
    async with api.watch(config_maps, labelSelector="in=yes", resourceVersion=made["resourceVersion"]) as events:
        await api.merge(f"{config_maps}/a", {"metadata": {"labels": {"in": "yes"}}})
        assert await events.kinds(1) == [("ADDED", "a")]
        out = (await api.merge(f"{config_maps}/a", {"metadata": {"labels": {"in": "no"}}})).json["metadata"]
        left = await events.next()
        assert left["type"] == "DELETED"
        assert left["object"]["metadata"]["labels"] == {"in": "yes"}
        assert left["object"]["metadata"]["resourceVersion"] == out["resourceVersion"]
        await api.merge(f"{config_maps}/a", {"data": {"x": "y"}})
        assert await events.quiet()


async def test_replay_applies_selectors_too(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a", "labels": {"in": "yes"}}})).json["metadata"]
    await api.merge(f"{config_maps}/a", {"metadata": {"labels": {"in": "no"}}})
    async with api.watch(config_maps, labelSelector="in=yes", resourceVersion=made["resourceVersion"]) as events:
        assert await events.kinds(1) == [("DELETED", "a")]


async def test_node_watch_sees_a_pod_when_it_is_bound(api: Any, pods: str, make_pod: Any) -> None:
    made = (await api.post(pods, make_pod("a"))).json["metadata"]
    await api.post(pods, make_pod("b", nodeName="n-2"))
    async with api.watch(pods, fieldSelector="spec.nodeName=n-1", resourceVersion=made["resourceVersion"]) as events:
        binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n-1"}}
        assert (await api.post(f"{pods}/a/binding", binding)).status == 201
        assert await events.kinds(1) == [("ADDED", "a")]
        await api.delete(f"{pods}/b", gracePeriodSeconds="0")
        assert await events.quiet()


async def test_unbound_watch_loses_a_pod_when_it_is_bound(api: Any, pods: str, make_pod: Any) -> None:
    made = (await api.post(pods, make_pod("a"))).json["metadata"]
    async with api.watch(pods, fieldSelector="spec.nodeName=", resourceVersion=made["resourceVersion"]) as events:
        await api.post(f"{pods}/a/binding", {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n-1"}})
        assert await events.kinds(1) == [("DELETED", "a")]


async def test_watch_list_ends_with_its_bookmark(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a", "labels": {"l": "x"}}})
    params = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with api.watch(config_maps, labelSelector="l", **params) as events:
        assert await events.kinds(1) == [("ADDED", "a")]
        end = await events.next()
        assert end["type"] == "BOOKMARK"
        assert end["object"]["kind"] == "ConfigMap"
        assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(end["object"]["metadata"]["resourceVersion"]) > 0
        await api.delete(f"{config_maps}/a")
        assert await events.kinds(1) == [("DELETED", "a")]


async def test_initial_events_need_the_version_match(api: Any, config_maps: str) -> None:
    answer = await api.get(config_maps, watch="1", sendInitialEvents="true")
    assert answer.status == 422
    answer = await api.get(config_maps, watch="1", resourceVersionMatch="NotOlderThan", resourceVersion="1")
    assert answer.status == 422


async def test_watch_ends_in_time(api: Any, config_maps: str) -> None:
    version = (await api.get(config_maps)).json["metadata"]["resourceVersion"]
    async with api.watch(config_maps, resourceVersion=version, timeoutSeconds="1") as events:
        assert await events.next() is None


async def test_single_object_watch(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json["metadata"]
    field = "metadata.name=a"
    async with api.watch(config_maps, fieldSelector=field, resourceVersion=made["resourceVersion"]) as events:
        await api.post(config_maps, {"metadata": {"name": "b"}})
        await api.merge(f"{config_maps}/a", {"data": {"k": "v"}})
        assert await events.kinds(1) == [("MODIFIED", "a")]


async def test_watch_across_namespaces(api: Any, ns: str, config_maps: str) -> None:
    version = (await api.get("/api/v1/configmaps")).json["metadata"]["resourceVersion"]
    async with api.watch("/api/v1/configmaps", resourceVersion=version, labelSelector="mine") as events:
        await api.post(config_maps, {"metadata": {"name": "a", "labels": {"mine": "1"}}})
        event = await events.next()
        assert event["object"]["metadata"]["namespace"] == ns


# ── what needs a hand inside the server ──


async def test_passed_window_is_an_in_stream_410(connect: Any) -> None:
    async with ApiServer(tls=False, window=3) as server:
        first = server.create("v1", "ConfigMap", {"metadata": {"name": "first"}}, "default")
        for index in range(5):
            server.create("v1", "ConfigMap", {"metadata": {"name": f"n{index}"}}, "default")
        api = connect(server)
        async with api.watch("/api/v1/configmaps", resourceVersion=first["metadata"]["resourceVersion"]) as events:
            error = await events.next()
            assert events.status == 200
            assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
            assert await events.next() is None


async def test_bookmarks_come_only_when_asked_for(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowbatch.embedded.apiserver.streaming.BOOKMARK_EVERY_S", 0.05)
    async with ApiServer(tls=False) as server:
        api = connect(server)
        version = str(server.store.version)
        async with api.watch("/api/v1/configmaps", resourceVersion=version, allowWatchBookmarks="true") as events:
            bookmark = await events.next()
            assert bookmark["type"] == "BOOKMARK"
            assert bookmark["object"]["metadata"]["resourceVersion"] == version
        async with api.watch("/api/v1/configmaps", resourceVersion=version) as events:
            assert await events.quiet()


async def test_slow_reader_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowbatch.embedded.apiserver.watch.BACKLOG_BYTES", 50_000)
    async with ApiServer(tls=False) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        request = f"GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n"
        writer.write(request.encode())
        await reader.readuntil(b"\r\n\r\n")
        for index in range(200):
            server.create(
                "v1", "ConfigMap", {"metadata": {"name": f"n{index}"}, "data": {"k": "x" * 100_000}}, "default"
            )
            if index % 10 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert not any(server.rest.watches.values())
        writer.close()


async def test_watch_of_a_vanished_client_is_forgotten(connect: Any) -> None:
    async with ApiServer(tls=False) as server:
        api = connect(server)
        async with api.watch("/api/v1/configmaps", resourceVersion=str(server.store.version)):
            assert any(server.rest.watches.values())
        await api.close()
        for _ in range(50):
            await asyncio.sleep(0.02)
            if not any(server.rest.watches.values()):
                break
        assert not any(server.rest.watches.values())


async def test_stopping_the_server_ends_watches(connect: Any) -> None:
    server = ApiServer(tls=False)
    await server.start()
    api = connect(server)
    async with api.watch("/api/v1/configmaps", resourceVersion=str(server.store.version)) as events:
        await asyncio.sleep(0.05)
        await server.stop()
        assert await events.next() is None
