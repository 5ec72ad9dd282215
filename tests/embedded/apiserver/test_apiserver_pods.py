"""Are pods defaulted, bound, fixed, evicted and ended as on a real API server?"""

from typing import Any

import pytest


async def bind(api: Any, pods: str, name: str, node: str = "n-1", **metadata: Any) -> Any:
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, **metadata}}
    return await api.post(f"{pods}/{name}/binding", {**binding, "target": {"kind": "Node", "name": node}})


async def test_new_pod_is_defaulted(api: Any, pods: str, make_pod: Any) -> None:
    body = make_pod("a", volumes=[{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}])
    body["spec"]["containers"][0] |= {"ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}}
    body["status"] = {"phase": "Running"}
    pod = (await api.post(pods, body)).json
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert pod["status"]["phase"] == "Pending"
    assert pod["status"]["qosClass"] == "Burstable"
    assert pod["metadata"]["generation"] == 1
    assert (spec["restartPolicy"], spec["schedulerName"], spec["dnsPolicy"]) == (
        "Always",
        "default-scheduler",
        "ClusterFirst",
    )
    assert (spec["terminationGracePeriodSeconds"], spec["securityContext"], spec["enableServiceLinks"]) == (
        30,
        {},
        True,
    )
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
    assert spec["volumes"] == [
        {"name": "v", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
    ]
    assert {each["key"] for each in spec["tolerations"]} == {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("0.5", "500m"),
        (1, "1"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("1e3", "1e3"),
        ("0.1", "100m"),
        ("1000", "1k"),
        ("512", "512"),
        ("1.5Gi", "1536Mi"),
        ("500Ki", "500Ki"),
        ("12e6", "12e6"),
        ("0.5Ki", "512"),
    ],
)
async def test_quantities_are_canonical(api: Any, pods: str, make_pod: Any, written: object, shown: str) -> None:
    body = make_pod("a")
    body["spec"]["containers"][0]["resources"] = {"requests": {"memory": written}}
    answer = await api.post(pods, body)
    assert answer.json["spec"]["containers"][0]["resources"]["requests"]["memory"] == shown


async def test_bad_quantities_are_refused(api: Any, pods: str, make_pod: Any) -> None:
    body = make_pod("a")
    for wrong in ("1 Gi", "1GB", "", "x", "1ki"):
        body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": wrong}}
        assert (await api.post(pods, body)).status == 400, wrong
    body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "-1"}}
    assert (await api.post(pods, body)).fields == {"spec.containers[0].resources.requests[cpu]"}
    body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
    assert (await api.post(pods, body)).fields == {"spec.containers[0].resources.requests"}


async def test_every_problem_of_a_pod_is_named(api: Any, pods: str, make_pod: Any) -> None:
    body = make_pod("a", restartPolicy="Sometimes")
    body["spec"]["containers"] = [
        {
            "name": "c",
            "image": "i",
            "ports": [{"containerPort": 70000}],
            "volumeMounts": [{"name": "none", "mountPath": "/x"}],
        },
        {"name": "c", "image": "i"},
        {"name": "Bad", "image": ""},
    ]
    answer = await api.post(pods, body)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.fields >= {
        "spec.restartPolicy",
        "spec.containers[0].ports[0].containerPort",
        "spec.containers[0].volumeMounts[0].name",
        "spec.containers[1].name",
        "spec.containers[2].name",
        "spec.containers[2].image",
    }
    empty = await api.post(pods, {"metadata": {"name": "a"}, "spec": {}})
    assert "spec.containers" in empty.fields


async def test_binding_places_a_pod_once(api: Any, pods: str, make_pod: Any) -> None:
    made = (await api.post(pods, make_pod("a"))).json
    answer = await bind(api, pods, "a", annotations={"x": "y"}, labels={"l": "m"})
    assert (answer.status, answer.json["status"]) == (201, "Success")
    pod = (await api.get(f"{pods}/a")).json
    assert pod["spec"]["nodeName"] == "n-1"
    assert pod["metadata"]["annotations"]["x"] == "y"
    assert pod["metadata"]["labels"]["l"] == "m"
    assert pod["metadata"]["generation"] == made["metadata"]["generation"]
    [condition] = [each for each in pod["status"]["conditions"] if each["type"] == "PodScheduled"]
    assert condition["status"] == "True"
    again = await bind(api, pods, "a", "n-2")
    assert (again.status, again.reason) == (409, "Conflict")
    assert 'already assigned to node "n-1"' in again.json["message"]


async def test_a_time_that_a_strategic_patch_does_not_give_stays(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a"))
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    for more in ({"message": "one", "lastTransitionTime": "2026-11-24T12:00:00Z"}, {"message": "two"}):
        await api.strategic(f"{pods}/a/status", {"status": {"conditions": [said | more]}})
    pod = (await api.get(f"{pods}/a")).json
    assert pod["status"]["conditions"] == [said | {"message": "two", "lastTransitionTime": "2026-11-24T12:00:00Z"}]


async def test_binding_checks_uid_and_version(api: Any, pods: str, make_pod: Any) -> None:
    made = (await api.post(pods, make_pod("a"))).json["metadata"]
    other = await bind(api, pods, "a", uid="00000000-0000-0000-0000-000000000000")
    assert (other.status, other.reason) == (409, "Conflict")
    assert (await bind(api, pods, "a", resourceVersion="1")).reason == "Conflict"
    assert (await bind(api, pods, "a", uid=made["uid"], resourceVersion=made["resourceVersion"])).status == 201


async def test_gated_and_dying_pods_cannot_be_bound(api: Any, pods: str, make_pod: Any) -> None:
    gated = (await api.post(pods, make_pod("gated", schedulingGates=[{"name": "flowbatch.test/wait"}]))).json
    assert gated["status"]["conditions"][0]["reason"] == "SchedulingGated"
    assert (await bind(api, pods, "gated")).status == 409
    held = make_pod("held")
    held["metadata"]["finalizers"] = ["flowbatch.test/hold"]
    await api.post(pods, held)
    await api.delete(f"{pods}/held")
    answer = await bind(api, pods, "held")
    assert answer.status == 409
    assert "being deleted" in answer.json["message"]
    await api.merge(f"{pods}/held", {"metadata": {"finalizers": None}})
    assert (await bind(api, pods, "missing")).status == 404


async def test_binding_needs_a_target(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a"))
    answer = await api.post(f"{pods}/a/binding", {"metadata": {"name": "a"}, "target": {}})
    assert answer.status in (422, 500)
    other = await api.post(f"{pods}/a/binding", {"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "n"}})
    assert other.status == 400


async def test_gates_only_fall_and_fall_opens_the_way(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a", schedulingGates=[{"name": "x/a"}, {"name": "x/b"}]))
    more = {"spec": {"schedulingGates": [{"name": "x/a"}, {"name": "x/b"}, {"name": "x/c"}]}}
    assert (await api.merge(f"{pods}/a", more)).status == 422
    narrowed = await api.merge(f"{pods}/a", {"spec": {"nodeSelector": {"zone": "a"}}})
    assert narrowed.json["spec"]["nodeSelector"] == {"zone": "a"}
    assert narrowed.json["metadata"]["generation"] == 2
    assert (await api.merge(f"{pods}/a", {"spec": {"nodeSelector": None}})).status == 422
    assert (await api.merge(f"{pods}/a", {"spec": {"schedulingGates": []}})).status == 200
    assert (await bind(api, pods, "a")).status == 201


async def test_spec_of_a_pod_is_fixed_but_for_a_few_fields(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a", activeDeadlineSeconds=100, tolerations=[{"key": "own", "operator": "Exists"}]))
    fixed: list[dict[str, Any]] = [
        {"nodeName": "n-9"},
        {"restartPolicy": "Never"},
        {"nodeSelector": {"a": "b"}},
        {"priority": 7},
        {"schedulerName": "x"},
        {"activeDeadlineSeconds": 200},
        {"tolerations": []},
        {"terminationGracePeriodSeconds": 3},
        {"containers": [{"name": "c", "image": "i", "command": ["x"]}]},
        {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]},
    ]
    for spec in fixed:
        answer = await api.merge(f"{pods}/a", {"spec": spec})
        assert answer.status == 422, spec
        assert all(field.startswith("spec") for field in answer.fields)
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "new:2"}]
    assert (await api.json_patch(f"{pods}/a", image)).json["spec"]["containers"][0]["image"] == "new:2"
    assert (await api.merge(f"{pods}/a", {"spec": {"activeDeadlineSeconds": 50}})).status == 200
    tolerations = (await api.get(f"{pods}/a")).json["spec"]["tolerations"]
    more = [*tolerations, {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert (await api.merge(f"{pods}/a", {"spec": {"tolerations": more}})).status == 200


async def test_status_is_written_through_its_own_door(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a"))
    ignored = (await api.merge(f"{pods}/a", {"status": {"phase": "Running"}})).json
    assert ignored["status"]["phase"] == "Pending"
    mixed = {"status": {"phase": "Running", "podIP": "10.0.0.1"}, "spec": {"activeDeadlineSeconds": 5}}
    written = (await api.merge(f"{pods}/a/status", mixed)).json
    assert written["status"]["phase"] == "Running"
    assert "activeDeadlineSeconds" not in written["spec"]
    assert written["metadata"]["generation"] == 1


async def test_conditions_merge_by_type_in_a_strategic_patch(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a"))
    for kind, status in (("Ready", "False"), ("Other", "True"), ("Ready", "True")):
        condition = {"type": kind, "status": status}
        answer = await api.strategic(f"{pods}/a/status", {"status": {"conditions": [condition]}})
    found = {each["type"]: each["status"] for each in answer.json["status"]["conditions"]}
    assert found == {"Ready": "True", "Other": "True"}


async def test_unbound_pod_goes_at_once_and_bound_one_in_grace(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("free"))
    assert (await api.delete(f"{pods}/free")).status == 200
    assert (await api.get(f"{pods}/free")).status == 404
    await api.post(pods, make_pod("bound", nodeName="n-1", terminationGracePeriodSeconds=7))
    dying = (await api.delete(f"{pods}/bound")).json["metadata"]
    assert dying["deletionGracePeriodSeconds"] == 7
    assert dying["deletionTimestamp"]
    assert dying["generation"] == 2
    longer = (await api.delete(f"{pods}/bound", gracePeriodSeconds="60")).json["metadata"]
    assert longer["deletionGracePeriodSeconds"] == 7
    shorter = (await api.delete(f"{pods}/bound", gracePeriodSeconds="3")).json["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 3
    assert (await api.delete(f"{pods}/bound", {"gracePeriodSeconds": 0})).status == 200
    assert (await api.get(f"{pods}/bound")).status == 404


async def test_dying_pod_can_still_be_written_to(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a", nodeName="n-1"))
    await api.delete(f"{pods}/a")
    status = {"status": {"phase": "Running", "message": "stopping"}}
    assert (await api.merge(f"{pods}/a/status", status)).json["status"]["message"] == "stopping"
    assert (await api.get(f"{pods}/a")).json["metadata"]["deletionGracePeriodSeconds"] == 30


async def test_grace_zero_waits_for_finalizers(api: Any, pods: str, make_pod: Any) -> None:
    body = make_pod("a", nodeName="n-1")
    body["metadata"]["finalizers"] = ["flowbatch.test/hold"]
    await api.post(pods, body)
    held = (await api.delete(f"{pods}/a", gracePeriodSeconds="0")).json["metadata"]
    assert held["deletionGracePeriodSeconds"] == 0
    await api.merge(f"{pods}/a", {"metadata": {"finalizers": None}})
    assert (await api.get(f"{pods}/a")).status == 404


async def test_finished_pod_goes_at_once(api: Any, pods: str, make_pod: Any) -> None:
    await api.post(pods, make_pod("a", nodeName="n-1"))
    await api.merge(f"{pods}/a/status", {"status": {"phase": "Succeeded"}})
    await api.delete(f"{pods}/a")
    assert (await api.get(f"{pods}/a")).status == 404


async def test_priority_comes_from_the_class(api: Any, pods: str, make_pod: Any) -> None:
    pod = (await api.post(pods, make_pod("sys", priorityClassName="system-node-critical"))).json
    assert pod["spec"]["priority"] == 2_000_001_000
    unknown = await api.post(pods, make_pod("no", priorityClassName="unheard-of"))
    assert (unknown.status, unknown.reason) == (403, "Forbidden")
    contradicting = await api.post(pods, make_pod("no", priority=5))
    assert contradicting.status == 403


async def test_priority_class_values_cannot_change(api: Any, pods: str, make_pod: Any, ns: str) -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    made = await api.post(path, {"metadata": {"name": ns}, "value": 77, "preemptionPolicy": "Never"})
    assert made.status == 201
    pod = (await api.post(pods, make_pod("a", priorityClassName=ns))).json
    assert (pod["spec"]["priority"], pod["spec"]["preemptionPolicy"]) == (77, "Never")
    assert (await api.merge(f"{path}/{ns}", {"value": 78})).status == 422
    assert (await api.post(path, {"metadata": {"name": f"{ns}-big"}, "value": 2_000_000_000})).status == 422
    await api.delete(f"{path}/{ns}")


async def test_eviction_deletes_with_grace_and_asks_the_budget(api: Any, pods: str, make_pod: Any, ns: str) -> None:
    labels = {"app": "x"}
    for name in ("a", "b"):
        body = make_pod(name, nodeName="n-1")
        body["metadata"]["labels"] = labels
        await api.post(pods, body)
        await api.merge(f"{pods}/{name}/status", {"status": {"phase": "Running"}})
    wrong_uid = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    answer = await api.post(f"{pods}/a/eviction", {"metadata": {"name": "a"}, "deleteOptions": wrong_uid})
    assert answer.status == 409
    done = await api.post(
        f"{pods}/a/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}
    )
    assert (done.status, done.json["status"]) == (201, "Success")
    assert (await api.get(f"{pods}/a")).json["metadata"]["deletionTimestamp"]
    budgets = f"/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets"
    budget = {"metadata": {"name": "pdb"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}}
    await api.post(budgets, budget)
    refused = await api.post(f"{pods}/b/eviction", {"metadata": {"name": "b"}})
    assert (refused.status, refused.reason) == (429, "TooManyRequests")
    for name in ("a", "b"):
        await api.delete(f"{pods}/{name}", gracePeriodSeconds="0")


async def test_log_of_an_unbound_pod_is_empty_and_container_must_be_named(api: Any, pods: str, make_pod: Any) -> None:
    body = make_pod("two")
    body["spec"]["containers"].append({"name": "d", "image": "i:1"})
    await api.post(pods, body)
    ambiguous = await api.get(f"{pods}/two/log")
    assert ambiguous.status == 400
    assert "a container name must be specified" in ambiguous.json["message"]
    assert (await api.get(f"{pods}/two/log", container="x")).status == 400
    empty = await api.get(f"{pods}/two/log", container="d")
    assert (empty.status, empty.body) == (204, b"")
