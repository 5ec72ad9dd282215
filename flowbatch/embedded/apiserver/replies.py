"""JSON answers and refusals as aiohttp responses."""

import orjson
from aiohttp import web

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.refusals import Refusal

JSON_HEADERS = {"Content-Type": "application/json"}


def reply(obj: JsonObject, code: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(status=code, body=orjson.dumps(obj), headers=JSON_HEADERS)


def refused(refusal: Refusal) -> web.Response:
    """A Refusal as its Status; a wait that it names becomes Retry-After."""
    response = reply(refusal.status, refusal.code)
    seconds = (refusal.details or {}).get("retryAfterSeconds")
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return response
