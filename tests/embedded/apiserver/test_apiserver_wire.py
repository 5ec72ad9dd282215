"""Is the wire itself right: tokens, media types, discovery, tables, OpenAPI, Status bodies?"""

import asyncio
from typing import Any

import pytest

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIALS = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"


async def accept(api: Any, path: str, media: str, **params: str) -> Any:
    return await api.call("GET", path, headers={"Accept": media}, params=params)


async def test_only_known_tokens_enter(api: Any) -> None:
    wrong = await api.call("GET", "/api/v1/namespaces", headers={"Authorization": "Bearer wrong"})
    assert (wrong.status, wrong.reason, wrong.json["kind"]) == (401, "Unauthorized", "Status")


async def test_health_and_version(api: Any) -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        assert (await api.get(path)).body == b"ok"
    version = (await api.get("/version")).json
    assert (version["major"], version["gitVersion"][:1]) == ("1", "v")


async def test_unknown_paths_are_not_found(api: Any) -> None:
    for path in (
        "/api/v1/unicorns",
        "/apis/unheard.of/v1/things",
        "/apis/apps/v1/nope",
        "/api/v1/namespaces/default/pods/x/y",
    ):
        assert (await api.get(path)).status == 404, path


async def test_wrong_methods_are_not_allowed(api: Any, config_maps: str) -> None:
    assert (await api.call("PUT", config_maps, {})).status == 405
    assert (await api.call("POST", f"{config_maps}/x", {})).status == 405


async def test_yaml_goes_in(api: Any, config_maps: str) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: 'yes'\n"
    made = await api.call("POST", config_maps, text, content="application/yaml")
    assert made.json["data"] == {"k": "yes"}


async def test_plain_discovery(api: Any) -> None:
    core = {each["name"]: each for each in (await api.get("/api/v1")).json["resources"]}
    assert core["pods"]["shortNames"] == ["po"]
    assert core["pods"]["categories"] == ["all"]
    assert core["pods/binding"]["kind"] == "Binding"
    assert core["pods/eviction"]["group"] == "policy"
    assert not core["nodes"]["namespaced"]
    groups = {each["name"]: each for each in (await api.get("/apis")).json["groups"]}
    assert groups["batch"]["preferredVersion"]["groupVersion"] == "batch/v1"
    assert {"apps", "scheduling.k8s.io", "coordination.k8s.io", "policy", "apiextensions.k8s.io"} <= set(groups)


async def test_aggregated_discovery(api: Any) -> None:
    answer = await accept(api, "/apis", AGGREGATED)
    assert "as=APIGroupDiscoveryList" in answer.headers["Content-Type"]
    [apps] = [each for each in answer.json["items"] if each["metadata"]["name"] == "apps"]
    [deployments] = [each for each in apps["versions"][0]["resources"] if each["resource"] == "deployments"]
    assert deployments["scope"] == "Namespaced"
    assert {each["subresource"] for each in deployments["subresources"]} == {"status", "scale"}
    core = (await accept(api, "/api", AGGREGATED)).json
    assert core["items"][0]["versions"][0]["version"] == "v1"


async def test_table_of_pods(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a"))
    table = (await accept(api, pods, TABLE)).json
    assert table["kind"] == "Table"
    names = [each["name"] for each in table["columnDefinitions"]]
    assert names[:5] == ["Name", "Ready", "Status", "Restarts", "Age"]
    row = table["rows"][0]
    assert row["cells"][:3] == ["a", "0/1", "Pending"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    whole = (await accept(api, f"{pods}/a", TABLE, includeObject="Object")).json
    assert whole["rows"][0]["object"]["kind"] == "Pod"
    none = (await accept(api, pods, TABLE, includeObject="None")).json
    assert none["rows"][0]["object"] is None


async def test_tables_can_be_watched(api: Any, config_maps: str) -> None:
    version = (await api.get(config_maps)).json["metadata"]["resourceVersion"]
    api.session.headers["Accept"] = TABLE
    async with api.watch(config_maps, resourceVersion=version) as events:
        del api.session.headers["Accept"]
        await api.post(config_maps, {"metadata": {"name": "a"}, "data": {"k": "v"}})
        event = await events.next()
    assert event["type"] == "ADDED"
    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["cells"][0] == "a"


async def test_bare_metadata(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}})
    one = (await accept(api, f"{config_maps}/a", PARTIAL)).json
    assert (one["kind"], one["metadata"]["labels"], "data" in one) == ("PartialObjectMetadata", {"x": "y"}, False)
    many = (await accept(api, config_maps, PARTIALS, labelSelector="x")).json
    assert (many["kind"], len(many["items"])) == ("PartialObjectMetadataList", 1)


async def test_openapi_describes_built_in_and_custom_kinds(api: Any, widgets: Any) -> None:
    index = (await api.get("/openapi/v3")).json["paths"]
    core = (await api.get(index["api/v1"]["serverRelativeURL"])).json
    pod = core["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]
    assert pod["containers"]["x-kubernetes-patch-merge-key"] == "name"
    patch = core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert "fieldValidation" in {each["name"] for each in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    for _ in range(100):
        # A real API server publishes a new kind after a while.
        answer = await api.get(f"/openapi/v3/apis/{widgets.group}/v1")
        if answer.status == 200:
            break
        await asyncio.sleep(0.1)
    custom = answer.json
    [schema] = [
        each
        for each in custom["components"]["schemas"].values()
        if {"group": widgets.group, "version": "v1", "kind": widgets.kind}
        in each.get("x-kubernetes-group-version-kind", [])
    ]
    assert schema["properties"]["spec"]["properties"]["size"]["maximum"] == 10


async def test_everyone_may_do_everything(api: Any) -> None:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
    }
    answer = await api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    assert (answer.status, answer.json["status"]["allowed"]) == (201, True)


async def test_events_are_one_kind_in_two_groups(api: Any, ns: str) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": ns}
    body = {
        "metadata": {"name": "e"},
        "regarding": about,
        "reason": "Because",
        "note": "said",
        "type": "Normal",
        "action": "Act",
        "reportingController": "x.test/c",
        "reportingInstance": "i",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    }
    made = await api.post(f"/apis/events.k8s.io/v1/namespaces/{ns}/events", body)
    assert made.status == 201, made.body
    core = (await api.get(f"/api/v1/namespaces/{ns}/events/e")).json
    assert (core["message"], core["involvedObject"]["name"], core["reportingComponent"]) == ("said", "p", "x.test/c")
    back = (await api.get(f"/apis/events.k8s.io/v1/namespaces/{ns}/events/e")).json
    assert (back["note"], back["apiVersion"]) == ("said", "events.k8s.io/v1")


async def test_secret_text_is_encoded_and_service_gets_an_address(api: Any, ns: str) -> None:
    secret = (
        await api.post(f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    ).json
    assert (secret["data"], secret["type"], "stringData" in secret) == ({"k": "dg=="}, "Opaque", False)
    services = f"/api/v1/namespaces/{ns}/services"
    service = (await api.post(services, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})).json
    assert service["spec"]["clusterIP"].startswith("10.")
    assert service["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    headless = (await api.post(services, {"metadata": {"name": "h"}, "spec": {"clusterIP": "None"}})).json
    assert headless["spec"]["clusterIP"] == "None"


@pytest.mark.embedded_only(reason="a real kube-apiserver speaks protobuf")
async def test_protobuf_is_declined(connect: Any, server: Any) -> None:
    api = connect(server)
    assert (await accept(api, "/api/v1/pods", PROTOBUF)).status == 406
    assert (await accept(api, "/api/v1/pods", f"{PROTOBUF},application/json")).status == 200
    refused = await api.call("POST", "/api/v1/namespaces", b"k8s\0", content=PROTOBUF)
    assert (refused.status, refused.reason) == (415, "UnsupportedMediaType")
    assert "kubectl create -f -" in refused.json["message"]


async def test_tls_is_verified_by_the_servers_own_authority() -> None:
    import ssl

    import aiohttp

    from flowbatch.embedded.apiserver import ApiServer

    async with ApiServer() as server:
        context = ssl.create_default_context(cadata=server.ca_pem)
        headers = {"Authorization": f"Bearer {server.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            for host in ("127.0.0.1", "localhost"):
                url = server.url.replace("127.0.0.1", host)
                async with session.get(f"{url}/api/v1/namespaces", ssl=context) as reply:
                    assert reply.status == 200
