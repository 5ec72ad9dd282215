"""Does a mapping become the policy it describes, or a list of everything that is wrong with it?"""

import pytest

from flowbatch.errors import SpecErrors
from flowbatch.policy.conf import read_policy
from flowbatch.policy.gates import Overcommit, QueueOpen
from flowbatch.policy.ordering import Priority
from flowbatch.policy.presets import DEFAULT, SPREAD
from flowbatch.policy.scores import BinPack


def test_empty_mapping_is_the_default_under_another_name():
    policy = read_policy({})
    assert DEFAULT.scores == policy.scores
    assert policy.name == "custom"


def test_everything_said_replaces_what_the_preset_says():
    policy = read_policy(
        {
            "name": "mine",
            "preset": "spread",
            "gangOrder": ["priority"],
            "enqueue": ["queueOpen", {"name": "overcommit", "factor": 1.5}],
            "scores": [{"name": "binPack", "weight": 2, "resources": {"cpu": 5}}],
            "shares": None,
            "surplusBatch": 4,
        }
    )
    assert (Priority(),) == policy.gang_order
    assert (QueueOpen(), Overcommit(1.5)) == policy.enqueue
    assert (BinPack(2.0, (("cpu", 5.0),)),) == policy.scores
    assert SPREAD.filters == policy.filters
    assert policy.shares is None
    assert policy.surplus_batch == 4


def test_every_problem_is_listed_with_its_path_and_the_nearest_right_word():
    with pytest.raises(SpecErrors) as caught:
        read_policy(
            {
                "nam": "x",
                "preset": "defualt",
                "scores": ["binpak", {"name": "binPack", "wieght": 1}, {"name": "binPack", "weight": -1}, 7],
                "filters": "taints",
                "surplusBatch": 0,
                "enqueue": [{"name": "overcommit", "factor": 0.5}],
            }
        )
    problems = {each.path: each.hint for each in caught.value.problems}
    assert problems == {
        "nam": 'did you mean "name"?',
        "preset": 'did you mean "default"?',
        "scores[0]": 'did you mean "binPack"?',
        "scores[1].wieght": 'did you mean "weight"?',
        "scores[2].weight": "",
        "scores[3]": "",
        "filters": "",
        "surplusBatch": "",
        "enqueue[0].factor": "",
    }


def test_policies_of_users_come_in_by_name():
    class Mine(Priority):
        pass

    assert isinstance(read_policy({"gangOrder": ["mine"]}, {"mine": Mine}).gang_order[0], Mine)


def test_evictions_are_named_beside_the_other_actions():
    policy = read_policy({"evictions": ["preempt", "shuffle"], "holdMs": 1000, "preemptMinRuntimeMs": 5})
    assert policy.actions == ("enqueue", "allocate", "backfill", "preempt", "shuffle")
    assert (policy.hold_ms, policy.preempt_min_runtime_ms) == (1000, 5)
    assert read_policy({"preset": "preempting"}).actions[-1] == "gangreclaim"
    moving = read_policy({"evictions": ["consolidate"], "movedMost": 3, "moveCooldownMs": 5})
    assert (moving.actions[-1], moving.moved_most, moving.move_cooldown_ms) == ("consolidate", 3, 5)
    with pytest.raises(SpecErrors, match="preempt") as problems:
        read_policy({"evictions": ["premept"], "holdMs": 0})
    assert len(problems.value.problems) == 2
    with pytest.raises(SpecErrors):
        read_policy({"evictions": "preempt"})
