"""Long random lives with an extender that answers anything, late, twice or never: is every plan safe, and nobody lost?

The same walk as `test_props_walk`, with open questions beside bindings on their way.
"""

import os
from dataclasses import replace

import pytest

from flowbatch.engine.decisions import Ask, Bind
from flowbatch.engine.events import Answered
from flowbatch.policy.extender import Extender
from flowbatch.policy.presets import DEFAULT
from tests.factworld import World
from tests.props.test_props_walk import Walk

LIVES = int(os.environ.get("FLOWBATCH_WALKS", "60"))
VERBS = (("predicate", "p"), ("prioritize", "r"), ("jobReady", "j"), ("jobEnqueueable", "e"))


class AskedWorld(World):
    """Keeps the questions that nobody has answered yet."""

    asks: list[Ask]

    def cycle(self, budget=1_000):
        plan = super().cycle(budget)
        self.asks += [each for each in plan.decisions if isinstance(each, Ask)]
        return plan


class AskedWalk(Walk):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        verbs = tuple(verb for verb in VERBS if self.luck.random() < 0.7)
        asking = Extender(url="http://x", verbs=verbs, resources=self.luck.choice([(), ("cpu",)]))
        self.world.__class__ = AskedWorld
        self.world.asks = []
        self.world.policy = replace(DEFAULT, confirmations=(asking,))
        self.world.engine.adopt(self.world.policy)
        kept = [each for each in self.ways if each[1].__name__ not in ("restart", "nobody_is_left_parked")]
        self.ways = [*kept, (12, self.somebody_answers), (1, self.an_old_answer_comes)]

    def somebody_answers(self) -> None:
        luck, asks = self.luck, self.world.asks
        for ask in asks[: luck.randint(0, len(asks))]:
            asks.remove(ask)
            self.world.tell(self.answer(ask))

    def answer(self, ask: Ask) -> Answered:
        luck = self.luck
        if luck.random() < 0.2:
            return Answered(ask.ask, "no")
        subjects = ask.inquiry.subjects if ask.inquiry else ()
        refused = [(each.uid, name, "no") for each in subjects for name in each.nodes if luck.random() < 0.2]
        ranks = [0.0, 0.5, 1.0, float("nan"), 7.0]
        scores = [
            (each.uid, name, luck.choice(ranks)) for each in subjects for name in each.nodes if luck.random() < 0.5
        ]
        return Answered(ask.ask, "yes", tuple(refused), (*scores, ("nobody", "nowhere", 1.0)))

    def an_old_answer_comes(self) -> None:
        self.world.tell(Answered(f"ask-{self.luck.randint(1, 9)}", self.luck.choice(["yes", "no"])))

    def live(self) -> None:
        weights = [weight for weight, _ in self.ways]
        for _ in range(50):
            self.luck.choices([way for _, way in self.ways], weights)[0]()
        self.everybody_gets_an_answer()

    def everybody_gets_an_answer(self) -> None:
        """From now on the extender says yes: in the end nobody waits who could run if it were not asked."""
        world = self.world
        for _ in range(200):
            world.now += 60_000
            for ask in world.asks:
                world.tell(Answered(ask.ask, "yes"))
            world.asks = []
            plan = world.cycle()
            world.answer(world.in_flight)
            if not world.asks and not world.in_flight and not plan.more and not plan.wake_at:
                break
        held = [uid for uid, task in world.engine.state.tasks.items() if task.state.name == "HELD"]
        assert held == []
        world.engine.adopt(DEFAULT)
        assert not any(isinstance(each, Bind) for each in world.cycle().decisions), "somebody was left waiting"


@pytest.mark.parametrize("seed", range(LIVES))
def test_whatever_an_extender_answers_every_plan_is_safe_and_nobody_is_lost(seed):
    AskedWalk(seed).live()


@pytest.mark.parametrize("seed", [1140])
def test_lives_with_an_extender_that_once_went_wrong(seed):
    AskedWalk(seed).live()
