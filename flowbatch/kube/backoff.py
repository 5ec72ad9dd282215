"""How long to wait before trying again: growing, capped, and with full jitter, so a crowd never returns in step."""

import random

#: Shared: seeding one asks the kernel for entropy, and every request has a Backoff.
_JITTER = random.Random()  # noqa: S311  (spreads load; no secret)


class Backoff:
    """Full-jitter exponential backoff: each delay is drawn from [0, ceiling], and the ceiling doubles."""

    def __init__(self, first_s: float = 0.8, cap_s: float = 30.0, jitter: random.Random | None = None) -> None:
        self._first_s, self._cap_s = first_s, cap_s
        self._ceiling_s = first_s
        self._jitter = jitter or _JITTER

    def delay_s(self, at_least_s: float | None = None) -> float:
        """Seconds to wait now. `at_least_s` is what the server asked for; jitter is added on top of it."""
        drawn = self._jitter.uniform(0.0, self._ceiling_s)
        self._ceiling_s = min(self._ceiling_s * 2, self._cap_s)
        return drawn if at_least_s is None else at_least_s + min(drawn, at_least_s * 0.25)

    def reset(self) -> None:
        """All is well again."""
        self._ceiling_s = self._first_s
