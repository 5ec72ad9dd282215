"""Is there always a certificate in force that the API server trusts, however old, broken or contended the Secret is?"""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from flowbatch.admission.certificates import certificates, fresh, new_authority, new_certificate, serves
from flowbatch.admission.rotation import CA, CA_KEY, CERTIFICATE, KEY, Place, Rotation, trust_patch
from flowbatch.embedded.apiserver.patch import json_patch, merge_patch
from flowbatch.kube.errors import AlreadyExists, Conflict, NotFound

BEGIN = datetime(2026, 11, 28, tzinfo=UTC)
PLACE = Place()
SECRET = "/api/v1/namespaces/flowbatch-system/secrets"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/flowbatch"


def hook(name, service="flowbatch-webhook"):
    where = {"service": {"namespace": "flowbatch-system", "name": service, "path": "/validate"}}
    return {"name": name, "clientConfig": where}


class Server:
    """As much of an API server as the rotation uses; `meanwhile` runs before a write, as another replica might."""

    def __init__(self):
        self.objects = {HOOKS: {"webhooks": [hook("jobs.flowbatch.dev"), hook("other", "cert-manager")]}}
        self.writes = []
        self.meanwhile = lambda: None

    @property
    def texts(self):
        data = self.objects[f"{SECRET}/flowbatch-webhook-tls"]["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    def store(self, texts):
        data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
        self._put(f"{SECRET}/flowbatch-webhook-tls", {"metadata": {"name": "flowbatch-webhook-tls"}, "data": data})

    @property
    def trusted(self):
        first, other = self.objects[HOOKS]["webhooks"]
        assert "caBundle" not in other["clientConfig"]
        return base64.b64decode(first["clientConfig"].get("caBundle", "")).decode()

    def _put(self, path, obj):
        version = int(self.objects.get(path, {}).get("metadata", {}).get("resourceVersion", 0)) + 1
        obj.setdefault("metadata", {})["resourceVersion"] = str(version)
        self.objects[path] = obj

    async def send(self, request):
        if request.is_write:
            self.meanwhile, meanwhile = (lambda: None), self.meanwhile
            meanwhile()
            self.writes.append((request.method, request.path))
        body = json.loads(request.body) if request.body else None
        if request.method == "POST":
            path = f"{request.path}/{body['metadata']['name']}"
            if path in self.objects:
                raise AlreadyExists(409, "AlreadyExists", "")
            self._put(path, body)
        elif request.path not in self.objects:
            raise NotFound(404, "NotFound", request.path)
        elif request.method == "PATCH" and isinstance(body, list):
            self._put(request.path, json_patch(self.objects[request.path], body))
        elif request.method == "PATCH":
            held = self.objects[request.path]
            if body["metadata"].get("resourceVersion") != held["metadata"]["resourceVersion"]:
                raise Conflict(409, "Conflict", "")
            self._put(request.path, merge_patch(held, body))
        return json.dumps(self.objects[request.path if request.method != "POST" else path]).encode()


class Replica:
    def __init__(self, server):
        self.now = BEGIN
        self.served = []
        self.rotation = Rotation(server, PLACE, lambda: self.now, lambda *pair: self.served.append(pair))

    async def look(self, after=timedelta(0)):
        self.now += after
        await self.rotation.look()


@pytest.fixture
def server():
    return Server()


def sound(server, now):
    texts = server.texts
    newest = certificates(texts[CA])[0]
    assert fresh(texts[CERTIFICATE], now)
    assert serves(texts[CERTIFICATE], texts[KEY], newest, PLACE.names)
    assert server.trusted == texts[CA]


async def test_the_first_look_makes_everything_and_the_second_nothing(server):
    one = Replica(server)
    await one.look()
    sound(server, one.now)
    assert one.served == [(server.texts[CERTIFICATE], server.texts[KEY])]
    assert one.rotation.missing == ["mutatingwebhookconfigurations"]
    writes = len(server.writes)
    await one.look()
    assert (len(server.writes), len(one.served)) == (writes, 1)


async def test_a_second_replica_serves_the_same_certificate(server):
    one, two = Replica(server), Replica(server)
    await one.look()
    await two.look()
    assert one.served == two.served


async def test_a_certificate_is_renewed_long_before_its_end_by_the_same_authority(server):
    one = Replica(server)
    await one.look()
    before = server.texts
    await one.look(timedelta(days=59))
    assert server.texts == before
    await one.look(timedelta(days=2))
    assert server.texts[CERTIFICATE] != before[CERTIFICATE]
    assert server.texts[CA] == before[CA]
    assert len(one.served) == 2
    sound(server, one.now)


async def test_an_old_authority_is_trusted_until_nothing_signed_by_it_is_served(server):
    one = Replica(server)
    await one.look()
    (old,) = certificates(server.texts[CA])
    trusted_at_signing = []
    original = server.send

    async def send(request):
        if request.path == HOOKS and request.is_write:
            trusted_at_signing.append(server.texts[CERTIFICATE])
        return await original(request)

    server.send = send
    first = server.texts[CERTIFICATE]
    await one.look(timedelta(days=250))
    assert trusted_at_signing == [first], "the new authority is trusted before anything is signed by it"
    assert certificates(server.texts[CA])[1:] == [old]
    sound(server, one.now)
    await one.look(timedelta(days=116))
    await one.look(timedelta(days=250))
    assert old not in certificates(server.texts[CA])


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {CA: "no certificate", CA_KEY: "no key"},
        {CA: new_authority(BEGIN)[0], CA_KEY: new_authority(BEGIN)[1]},
        {CA: new_authority(BEGIN)[0]},
        {CERTIFICATE: "x", KEY: "y"},
    ],
    ids=["empty", "garbage", "foreign key", "no key", "no authority"],
)
async def test_a_broken_secret_is_mended(server, broken):
    server.store(broken)
    one = Replica(server)
    await one.look()
    sound(server, one.now)


async def test_a_certificate_for_other_names_is_replaced(server):
    ca, key = new_authority(BEGIN)
    certificate, its_key = new_certificate(ca, key, ["elsewhere.svc"], BEGIN)
    server.store({CA: ca, CA_KEY: key, CERTIFICATE: certificate, KEY: its_key})
    one = Replica(server)
    await one.look()
    sound(server, one.now)
    assert server.texts[CA] == ca


@pytest.mark.parametrize("writes_before", [0, 1, 2])
async def test_two_replicas_that_begin_at_once_agree(server, writes_before):
    one, two = Replica(server), Replica(server)
    original = server.send
    seen = 0

    async def send(request):
        nonlocal seen
        if request.is_write:
            seen += 1
            if seen == writes_before + 1:
                server.send = original
                await two.look()
        return await original(request)

    server.send = send
    await one.look()
    await two.look()
    sound(server, one.now)
    assert one.served[-1] == two.served[-1]


async def test_a_changed_bundle_is_put_right_again(server):
    one = Replica(server)
    await one.look()
    server.objects[HOOKS]["webhooks"][0]["clientConfig"]["caBundle"] = ""
    await one.look()
    sound(server, one.now)


def test_only_webhooks_that_call_our_service_are_touched():
    assert (
        trust_patch({"webhooks": [hook("a", "other"), {"name": "b", "clientConfig": {"url": "https://x"}}]}, PLACE, "x")
        == []
    )
    assert trust_patch({}, PLACE, "x") == []
