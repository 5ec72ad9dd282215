"""The real time, asked here and handed to everybody else."""

import time
from datetime import UTC, datetime

from flowbatch.model.ids import Instant


def now_ms() -> Instant:
    """Epoch milliseconds."""
    return Instant(time.time_ns() // 1_000_000)


def now() -> datetime:
    """The time in UTC."""
    return datetime.fromtimestamp(now_ms() / 1000, UTC)
