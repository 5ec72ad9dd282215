"""Does it matter in which order facts arrive, and is an engine that heard them one by one the same as a fresh one?"""

import random

import pytest

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, NodeSeen, Synced
from tests.factworld import digest
from tests.reference.cases import Case, Happenings
from tests.reference.judge import Judge

CASES, BLOCK = 300, 100


def outcome(facts: list[Event]) -> tuple[list[tuple[str, str]], dict[str, object], object]:
    """Who is bound where, in order; why the others wait; the books."""
    engine = Engine(validate=True)
    engine.observe([*facts, Synced()])
    bound: list[tuple[str, str]] = []
    plan = engine.cycle(Tick(1_000, 10_000))
    while plan.decisions or plan.more:
        bound += [(each.uid, each.node) for each in plan.decisions if isinstance(each, Bind)]
        plan = engine.cycle(Tick(1_000, 10_000))
    waiting = {gang: _told(engine, gang) for gang in sorted(engine.state.gangs)}
    return bound, waiting, digest(engine)


def _told(engine: Engine, gang: str) -> object:
    told = engine.explain(gang)
    return told and (told.blocker, told.message, told.short, told.behind)


@pytest.mark.parametrize("block", range(0, CASES, BLOCK))
def test_any_order_of_the_same_facts_gives_the_same_decisions_and_reasons(block: int) -> None:
    for seed in range(block, block + BLOCK):
        facts = Case(seed).facts
        first = [fact for fact in facts if isinstance(fact, NodeSeen)]
        expected = outcome([*first, *(fact for fact in facts if not isinstance(fact, NodeSeen))])
        for turn in range(3):
            # Ties between nodes fall by the order in which their names came; that of everything else must not matter.
            others = [fact for fact in facts if not isinstance(fact, NodeSeen)]
            random.Random(seed * 7 + turn).shuffle(others)
            assert outcome([*first, *others]) == expected, f"seed {seed}, order {turn}"


@pytest.mark.parametrize("block", range(0, CASES, BLOCK))
def test_repeating_everything_changes_nothing_and_a_rebuild_has_the_same_books(block: int) -> None:
    for seed in range(block, block + BLOCK):
        judge = Judge(Case(seed).facts)
        judge.run()
        judge.happen(Happenings(seed, judge.cluster).some)
        judge.run()
        judge.happen(list)
        cluster, before = judge.cluster, digest(judge.engine)
        levels: list[Event] = [*cluster.queues.values(), *cluster.nodes.values(), *cluster.pods.values()]
        judge.engine.observe(levels)
        assert digest(judge.engine) == before, f"seed {seed}: repeated facts changed something"
        if judge.cluster.rooms:
            continue  # room that is held is a decision, not a fact
        fresh = Engine(validate=True)
        fresh.observe([*cluster.gangs.values(), *levels, Synced()])
        fresh.cycle(Tick(judge.now, 0))
        assert digest(fresh) == before, f"seed {seed}: a rebuild has other books"
