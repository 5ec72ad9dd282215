"""Volcano's extender plugin: an HTTP server has a say."""

from typing import Final
from urllib.parse import urlsplit

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.extender import Extender, Unasked
from flowbatch.policy.parts import Parts

#: What is asked, and the switch that takes it away.
ASKED: Final = {
    "predicate": "Predicate",
    "prioritize": "NodeOrder",
    "jobEnqueueable": "JobEnqueued",
    "jobReady": "JobReady",
    "queueOverused": "Overused",
}
#: Read, and never asked: docs/plugins.md says why.
UNASKED: Final = ("onSessionOpen", "onSessionClose", "allocateFunc", "deallocateFunc", "bindTask")
MOST_TIMEOUT_MS: Final = 60_000


def read(arguments: Arguments) -> Parts:
    """`extender.urlPrefix`, `.httpTimeout` ("1s"), `.ignorable`, `.managedResources` and the verbs, `extender.<X>Verb`.

    Whom an extender should have been asked about before an eviction is spared, unless it is ignorable.
    """
    url = arguments.text("extender.urlPrefix").rstrip("/")
    if not url:
        arguments.problem("extender.urlPrefix", "must be set")
    elif urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        arguments.problem("extender.urlPrefix", "must begin with http:// or https:// and name a host", url)
    timeout_ms = arguments.duration_ms("extender.httpTimeout", 1_000, least=1, most=MOST_TIMEOUT_MS)
    ignorable = arguments.flag("extender.ignorable", default=False)
    resources = arguments.words("extender.managedResources")
    verbs = {what: _verb(arguments, what) for what in (*ASKED, *UNASKED, "preemptable", "reclaimable")}
    asked = tuple((what, verbs[what]) for what, switch in ASKED.items() if verbs[what] and switch not in arguments.off)
    extender = Extender(url=url, timeout_ms=timeout_ms, ignorable=ignorable, resources=resources, verbs=asked)
    unasked = () if ignorable else (Unasked(url=url, resources=resources),)
    return Parts(
        confirmations=(extender,) if asked else (),
        preemptable=unasked if verbs["preemptable"] else (),
        reclaimable=unasked if verbs["reclaimable"] else (),
    )


def _verb(arguments: Arguments, what: str) -> str:
    word = arguments.text(f"extender.{what}Verb")
    if any(each in word for each in "?#@ \\") or ".." in word:
        arguments.problem(f"extender.{what}Verb", "must be the last part of a URL's path", word)
    return word.strip("/")
