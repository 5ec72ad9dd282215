"""What pods are to each other, in the language of `tests.textcluster`.

    #app=web                            a label of the pod
    near[zone app=web]                  required affinity to pods with that label, in domains of the node label "zone"
    apart[host app=web in=other]        required anti-affinity, to pods of another namespace
    likes[-50 zone app=web]             preferred affinity; below zero: anti-affinity
    spread[zone app=web skew=2 min=3]   topology spread; `soft` for ScheduleAnyway, `any-node` ignores the selector,
                                        `tainted` honours taints

"host" stands for kubernetes.io/hostname, `*` for an empty selector, `app!=web` for NotIn, `all-namespaces` for an empty
namespaceSelector.
"""

import re
from typing import Any

from flowbatch.engine.events import LabelTest, PeerTerm, PodSelector, Spread

HOST = "kubernetes.io/hostname"
_TERM = re.compile(r"(near|apart|likes|spread)\[([^\]]*)\]")
_LABEL = re.compile(r"#([\w./-]+)=([\w.-]+)")


def labels(text: str) -> tuple[tuple[str, str], ...]:
    """The pod's own."""
    return tuple(sorted(_LABEL.findall(text)))


def without(text: str) -> str:
    """The rest of the text."""
    return _LABEL.sub("", _TERM.sub("", text))


def terms(text: str) -> dict[str, Any]:
    """Fields of a ShapeSpec."""
    found: dict[str, list[Any]] = {"near": [], "apart": [], "likes": [], "spreads": []}
    for kind, content in _TERM.findall(text):
        words = content.split()
        if kind == "likes":
            found["likes"].append((int(words[0]), PeerTerm(key(words[1]), pods(words[2:]))))
        elif kind == "spread":
            found["spreads"].append(spread(words))
        else:
            found[kind].append(PeerTerm(key(words[0]), pods(words[1:])))
    return {kind: tuple(each) for kind, each in found.items()}


def key(word: str) -> str:
    """A topology key."""
    return HOST if word == "host" else word


def pods(words: list[str]) -> PodSelector:
    """Whom a term is about."""
    tests: list[LabelTest] = []
    namespaces: list[str] = []
    every = False
    for word in words:
        name, _, value = word.partition("=")
        if name == "in":
            namespaces.append(value)
        elif word == "all-namespaces":
            every = True
        elif name.endswith("!"):
            tests.append(LabelTest(name[:-1], "NotIn", (value,)))
        elif value and name not in ("skew", "min"):
            tests.append(LabelTest(name, "In", tuple(value.split("|"))))
    return PodSelector(tuple(tests), tuple(namespaces or ([] if every else ["ns"])), () if every else None)


def spread(words: list[str]) -> Spread:
    """One constraint."""
    numbers = {
        name: int(value) for name, _, value in (word.partition("=") for word in words) if name in ("skew", "min")
    }
    return Spread(
        key(words[0]),
        numbers.get("skew", 1),
        pods(words[1:]),
        hard="soft" not in words,
        least_domains=numbers.get("min", 1),
        honors_selector="any-node" not in words,
        honors_taints="tainted" in words,
    )
