"""One measured number, with what it must reach and what the machine could do at best."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit`; `ceiling` is the same work by the fastest thing this machine has, where that is known."""

    name: str
    value: float
    unit: str
    #: What the figure must reach, and in which direction; None only informs.
    must: float | None = None
    better: Literal["higher", "lower"] = "higher"
    ceiling: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the figure is as good as it must be; None where nothing is demanded."""
        if self.must is None:
            return None
        return self.value >= self.must if self.better == "higher" else self.value <= self.must
