"""Does the engine decide what exhaustive search by the same rules decides? 5,000 random small clusters.

Each cluster is followed step by step: whose turn it is, whether the gang fits, who is left waiting. Then something
happens to it (pods end, nodes and queues change, gangs come and go) and it is followed again: what waits must have been
woken. A failure is repeated by its seed and printed as the smallest text cluster that still fails.
`FLOWBATCH_CASES=100000 pytest tests/props/test_props_reference.py -s` looks longer and tells what it saw.
"""

import os
from dataclasses import dataclass, fields

import pytest

from flowbatch.engine.events import Event
from tests.reference.cases import Case, Happenings
from tests.reference.judge import Disagreement, Judge, at_once, crowded_out
from tests.reference.shrink import shrink
from tests.reference.text import lines

CASES = int(os.environ.get("FLOWBATCH_CASES", "5000"))
BLOCK = 500


@dataclass
class Seen:
    """What occurred in a block of cases: a generator that is blind to something proves nothing about it."""

    started: int = 0
    waiting: int = 0
    rooms: int = 0
    later: int = 0
    crowded_out: int = 0


def follow(facts: list[Event], seed: int, seen: Seen) -> None:
    """One cluster, before and after something happens; raises Disagreement."""
    judge = Judge(facts)
    judge.run()
    if seed % 4 == 0 and at_once(facts) != judge.bound:
        raise Disagreement("what is decided depends on the budget")
    seen.started += len(judge.started)
    seen.rooms += len(judge.cluster.rooms)
    if seed % 5 == 0:
        seen.waiting += sum(gang.phase == "Inqueue" for gang in judge.cluster.gangs.values())
        seen.crowded_out += len(crowded_out(judge))
    judge.happen(Happenings(seed, judge.cluster).some)
    before = len(judge.started)
    judge.run()
    seen.later += len(judge.started) - before


def complaint(facts: list[Event], seed: int) -> str:
    """What they disagree about; empty if they do not."""
    try:
        follow(facts, seed, Seen())
    except Disagreement as error:
        return str(error)
    return ""


@pytest.mark.parametrize("block", range(0, CASES, BLOCK))
def test_the_engine_starts_whom_exhaustive_search_would_start(block: int) -> None:
    seen = Seen()
    for seed in range(block, block + BLOCK):
        facts = Case(seed).facts
        try:
            follow(facts, seed, seen)
        except Disagreement as error:
            smallest = shrink(facts, lambda each, seed=seed: bool(complaint(each, seed)))
            told = "\n".join([*lines(smallest), complaint(smallest, seed)])
            raise AssertionError(f"seed {seed}: {error}; the smallest such cluster:\n{told}") from error
    print("  ".join(f"{each.name} {getattr(seen, each.name)}" for each in fields(seen)))
    assert seen.started > BLOCK // 2
    assert seen.later > BLOCK // 25
    assert seen.rooms > BLOCK // 50
    assert seen.waiting > BLOCK // 25
    # Gangs go one after the other, each where it packs best: that may leave another one waiting, but seldom does.
    assert seen.crowded_out <= seen.waiting // 5
