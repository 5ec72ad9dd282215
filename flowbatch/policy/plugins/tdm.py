"""Volcano's tdm plugin: some nodes are shared with another system by the hour."""

import re
from typing import Final

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.tdm import Budgeted, ClosedZones, Hours, PreemptableLast, RevocableFirst, RevocableZones, Zones

PREFIX: Final = "tdm.revocable-zone."
_HOURS: Final = re.compile(r"\s*([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)\s*", re.ASCII)


def read(arguments: Arguments) -> Parts:
    """`tdm.revocable-zone.<name>: 10:00-21:00`, and `tdm.evict.period` ("1m")."""
    every_ms = arguments.duration_ms("tdm.evict.period", 60_000, least=1)
    found = [(name, _hours(arguments, name)) for name in arguments.prefixed(PREFIX)]
    zones = Zones(tuple((name, hours) for name, hours in sorted(found) if hours is not None))
    return Parts(
        gang_order=(PreemptableLast(),),
        filters=(RevocableZones(zones),),
        scores=(RevocableFirst(zones),),
        preemptable=(Budgeted(),),
        shufflers=(ClosedZones(zones, every_ms),),
    )


def _hours(arguments: Arguments, name: str) -> Hours | None:
    key = f"{PREFIX}{name}"
    text = arguments.text(key)
    found = _HOURS.fullmatch(text)
    if found is None:
        arguments.problem(key, 'must be hours such as "10:00-21:00"', text)
        return None
    start_hour, start_minute, end_hour, end_minute = map(int, found.groups())
    return Hours(start_hour * 60 + start_minute, end_hour * 60 + end_minute)
