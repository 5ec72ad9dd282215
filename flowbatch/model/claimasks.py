"""Claims to devices as values: what is asked for, and how a pod refers to it.

Kubernetes calls it dynamic resource allocation (resource.k8s.io/v1). Selectors are texts here: which device passes
which is worked out where facts are made, and the engine only compares.
"""

import msgspec

#: (key, operator, value, effect), as in Kubernetes.
Toleration = tuple[str, str, str, str]
#: (key, value, effect).
Taint = tuple[str, str, str]


class _Ask(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """Base of the hashable parts."""


class Wish(_Ask, frozen=True):
    """`count` devices of a class that pass all `selectors`; 0 is all of them that a node reaches, at least one.

    `name` tells the alternatives of one request apart.
    """

    device_class: str
    count: int = 1
    selectors: tuple[str, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    name: str = ""


class ClaimRequest(_Ask, frozen=True):
    """The first of its alternatives that can be had."""

    name: str
    wishes: tuple[Wish, ...]


class Alike(_Ask, frozen=True):
    """All devices of these requests (none: of all) have the attribute, with one value."""

    attribute: str
    requests: tuple[str, ...] = ()

    def covers(self, request: str, wish: str) -> bool:
        """Whether it is about devices given for this alternative of a request."""
        return not self.requests or request in self.requests or bool(wish and f"{request}/{wish}" in self.requests)


class ClaimContent(_Ask, frozen=True):
    """All that one claim asks for; equal ones are interchangeable. `problem`: it cannot be given, and why."""

    requests: tuple[ClaimRequest, ...] = ()
    alike: tuple[Alike, ...] = ()
    problem: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class it mentions, once."""
        return tuple(dict.fromkeys(wish.device_class for each in self.requests for wish in each.wishes))

    @property
    def counted(self) -> tuple[tuple[str, int], ...]:
        """(class, devices) that a queue's quota counts: those of which it is known beforehand how many they are.

        As in Volcano's capacity plugin: neither alternatives nor "all".
        """
        counts: dict[str, int] = {}
        for each in self.requests:
            if len(each.wishes) == 1 and not each.wishes[0].name and each.wishes[0].count:
                wish = each.wishes[0]
                counts[wish.device_class] = counts.get(wish.device_class, 0) + wish.count
        return tuple(sorted(counts.items()))


class ClaimAsk(_Ask, frozen=True):
    """How a pod asks for one claim.

    By `content`: a claim of its own, to which nothing has been given yet, so that equal pods are alike. By `claim`
    ("namespace/name"): one that others use too, or to which something has been given. Else `missing` says what is not
    there.
    """

    content: ClaimContent | None = None
    claim: str = ""
    missing: str = ""
    #: Others may use it too: queues count it once, not with each pod.
    shared: bool = False


class PoolDevice(_Ask, frozen=True):
    """One device: its attributes under full names, with typed values as text; the selectors that it passes."""

    name: str
    attributes: tuple[tuple[str, str], ...] = ()
    passes: tuple[str, ...] = ()
    taints: tuple[Taint, ...] = ()

    def tolerated(self, wish: Wish) -> bool:
        """None of its taints keeps the wish away."""
        return all(
            effect not in ("NoSchedule", "NoExecute")
            or any(_bears(each, key, value, effect) for each in wish.tolerations)
            for key, value, effect in self.taints
        )


def _bears(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    wanted, operator, text, of = toleration
    if of and of != effect:
        return False
    if wanted and wanted != key:
        return False
    return operator == "Exists" or (bool(wanted) and text == value)


class Given(_Ask, frozen=True):
    """One device that was given for a request ("request" or "request/alternative")."""

    request: str
    driver: str
    pool: str
    device: str
