"""Do lists select, page and version as on a real API server?"""

from typing import Any

import pytest


@pytest.fixture
async def five(api: Any, config_maps: str) -> str:
    for name in "abcde":
        labels = {"name": name, "half": "first" if name < "c" else "second"}
        await api.post(config_maps, {"metadata": {"name": name, "labels": labels}})
    return config_maps


def names(answer: Any) -> list[str]:
    return [each["metadata"]["name"] for each in answer.json["items"]]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("half=first", "ab"),
        ("half==first", "ab"),
        ("half!=first,name", "cde"),
        ("name in (a, c)", "ac"),
        ("name notin (a, c),name", "bde"),
        ("name,!missing", "abcde"),
        ("missing", ""),
        ("half=second,name!=d", "ce"),
    ],
)
async def test_label_selectors(api: Any, five: str, selector: str, expected: str) -> None:
    assert names(await api.get(five, labelSelector=selector)) == list(expected)


async def test_bad_selectors_are_bad_requests(api: Any, five: str) -> None:
    for selector in ("a in b", "a=b=c", ",", "a,,b", "=x"):
        assert (await api.get(five, labelSelector=selector)).status == 400, selector
    assert (await api.get(five, fieldSelector="spec.nope=x")).status == 400
    assert (await api.get(five, fieldSelector="metadata.name")).status == 400


async def test_field_selectors_by_name(api: Any, five: str) -> None:
    assert names(await api.get(five, fieldSelector="metadata.name=c")) == ["c"]
    assert names(await api.get(five, fieldSelector="metadata.name!=c", labelSelector="name")) == list("abde")


async def test_pods_are_selected_by_node_scheduler_and_phase(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("one", schedulerName="mine"))
    await api.post(pods, make_pod("two", nodeName="n-1"))
    assert names(await api.get(pods, fieldSelector="spec.nodeName=n-1")) == ["two"]
    assert names(await api.get(pods, fieldSelector="spec.nodeName=")) == ["one"]
    assert names(await api.get(pods, fieldSelector="spec.schedulerName=mine")) == ["one"]
    assert names(await api.get(pods, fieldSelector="status.phase!=Succeeded,status.phase!=Failed")) == ["one", "two"]
    assert names(await api.get(pods, fieldSelector="status.phase=Running")) == []


async def test_events_are_selected_by_what_they_are_about(api: Any, ns: str) -> None:
    path = f"/api/v1/namespaces/{ns}/events"
    for name, kind in (("e1", "Pod"), ("e2", "Node")):
        about = {"kind": kind, "name": name, "namespace": ns}
        body = {"metadata": {"name": name}, "involvedObject": about, "reason": "Because", "type": "Normal"}
        assert (await api.post(path, body)).status == 201
    assert names(await api.get(path, fieldSelector="involvedObject.kind=Pod,type=Normal,reason=Because")) == ["e1"]


async def test_pages_show_one_moment(api: Any, five: str) -> None:
    first = await api.get(five, limit="2", labelSelector="name")
    assert names(first) == ["a", "b"]
    await api.post(five, {"metadata": {"name": "cc", "labels": {"name": "cc"}}})
    await api.delete(f"{five}/d")
    await api.merge(f"{five}/e", {"data": {"new": "1"}})
    token = first.json["metadata"]["continue"]
    rest = await api.get(five, limit="10", labelSelector="name", **{"continue": token})
    assert names(rest) == ["c", "d", "e"]
    assert "data" not in rest.json["items"][-1]
    assert rest.json["metadata"]["resourceVersion"] == first.json["metadata"]["resourceVersion"]
    assert not rest.json["metadata"].get("continue")


async def test_page_says_how_many_remain(api: Any, ns: str, five: str) -> None:
    total = len((await api.get(five)).json["items"])
    assert (await api.get(five, limit="2")).json["metadata"]["remainingItemCount"] == total - 2


async def test_list_version_is_the_stores_not_the_newest_items(api: Any, five: str, ns: str) -> None:
    secret = (await api.post(f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "s"}})).json
    listed = (await api.get(five)).json["metadata"]["resourceVersion"]
    assert int(listed) >= int(secret["metadata"]["resourceVersion"])


async def test_exact_version_shows_the_past(api: Any, five: str) -> None:
    version = (await api.get(five)).json["metadata"]["resourceVersion"]
    await api.delete(f"{five}/a")
    then = await api.get(five, labelSelector="name", resourceVersion=version, resourceVersionMatch="Exact")
    assert names(then) == list("abcde")
    assert then.json["metadata"]["resourceVersion"] == version
    now = await api.get(five, labelSelector="name", resourceVersion=version, resourceVersionMatch="NotOlderThan")
    assert names(now) == list("bcde")


async def test_version_match_needs_a_version(api: Any, five: str) -> None:
    for params in (
        {"resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
        {"resourceVersionMatch": "Nearly", "resourceVersion": "1"},
    ):
        assert (await api.get(five, **params)).status == 422, params


async def test_version_from_the_future_is_a_timeout(api: Any, five: str) -> None:
    answer = await api.get(five, resourceVersion="999999999")
    assert (answer.status, answer.reason) == (504, "Timeout")
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_lists_across_namespaces_name_them(api: Any, five: str, ns: str) -> None:
    found = (await api.get("/api/v1/configmaps", labelSelector="half=first")).json["items"]
    mine = [each for each in found if each["metadata"]["namespace"] == ns]
    assert [each["metadata"]["name"] for each in mine] == ["a", "b"]


async def test_broken_continue_token_is_bad_request(api: Any, five: str) -> None:
    assert (await api.get(five, **{"continue": "nonsense"})).status == 400


async def test_expired_continue_token_is_gone() -> None:
    from aiohttp import ClientSession

    from flowbatch.embedded.apiserver import ApiServer

    async with (
        ApiServer(tls=False, window=3) as server,
        ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session,
    ):
        for name in "abcdef":
            server.create("v1", "ConfigMap", {"metadata": {"name": name}}, "default")
        url = f"{server.url}/api/v1/namespaces/default/configmaps"
        first = await (await session.get(url, params={"limit": 2})).json()
        for name in "ghijkl":
            server.create("v1", "ConfigMap", {"metadata": {"name": name}}, "default")
        late = await session.get(url, params={"limit": 2, "continue": first["metadata"]["continue"]})
        assert (late.status, (await late.json())["reason"]) == (410, "Expired")
