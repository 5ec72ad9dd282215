"""Which devices for which requests: exact matching on what one node reaches, by trying, within a bound.

The first way that works is taken: devices in the order in which they are published, alternatives in the order in which
they are asked for. Devices of one request are interchangeable, so that only rising choices are tried.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flowbatch.model.claimasks import ClaimContent, Wish

#: Most devices of one claim (resource.k8s.io: AllocationResultsMaxSize).
GIVEN_MAX = 32
#: Looks at single devices before a search gives up; what then is not found counts as not there.
STEPS_MAX = 20_000

#: (wish, device) -> it would do.
Eligible = Callable[[Wish, int], bool]
#: (device, attribute) -> its value, or None.
Attribute = Callable[[int, str], str | None]
#: What is given to one claim: (request, device).
Pick = tuple[str, int]


@dataclass(slots=True)
class Offer:
    """What one node reaches: devices that are free, and all there are; `partial`: some may still be to come."""

    free: Sequence[int]
    every: Sequence[int]
    partial: bool = False


class Matching:
    """One search. Use once."""

    def __init__(
        self, contents: Sequence[ClaimContent], offer: Offer, eligible: Eligible, attribute: Attribute
    ) -> None:
        self._contents = contents
        self._offer = offer
        self._eligible = eligible
        self._attribute = attribute
        self._taken: dict[int, None] = {}
        self._given: list[list[Pick]] = [[] for _ in contents]
        #: By (claim, constraint): the value that devices must have, once there is one.
        self._values: dict[tuple[int, int], str] = {}
        self._steps = STEPS_MAX

    def solve(self) -> list[list[Pick]] | None:
        """What each claim is given, or None where there is no way (or none was found in time)."""
        return self._given if self._claim(0, 0) else None

    def _claim(self, claim: int, request: int) -> bool:
        """Requests from this one on."""
        while claim < len(self._contents) and request == len(self._contents[claim].requests):
            claim, request = claim + 1, 0
        if claim == len(self._contents):
            return True
        asked = self._contents[claim].requests[request]
        for wish in asked.wishes:
            name = f"{asked.name}/{wish.name}" if wish.name else asked.name
            if self._wish(claim, request, wish, name):
                return True
        return False

    def _wish(self, claim: int, request: int, wish: Wish, name: str) -> bool:
        if wish.count:
            devices: Sequence[int] = self._offer.free
            count = wish.count
        else:
            devices = self._all_of(wish)
            count = len(devices)
        if not count or len(self._given[claim]) + count > GIVEN_MAX:
            return False
        return self._choose(claim, request, wish, name, devices, 0, count)

    def _all_of(self, wish: Wish) -> list[int]:
        """Every device that would do, if all of them are free and known; else none at all."""
        if self._offer.partial:
            return []
        found = [device for device in self._offer.every if self._eligible(wish, device)]
        free = dict.fromkeys(self._offer.free)
        return found if all(device in free and device not in self._taken for device in found) else []

    def _choose(
        self, claim: int, request: int, wish: Wish, name: str, devices: Sequence[int], first: int, count: int
    ) -> bool:
        """`count` more for this wish, from place `first` on; then everything that comes after."""
        if not count:
            return self._claim(claim, request + 1)
        for place in range(first, len(devices) - count + 1):
            self._steps -= 1
            if self._steps < 0:
                return False
            device = devices[place]
            if device in self._taken or not self._eligible(wish, device):
                continue
            fixed = self._fix(claim, request, wish, device)
            if fixed is None:
                continue
            self._taken[device] = None
            self._given[claim].append((name, device))
            if self._choose(claim, request, wish, name, devices, place + 1, count - 1):
                return True
            self._given[claim].pop()
            del self._taken[device]
            for key in fixed:
                del self._values[key]
        return False

    def _fix(self, claim: int, request: int, wish: Wish, device: int) -> list[tuple[int, int]] | None:
        """Constraints whose value this device decides; None where it breaks one."""
        fixed: list[tuple[int, int]] = []
        for place, value in self._values_of(claim, request, wish, device):
            key = claim, place
            known = self._values.get(key)
            if value is None or (known is not None and known != value):
                for each in fixed:
                    del self._values[each]
                return None
            if known is None:
                self._values[key] = value
                fixed.append(key)
        return fixed

    def _values_of(self, claim: int, request: int, wish: Wish, device: int) -> Iterator[tuple[int, str | None]]:
        content = self._contents[claim]
        name = content.requests[request].name
        for place, alike in enumerate(content.alike):
            if alike.covers(name, wish.name):
                yield place, self._attribute(device, alike.attribute)


def is_plain(contents: Sequence[ClaimContent]) -> Wish | None:
    """The one wish that all of them amount to, where they do: then counting is enough."""
    first: Wish | None = None
    total = 0
    for content in contents:
        of_this = 0
        for request in content.requests:
            wish = request.wishes[0]
            plain = Wish(wish.device_class, 1, wish.selectors, wish.tolerations)
            if content.alike or len(request.wishes) > 1 or not wish.count or (first is not None and plain != first):
                return None
            first = plain
            of_this += wish.count
        if of_this > GIVEN_MAX:
            return None
        total += of_this
    return Wish(first.device_class, total, first.selectors, first.tolerations) if first is not None else None
