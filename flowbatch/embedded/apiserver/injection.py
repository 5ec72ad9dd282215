"""Carrying out what a fault rule says, on the HTTP side: at the start of a request, and with its reply."""

import asyncio

from aiohttp import web

from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.refusals import Refusal, expired
from flowbatch.embedded.apiserver.replies import refused
from flowbatch.embedded.apiserver.streaming import LineFault
from flowbatch.embedded.faults import Fault, Moment, Point, StoreRule


class Drop(Exception):
    """The connection is to be closed without a word."""


def line_fault(rule: StoreRule | None, call: Call) -> LineFault | None:
    """What the rule does to each line of a watch."""
    return None if rule is None else lambda line: rule(moment("event", call, line))


async def at_request(rule: StoreRule, call: Call) -> web.Response | None:
    """Ask the rule before anything is done; a response where that is the end of it."""
    return await _carry_out(rule(moment("request", call, call.body)))


async def at_reply(rule: StoreRule, request: web.BaseRequest, call: Call, response: web.Response) -> web.StreamResponse:
    """Ask the rule about a reply; the work is already done."""
    body = response.body if isinstance(response.body, bytes) else b""
    fault = rule(moment("reply", call, body))
    if fault is None:
        return response
    if fault.action in ("truncate", "reset_mid_body"):
        return await _half(request, response, body)
    faked = await _carry_out(fault)
    return response if faked is None else faked


async def _carry_out(fault: Fault | None) -> web.Response | None:
    if fault is None:
        return None
    if fault.action == "delay":
        await asyncio.sleep(fault.seconds)
        return None
    if fault.action == "gone_410":
        raise expired("too old resource version: injected fault")
    if fault.action == "status":
        return _faulty_status(fault)
    if fault.action == "garbage":
        return web.Response(body=b"<html>not JSON</html>", content_type="text/html")
    raise Drop


async def _half(request: web.BaseRequest, response: web.Response, body: bytes) -> web.StreamResponse:
    """The first half of a reply, and then the connection breaks."""
    stream = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    stream.content_length = len(body)
    await stream.prepare(request)
    await stream.write(body[: len(body) // 2])
    raise Drop


def _faulty_status(fault: Fault) -> web.Response:
    refusal = Refusal(fault.code, fault.reason, fault.message)
    if fault.retry_after_s is not None:
        refusal.details = {"retryAfterSeconds": fault.retry_after_s}
    return refused(refusal)


def moment(point: Point, call: Call, data: bytes) -> Moment:
    """What the rule is asked about."""
    return Moment(
        point,
        call.verb,
        call.resource.plural,
        call.subresource,
        call.namespace,
        call.name,
        call.user_agent,
        data,
    )
