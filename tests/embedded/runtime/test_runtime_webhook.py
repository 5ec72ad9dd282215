"""Does the webhook serve TLS that its Secret vouches for, answer from what it watches, and refuse what is too much?"""

import base64
import contextlib
import json
import ssl

import aiohttp
import anyio
import anyio.lowlevel
import pytest
from anyio.streams.tls import TLSAttribute

from flowbatch.admission import app as webhook_app
from flowbatch.admission import server as webhook_server
from flowbatch.admission.certificates import new_authority, new_certificate
from flowbatch.admission.crds import crds
from flowbatch.api.kinds import QUEUE, SECRET
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.kube.errors import NotFound
from flowbatch.kube.request import Request
from flowbatch.runtime.clock import now
from flowbatch.runtime.health import Health
from flowbatch.runtime.settings import HealthSettings, Settings, WebhookSettings
from flowbatch.runtime.webhook import run_webhook
from tests.admissionworld import job, namespace, queue

SETTINGS = Settings(health=HealthSettings(port=0), webhook=WebhookSettings(port=0, namespace="kube-system"))
NAME = "flowbatch-webhook.kube-system.svc"


class Caller:
    """As the API server calls: by the Service's name, trusting the authority alone."""

    def __init__(self, client, port):
        self.client, self.port = client, port

    async def context(self):
        secret = await self.client.get(SECRET, "flowbatch-webhook-tls", "kube-system")
        return ssl.create_default_context(cadata=base64.b64decode(secret.data["ca.crt"]).decode())

    async def post(self, path, body):
        url = f"https://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session:
            kwargs = {"data": body, "ssl": await self.context(), "server_hostname": NAME}
            async with session.post(url, **kwargs) as answer:
                return answer.status, await answer.read()

    async def review(self, path, obj):
        group, _, version = obj["apiVersion"].rpartition("/")
        kind = {"group": group, "version": version, "kind": obj["kind"]}
        request = {"uid": "u", "operation": "CREATE", "namespace": "default", "kind": kind, "object": obj}
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        status, answer = await self.post(path, json.dumps(body).encode())
        assert status == 200, answer
        return json.loads(answer)["response"]


@pytest.fixture
async def caller(monkeypatch):
    monkeypatch.setattr(webhook_app, "HURRY_S", 0.05)
    async with ApiServer(tls=False) as api:
        for crd in crds():
            await api.install(crd)
        health = Health()
        async with Client(await from_kubeconfig(api.kubeconfig())) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run_webhook(client, SETTINGS, health=health))
            yield Caller(client, (await ready(health))["port"])
            tasks.cancel_scope.cancel()


async def ready(health):
    with anyio.fail_after(30):
        while True:
            if health.port:
                url = f"http://127.0.0.1:{health.port}/readyz"
                async with aiohttp.ClientSession() as session, session.get(url) as answer:
                    said = await answer.json()
                    if answer.status == 200 and said["port"]:
                        return said
            await anyio.sleep(0.02)


async def test_it_judges_by_what_it_watches_and_waits_a_moment_for_what_is_missing(caller, monkeypatch):
    refused = await caller.review("/validate", job(queue="ads", maxRetry=-1))
    assert {each["field"] for each in refused["status"]["details"]["causes"]} == {"spec.queue", "spec.maxRetry"}
    assert (await caller.review("/validate", job()))["allowed"]
    monkeypatch.setattr(webhook_server, "PATIENCE_S", 30.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: caller.client.create(QUEUE, queue("ads")))
        assert (await caller.review("/validate", job(queue="ads")))["allowed"]


async def test_it_fills_in_the_namespaces_queue(caller):
    patch = {"metadata": {"annotations": namespace("default", "night")["metadata"]["annotations"]}}
    content = "application/merge-patch+json"
    await caller.client.send(Request("PATCH", "/api/v1/namespaces/default", (), json.dumps(patch).encode(), content))
    with anyio.fail_after(30):
        while True:
            steps = json.loads(base64.b64decode((await caller.review("/mutate", job()))["patch"]))
            if {"op": "add", "path": "/spec/queue", "value": "night"} in steps:
                return
            await anyio.sleep(0.02)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"\xff", 400), (b"[" * 100_000, 400), (b"x" * (3 * 1024 * 1024 + 1), 413)],
    ids=["empty", "bytes", "deep", "large"],
)
async def test_what_is_no_review_is_refused_and_the_next_one_answered(caller, body, status):
    assert (await caller.post("/validate", body))[0] == status
    assert (await caller.review("/validate", job()))["allowed"]


async def test_a_body_that_does_not_come_is_not_waited_for(caller, monkeypatch):
    monkeypatch.setattr(webhook_server, "MOST_SECONDS", 0.2)

    async def slow():
        yield b"{"
        await anyio.sleep(30)

    with anyio.fail_after(20):
        assert (await caller.post("/validate", slow()))[0] == 503


async def test_a_rule_that_raises_ends_one_review_and_not_the_server(caller, monkeypatch):
    def fail(*_):
        raise RuntimeError("planted")

    with monkeypatch.context() as patched:
        patched.setattr(webhook_server, "verdict", fail)
        body = json.dumps(
            {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {"uid": "u", "operation": "CREATE", "kind": {"kind": "Job"}, "object": job()},
            }
        )
        assert (await caller.post("/validate", body.encode()))[0] == 500
    assert (await caller.review("/validate", job()))["allowed"]


async def certificate(client):
    """The served certificate as its Secret holds it; empty while there is none."""
    with contextlib.suppress(NotFound):
        return (await client.get(SECRET, "flowbatch-webhook-tls", "kube-system")).data.get("tls.crt", "")
    return ""


async def test_a_lost_secret_is_made_again_and_served_without_a_restart(caller):
    before = await certificate(caller.client)
    await caller.client.delete(SECRET, "flowbatch-webhook-tls", "kube-system")
    with anyio.fail_after(30):
        while await certificate(caller.client) in ("", before):
            await anyio.lowlevel.checkpoint()
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                assert (await caller.review("/validate", job()))["allowed"]
                return
            await anyio.sleep(0.02)


async def test_many_refusals_wait_for_nobody_and_hold_up_nobody(caller, monkeypatch):
    monkeypatch.setattr(webhook_server, "PATIENCE_S", 3.0)
    monkeypatch.setattr(webhook_server, "MOST_WAITING", 2)
    told = []

    async def ask(name):
        answer = await caller.review("/validate", job(queue=name) if name else job())
        told.append((name, answer["allowed"]))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, f"nowhere-{number}")
        tasks.start_soon(ask, "")
    assert sorted(told)[0] == ("", True)
    assert len([name for name, _ in told[:19] if name]) >= 18, "all but two are told at once"


async def test_somebody_elses_certificate_is_served_and_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(webhook_app, "LOOK_S", 0.05)
    monkeypatch.setattr(webhook_app, "HURRY_S", 0.05)
    moment = now()
    ca, key = new_authority(moment)

    def renew():
        """Two steps: the certificate, then the key that belongs to it."""
        for file, text in zip(("tls.crt", "tls.key"), new_certificate(ca, key, [NAME], moment), strict=True):
            (tmp_path / file).write_text(text)
            yield

    async def serial(port):
        context = ssl.create_default_context(cadata=ca)
        stream = await anyio.connect_tcp("127.0.0.1", port, tls=True, ssl_context=context, tls_hostname=NAME)
        async with stream:
            return stream.extra(TLSAttribute.peer_certificate)["serialNumber"]

    webhook = WebhookSettings(port=0, certificates=str(tmp_path), namespace="kube-system")
    settings = Settings(health=HealthSettings(port=0), webhook=webhook)
    async with ApiServer(tls=False) as api:
        for crd in crds():
            await api.install(crd)
        health = Health()
        async with Client(await from_kubeconfig(api.kubeconfig())) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run_webhook(client, settings, health=health))
            list(renew())
            port = (await ready(health))["port"]
            first = await serial(port)
            steps = renew()
            next(steps)
            with anyio.fail_after(30):
                while not health.ready["certificate"]():
                    await anyio.lowlevel.checkpoint()
            assert await serial(port) == first, "half of a pair is not served"
            next(steps)
            with anyio.fail_after(30):
                while await serial(port) == first:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
