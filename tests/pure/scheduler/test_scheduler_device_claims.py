"""Are claims to devices, their classes and pools read as Kubernetes means them, and allocations written as it reads?"""

import msgspec
import pytest

from flowbatch.api.core import Pod
from flowbatch.api.resource import Device, DeviceClass, ResourceClaim, ResourceSlice
from flowbatch.engine import events
from flowbatch.model.claimasks import Alike, ClaimAsk, ClaimContent, ClaimRequest, Given, Wish
from flowbatch.policy.deviceclaims import DevicesGiven
from flowbatch.scheduler import claimwrites
from flowbatch.scheduler.claimfeed import ClaimFeed
from flowbatch.scheduler.deviceclaims import Contents, Known, asked_by, claim_fact, slice_fact, with_claims
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.selectors import Selector, Selectors, device_value

DRIVER = "gpu.example"
MODEL = f'device.attributes["{DRIVER}"].model'


def claim(
    *requests: dict, name: str = "c", owner: str = "", allocation: dict | None = None, **devices
) -> ResourceClaim:
    meta = {"name": name, "namespace": "ns", "uid": f"u-{name}"}
    if owner:
        meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": owner, "controller": True}]
    body = {"metadata": meta, "spec": {"devices": {"requests": list(requests), **devices}}}
    status = {"allocation": allocation} if allocation is not None else {}
    return msgspec.convert({**body, "status": status}, ResourceClaim)


def request(name: str = "r", **exactly) -> dict:
    return {"name": name, "exactly": {"deviceClassName": "gpu", **exactly}}


def read(one: ResourceClaim) -> ClaimContent:
    return Contents(Selectors()).of(one.spec)


def select(expression: str) -> list[dict]:
    return [{"cel": {"expression": expression}}]


def test_a_request_is_one_device_unless_it_says_more():
    assert read(claim(request())).requests == (ClaimRequest("r", (Wish("gpu"),)),)
    assert read(claim(request(count=3))).requests[0].wishes[0].count == 3
    assert read(claim(request(allocationMode="All"))).requests[0].wishes[0].count == 0


def test_alternatives_are_in_order_and_constraints_name_requests():
    first = [{"name": name, "deviceClassName": name} for name in ("big", "small")]
    found = read(
        claim(
            {"name": "r", "firstAvailable": first},
            constraints=[{"matchAttribute": f"{DRIVER}/numa", "requests": ["r"]}],
        )
    )
    assert found.requests == (ClaimRequest("r", (Wish("big", name="big"), Wish("small", name="small"))),)
    assert found.alike == (Alike(f"{DRIVER}/numa", ("r",)),)
    assert found.counted == ()


def test_queues_count_what_is_known_beforehand():
    assert read(claim(request("a", count=2), request("b"), request("c", allocationMode="All"))).counted == (("gpu", 3),)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request(adminAccess=True), 'request "r": this scheduler gives no admin access'),
        (request(capacity={"requests": {"memory": "1Gi"}}), "gives whole devices"),
        (request(allocationMode="Some"), 'allocationMode "Some" is not known'),
        (request(selectors=select("device.driver ==")), "selector does not compile"),
        (request(selectors=select("1 + 1")), "selector is no condition but of type INT"),
        (request(selectors=[{"later": {}}]), "a selector without a CEL expression"),
        ({"name": "r"}, "asks for nothing that this scheduler knows"),
    ],
)
def test_what_cannot_be_given_is_refused_by_name(asked, said):
    assert said in read(claim(asked)).problem


def test_a_constraint_of_another_kind_is_refused():
    assert "matchAttribute" in read(claim(request(), constraints=[{"distinctAttribute": "a/b"}])).problem


def test_equal_claims_are_one_object():
    contents = Contents(Selectors())
    assert contents.of(claim(request(), name="a").spec) is contents.of(claim(request(), name="b").spec)


def test_an_allocation_is_read_with_its_nodes_and_users():
    results = [{"request": "r", "driver": DRIVER, "pool": "p", "device": "d"}]
    watching = {**results[0], "device": "w", "adminAccess": True}
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    allocation = {
        "devices": {"results": [*results, watching]},
        "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [field]}]},
    }
    fact = claim_fact(claim(request(), allocation=allocation), Contents(Selectors()))
    assert fact.given == (Given("r", DRIVER, "p", "d"),)
    assert fact.terms == ((events.LabelTest("metadata.name", "In", ("n1",), field=True),),)


def pool(*devices: dict, **spec) -> ResourceSlice:
    body = {"driver": DRIVER, "pool": {"name": "p", "generation": 2, "resourceSliceCount": 3}, **spec}
    return msgspec.convert({"metadata": {"name": "s"}, "spec": {**body, "devices": list(devices)}}, ResourceSlice)


def test_devices_have_full_names_for_attributes_and_what_they_pass():
    selectors = Selectors()
    selectors.mention(f'{MODEL} == "a"')
    selectors.mention(f'{MODEL} == "b"')
    device = {"name": "d", "attributes": {"model": {"string": "a"}, "x.io/n": {"int": 1}, "on": {"bool": True}}}
    fact = slice_fact(pool(device, nodeName="n1"), selectors)
    (found,) = fact.devices
    assert found.attributes == ((f"{DRIVER}/model", "s:a"), (f"{DRIVER}/on", "b:True"), ("x.io/n", "i:1"))
    assert found.passes == (f'{MODEL} == "a"',)
    assert (fact.key, fact.generation, fact.slices, fact.node) == ((DRIVER, "p"), 2, 3, "n1")


@pytest.mark.parametrize(
    "special",
    [
        {"consumesCounters": [{"counterSet": "c", "counters": {}}]},
        {"allowMultipleAllocations": True},
        {"bindsToNode": True},
        {"bindingConditions": ["ready"]},
    ],
)
def test_devices_that_are_not_given_whole_are_not_offered(special):
    assert slice_fact(pool({"name": "d", **special}, allNodes=True), Selectors()).devices == ()


VALUE = device_value(
    DRIVER,
    msgspec.convert(
        {
            "name": "d",
            "attributes": {"model": {"string": "A100"}, "driver": {"version": "1.10.0-rc.2"}, "x.io/n": {"int": 3}},
            "capacity": {"memory": {"value": "40Gi"}},
        },
        Device,
    ),
)


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        (f'device.driver == "{DRIVER}"', True),
        (f'{MODEL}.startsWith("A") && {MODEL}.lowerAscii() == "a100"', True),
        (f'device.attributes["{DRIVER}"].?power.orValue(7) == 7', True),
        ('device.attributes["x.io"].n in [1, 2]', False),
        # Domains that a device does not have are empty, unless it is asked whether they are there.
        ('has(device.attributes["y.io"].n)', False),
        ('"y.io" in device.attributes && device.attributes["y.io"].n == 1', False),
        (f'device.capacity["{DRIVER}"].memory.compareTo(quantity("40960Mi")) == 0', True),
        (f'device.capacity["{DRIVER}"].memory.isGreaterThan(quantity("41Gi"))', False),
        (f'device.attributes["{DRIVER}"].driver.compareTo(semver("1.9.9")) > 0', True),
        (f'device.attributes["{DRIVER}"].driver.isLessThan(semver("1.10.0-rc.10"))', True),
        (f'cel.bind(a, device.attributes["{DRIVER}"], a.model == "A100")', True),
        # What has no answer is no yes.
        (f'device.attributes["{DRIVER}"].nothing == 1', False),
        ('quantity("much") == quantity("more")', False),
    ],
)
def test_selectors_are_cel_as_kubernetes_has_it(expression, passes):
    selector = Selector(expression)
    assert selector.problem == ""
    assert selector.passes(VALUE) is passes


# -- pods


def pod(*entries: dict, made: dict[str, str] | None = None, node: str = "") -> Pod:
    statuses = [{"name": name, "resourceClaimName": claim} for name, claim in (made or {}).items()]
    body = {"metadata": {"name": "p", "namespace": "ns", "uid": "p"}, "spec": {"resourceClaims": list(entries)}}
    body["spec"] |= {"nodeName": node} if node else {}
    return msgspec.convert({**body, "status": {"resourceClaimStatuses": statuses}}, Pod)


OWN = {"name": "gpu", "resourceClaimTemplateName": "t"}
GIVEN = {"devices": {"results": [{"request": "r", "driver": DRIVER, "pool": "p", "device": "d"}]}}


def known(*claims: ResourceClaim, template: bool | None = None) -> Known:
    by_key = {each.metadata.key: each for each in claims}
    return Known(by_key.get, lambda _key: template)


def test_a_claim_of_its_own_is_asked_for_by_content_so_that_equal_pods_are_alike():
    contents, own = Contents(Selectors()), claim(request(count=2), owner="p")
    asked = asked_by(pod(OWN, made={"gpu": "c"}), known(own), contents)
    assert asked == ((ClaimAsk(contents.of(own.spec)),), ("ns/c",))
    fact = events.PodSeen("p", "ns", "p", events.ShapeSpec((("pods", 1),)))
    claiming = with_claims(fact, pod(OWN, made={"gpu": "c"}), known(own), contents)
    assert claiming.shape.requests == (("deviceclass/gpu", 2), ("pods", 1))


def test_one_that_has_devices_already_or_is_shared_is_asked_for_by_name():
    contents, own = Contents(Selectors()), claim(request(), owner="p", allocation=GIVEN)
    assert asked_by(pod(OWN, made={"gpu": "c"}), known(own), contents).asks == (ClaimAsk(claim="ns/c"),)
    # Once its pod has a node the devices are where that is.
    assert asked_by(pod(OWN, made={"gpu": "c"}, node="n"), known(own), contents).asks[0].claim == ""
    shared = {"name": "gpu", "resourceClaimName": "s"}
    assert asked_by(pod(shared, shared), known(), contents) == ((ClaimAsk(claim="ns/s", shared=True),), ("ns/s",))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (True, 'resource claim "gpu" is not made yet'),
        (None, 'resource claim "gpu" is not made yet'),
        (False, 'resource claim "gpu" is not made yet: resourceclaimtemplate "t" not found'),
    ],
)
def test_what_is_not_made_yet_is_missing_and_says_why(template, said):
    assert asked_by(pod(OWN), known(template=template), Contents(Selectors())) == ((ClaimAsk(missing=said),), ("",))


def test_a_claim_of_somebody_else_is_not_taken_for_its_own():
    (ask,) = asked_by(pod(OWN, made={"gpu": "c"}), known(claim(request())), Contents(Selectors())).asks
    assert ask.missing == 'resourceclaim "c" was not made for this pod'


def test_an_entry_that_needs_no_claim_asks_for_none():
    assert asked_by(pod(OWN, made={"gpu": ""}), known(), Contents(Selectors())) == ((), ())


def test_a_new_selector_has_all_slices_looked_at_again_and_an_old_one_none():
    mailbox, again = Mailbox(), []
    feed = ClaimFeed(mailbox, again.append)
    device = {"name": "d", "attributes": {"model": {"string": "a"}}}
    there = pool(device, nodeName="n1")
    feed.slices = lambda: [there]
    feed.device_slice(None, there)
    (before,) = mailbox.drain(9)
    assert before.devices[0].passes == ()
    selecting = claim(request(selectors=select(f'{MODEL} == "a"')), owner="p")
    feed.claim(None, selecting)
    assert again == ["ns/p"]
    _, after = mailbox.drain(9)
    assert after.devices[0].passes == (f'{MODEL} == "a"',)
    feed.claim(None, claim(request(selectors=select(f'{MODEL} == "a"')), name="other"))
    assert [type(each) for each in mailbox.drain(9)] == [events.DeviceClaimSeen]


# -- what is written

SAID = DevicesGiven("ns/c", "u-c", "p", "pu", (("r", DRIVER, "pool", "d"),), ())


def body(request) -> dict:
    return msgspec.json.decode(request.body)


def test_an_allocation_takes_what_drivers_must_know_from_classes_and_from_the_claim():
    config = [
        {"requests": ["r"], "opaque": {"driver": DRIVER, "parameters": {"a": 1}}},
        {"requests": ["other"], "opaque": {"driver": DRIVER, "parameters": {}}},
    ]
    one = claim(request(), request("other"), config=config)
    gpu = msgspec.convert({"spec": {"config": [{"opaque": {"driver": DRIVER, "parameters": {"b": 2}}}]}}, DeviceClass)
    written = body(claimwrites.reserve_request(SAID, one, {"gpu": gpu}.get))
    assert written["status"]["allocation"]["devices"] == {
        "results": [{"request": "r", "driver": DRIVER, "pool": "pool", "device": "d"}],
        "config": [
            {"source": "FromClass", "requests": ["r"], "opaque": {"driver": DRIVER, "parameters": {"b": 2}}},
            {"source": "FromClaim", **config[0]},
        ],
    }
    assert written["status"]["reservedFor"] == [{"resource": "pods", "name": "p", "uid": "pu"}]
    assert written["metadata"] == {"uid": "u-c"}


def test_a_claim_that_has_devices_is_only_reserved():
    said = msgspec.structs.replace(SAID, given=None)
    assert list(body(claimwrites.reserve_request(said, claim(request()), {}.get))["status"]) == ["reservedFor"]


def test_what_is_released_is_what_was_read():
    one = msgspec.structs.replace(
        claim(request()), metadata=msgspec.structs.replace(claim(request()).metadata, resource_version="7")
    )
    released = body(claimwrites.release_request(SAID, one))
    assert released == {
        "metadata": {"uid": "u-c", "resourceVersion": "7"},
        "status": {"allocation": None, "reservedFor": None},
    }
