"""The webhook's HTTP side: /mutate and /validate, bounded in bytes, in time, and in how many are answered at once.

Nothing here calls the API server: an answer comes from memory, so that a slow API server is not made slower.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec
import structlog
from aiohttp import web

from flowbatch.admission.caches import Caches, View
from flowbatch.admission.resource_groups import ResourceGroup
from flowbatch.admission.review import NotAReview, Question, mutation, read_review, verdict
from flowbatch.api.kinds import CUSTOM_KINDS, POD
from flowbatch.api.meta import JsonObject
from flowbatch.metrics import ADMISSION_REVIEWS, ADMISSION_SECONDS

#: Volcano's bound after CVE-2026-44247. An object has at most 1.5 MiB in etcd; an update carries two.
MOST_BYTES = 3 * 1024 * 1024
#: The API server waits no longer than this either (timeoutSeconds).
MOST_SECONDS = 5.0
#: Bodies that are read at the same time.
MOST_AT_ONCE = 32
#: Refusals that wait at the same time; more are told at once.
MOST_WAITING = 32
#: How long a refusal waits for news of what was missing: a watch is rarely later than this.
PATIENCE_S = 0.5

_KNOWN = frozenset(kind.kind for kind in (*CUSTOM_KINDS, POD))
_log = structlog.get_logger(__name__)

Answer = Callable[[Question], Awaitable[JsonObject]]


class Door:
    """Answers reviews from `caches`."""

    def __init__(self, caches: Caches, groups: Sequence[ResourceGroup] = ()) -> None:
        self._caches = caches
        self.groups = tuple(groups)
        self._turns = anyio.Semaphore(MOST_AT_ONCE)
        self._waiting = 0

    def app(self) -> web.Application:
        """The routes, without a server."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post("/mutate", self._mutate)
        app.router.add_post("/validate", self._validate)
        return app

    async def _mutate(self, request: web.Request) -> web.Response:
        return await self._answered("mutate", request, self.mutation)

    async def _validate(self, request: web.Request) -> web.Response:
        return await self._answered("validate", request, self.verdict)

    async def mutation(self, question: Question) -> JsonObject:
        """What is filled in."""
        await self._caches.listed()
        return mutation(question, self._caches.view(), self.groups)

    async def verdict(self, question: Question) -> JsonObject:
        """Yes, or no with every problem; a no for want of something is said when it still wants after a moment."""
        await self._caches.listed()
        view = self._caches.view()
        answer, found = verdict(question, view)
        if found and view.missed and self._waiting < MOST_WAITING and await self._came(view):
            answer, _ = verdict(question, self._caches.view())
        return answer

    async def _came(self, view: View) -> bool:
        """Whether something that was looked for in vain comes within a moment."""
        self._waiting += 1
        try:
            with anyio.move_on_after(PATIENCE_S):
                while not view.came:
                    await self._caches.change()
        finally:
            self._waiting -= 1
        return view.came

    async def _answered(self, path: str, request: web.Request, answer: Answer) -> web.Response:
        kind, result, began = "other", "error", time.perf_counter()
        try:
            with anyio.fail_after(MOST_SECONDS):
                async with self._turns:
                    question = read_review(await request.read())
                kind = question.kind if question.kind in _KNOWN else "other"
                said = await answer(question)
            result = "allowed" if said["response"]["allowed"] else "refused"
            return web.Response(body=msgspec.json.encode(said), content_type="application/json")
        except NotAReview as problem:
            result = "unreadable"
            return web.Response(status=400, text=f"{problem}\n")
        except TimeoutError:
            result = "late"
            return web.Response(status=503, text=f"no answer within {MOST_SECONDS:g} s\n")
        except web.HTTPException as refusal:
            result = "too large" if refusal.status == web.HTTPRequestEntityTooLarge.status_code else "unreadable"
            raise
        except Exception:
            # A rule that raises must not end the server: the API server sees 500 and does as failurePolicy says.
            _log.exception("a review failed", path=path, kind=kind)
            return web.Response(status=500, text="a rule failed: see the webhook's log\n")
        finally:
            ADMISSION_REVIEWS.labels(path, kind, result).inc()
            ADMISSION_SECONDS.labels(path).observe(time.perf_counter() - began)
