"""Volcano's sla plugin: gangs by the end of their waiting time, and past the gate and into room once it has come."""

from flowbatch.policy.arguments import MOST_MS, Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.sla import WaitingTime


def read(arguments: Arguments) -> Parts:
    """`sla-waiting-time` ("1h2m3s") for gangs without the annotation of that name."""
    rule = WaitingTime(arguments.duration_ms("sla-waiting-time", 0, least=1, most=MOST_MS))
    return Parts(gang_order=(rule,), permits=(rule,), reserving=(rule,))
