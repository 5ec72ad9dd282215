"""What a queue, or an owner in it, has used, as an integral over time that fades with a half-life.

Exact for any history: between two changes what is held is constant, so used(t) is what was there before, halved as
often as half-lives have passed, plus held times the part of the time that has not faded yet. Nothing is computed while
nothing changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log

from flowbatch.model.ids import Instant
from flowbatch.model.resources import Sums

LN2 = log(2.0)


@dataclass(slots=True, eq=False)
class Memory:
    """Units times seconds, decayed to `at`, and what has been held since."""

    at: Instant
    used: dict[int, float] = field(default_factory=dict)
    held: Sums = field(default_factory=dict)

    def turn(self, held: Mapping[int, int], now: Instant, half_life_ms: int) -> None:
        """From `now` on it holds something else."""
        self.used = self.until(now, half_life_ms)
        self.at, self.held = max(now, self.at), dict(held)

    def until(self, now: Instant, half_life_ms: int) -> dict[int, float]:
        """Used until `now`. A clock that went back counts as one that stood still."""
        elapsed = max(0, now - self.at)
        if not elapsed:
            return dict(self.used)
        fade: float = 0.5 ** (elapsed / half_life_ms)
        span = half_life_ms / 1000 / LN2 * (1.0 - fade)
        used = {axis: value * fade for axis, value in self.used.items()}
        for axis, amount in self.held.items():
            used[axis] = used.get(axis, 0.0) + amount * span
        return used

    def mean(self, now: Instant, half_life_ms: int) -> dict[int, float]:
        """As if it had always been used alike: what has been held for ever has itself for its mean."""
        rate = LN2 * 1000 / half_life_ms
        return {axis: value * rate for axis, value in self.until(now, half_life_ms).items()}
