"""A journal is what went into an engine and the digest of what came out; replaying it finds the first difference.

A bug report is such a file. A golden one in the tests is a regression test, and two runs under different hash seeds
must give equal digests.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from flowbatch.engine.decisions import Plan, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT
from flowbatch.policy.reading import Asked, policy_from


class Observed(msgspec.Struct, frozen=True, tag_field="step", tag="observed"):
    """Facts folded in, in this order."""

    events: tuple[Event, ...]


class Cycled(msgspec.Struct, frozen=True, tag_field="step", tag="cycled"):
    """One cycle: its tick, and the digest of the plan it gave."""

    tick: Tick
    cycle: int
    digest: str


class Adopted(msgspec.Struct, frozen=True, tag_field="step", tag="adopted"):
    """From here on the engine decides by this policy, which was asked for so. `anew`: it is a new engine, too."""

    asked: str | dict[str, Any]
    anew: bool = False


class Ended(msgspec.Struct, frozen=True, tag_field="step", tag="ended"):
    """The journal was cut off here."""

    reason: str


Entry = Observed | Cycled | Adopted | Ended


class Divergence(msgspec.Struct, frozen=True):
    """The first cycle that decides differently: what the journal says, and what the engine does now."""

    cycle: int
    tick: Tick
    expected: str
    plan: Plan

    def __str__(self) -> str:
        found = digest_of(self.plan)
        return f"cycle {self.cycle} at {self.tick.now} ms: the journal has {self.expected}, this engine gives {found}"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def digest_of(plan: Plan) -> str:
    """A short hash of everything that a plan says."""
    return blake2b(_encoder.encode(plan), digest_size=8).hexdigest()


def encode(entry: Entry) -> bytes:
    """One journal line, without its end."""
    return _encoder.encode(entry)


def decode(lines: Iterable[bytes]) -> Iterator[Entry]:
    """Entries of journal lines; raises msgspec.ValidationError for a line that is none."""
    for line in lines:
        if line.strip():
            yield _decoder.decode(line)


def replay(
    entries: Iterable[Entry],
    policy: Policy | None = None,
    *,
    read: Callable[[Asked], Policy] = policy_from,
    validate: bool = False,
) -> Divergence | None:
    """Run a journal through a new engine; the first divergence, or None where it decides the same throughout.

    The policies are those that the journal names, as `read` understands them; `policy` is tried in place of all of
    them. The journal must begin at the engine's beginning: a ring's middle has no state to start from.
    """
    engine = Engine(policy or DEFAULT, validate=validate)
    for entry in entries:
        match entry:
            case Adopted(asked=asked, anew=anew):
                chosen = policy or read(asked)
                if anew:
                    engine = Engine(chosen, validate=validate)
                else:
                    engine.adopt(chosen)
            case Observed(events=events):
                engine.observe(events)
            case Cycled(tick=tick, cycle=cycle, digest=digest):
                plan = engine.cycle(tick)
                if digest_of(plan) != digest:
                    return Divergence(cycle, tick, digest, plan)
            case Ended():
                break
    return None


def record(steps: Iterable[tuple[Iterable[Event], Tick]], policy: Policy = DEFAULT) -> list[Entry]:
    """A journal of these steps, made by a new engine."""
    engine = Engine(policy)
    entries: list[Entry] = []
    for events, tick in steps:
        facts = tuple(events)
        engine.observe(facts)
        plan = engine.cycle(tick)
        entries += [Observed(facts), Cycled(tick, plan.cycle, digest_of(plan))]
    return entries
