"""Counts of work done, so that tests can gate on work instead of time."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Everything since the engine began."""

    events: int = 0
    cycles: int = 0
    #: Gangs whose admission or placement was tried.
    attempts: int = 0
    #: Gangs put aside because an equal one was refused and nothing has changed since.
    refused_alike: int = 0
    #: Times a set of nodes was searched for one shape.
    shapes_evaluated: int = 0
    #: Rows looked at in those searches.
    nodes_examined: int = 0
    #: Static masks built from all nodes, and rows of them brought up to date one by one.
    masks_built: int = 0
    mask_rows_patched: int = 0
    #: Lanes of equal gangs woken by an event.
    lanes_woken: int = 0
    #: Sleeping lanes that were asked whether there is room for them.
    lanes_asked: int = 0
    #: Gangs whose standing was worked out anew.
    gangs_sorted: int = 0
    #: Times a window was sought for a gang that has waited long.
    windows_sought: int = 0
    binds: int = 0
    #: Searches for victims, one for each way and area that was tried, and pods told to go.
    victim_searches: int = 0
    evictions: int = 0
    reports: int = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)
