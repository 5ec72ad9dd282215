"""Does a Volcano scheduler configuration become the policy it describes, or a list of everything wrong with it?"""

import pytest
import yaml

from flowbatch.errors import SpecErrors
from flowbatch.policy.gates import Overcommit, QueueOpen
from flowbatch.policy.ordering import DominantShare, Priority, UnreadyFirst
from flowbatch.policy.scores import BinPack, PreferredAffinity
from flowbatch.policy.volcano import read_volcano

HELM = """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
    enablePreemptable: false
- plugins:
  - name: overcommit
  - name: drf
    enablePreemptable: false
  - name: predicates
  - name: proportion
  - name: nodeorder
  - name: binpack
"""


def read(text):
    return read_volcano(yaml.safe_load(text))


def problems_of(text):
    with pytest.raises(SpecErrors) as caught:
        read(text)
    return {each.path: (each.problem, each.hint) for each in caught.value.problems}


def test_orders_and_scores_keep_the_order_of_tiers_and_plugins():
    policy = read(HELM)
    assert [type(each) for each in policy.gang_order] == [Priority, UnreadyFirst, DominantShare]
    assert (Overcommit(1.2), QueueOpen()) == policy.enqueue[:2]
    assert policy.shares is not None
    assert any(isinstance(each, BinPack) for each in policy.scores)


def test_without_the_enqueue_action_every_gang_passes_the_gate():
    assert read(HELM.replace("enqueue, ", "")).enqueue == ()


def test_a_switch_takes_away_what_the_plugin_adds_there_and_nothing_else():
    policy = read("tiers: [{plugins: [{name: proportion, enableQueueOrder: false}, {name: gang}]}]")
    assert policy.queue_order == ()
    assert policy.limits
    assert read("tiers: [{plugins: [{name: gang, enabledJobOrder: 'false'}]}]").gang_order == ()


def test_arguments_may_be_text_or_numbers_as_in_volcano():
    policy = read(
        """
        tiers:
        - plugins:
          - name: binpack
            arguments: {binpack.weight: "3", binpack.resources: "nvidia.com/gpu, x/y", binpack.resources.x/y: 7}
          - name: nodeorder
            arguments: {nodeaffinity.weight: 5, leastrequested.weight: 0}
        """
    )
    weights = (("cpu", 1), ("memory", 1), ("nvidia.com/gpu", 1), ("x/y", 7))
    assert BinPack(3, weights, other=0) in policy.scores
    assert PreferredAffinity(5) in policy.scores


def test_every_problem_is_listed_with_its_path_and_the_nearest_right_word():
    assert problems_of(
        """
        actoins: "allocate"
        actions: "enqueue, alocate"
        tiers:
        - plugins:
          - name: proporton
          - name: gang
            enableJobOrdr: true
          - name: overcommit
            arguments: {overcommit-factor: 0.5, factor: 2}
          - name: gang
          - binpack
        - gang
        """
    ) == {
        "actoins": ("no such setting", 'did you mean "actions"?'),
        "actions": ("no such action", 'did you mean "allocate"?'),
        "tiers[0].plugins[0].name": ("no such plugin", 'did you mean "proportion"?'),
        "tiers[0].plugins[1].enableJobOrdr": ("no such switch", 'did you mean "enableJobOrder"?'),
        "tiers[0].plugins[2].arguments.overcommit-factor": ("must be a number from 1 to 1000", ""),
        "tiers[0].plugins[2].arguments.factor": ("no such argument", "one of overcommit-factor"),
        "tiers[0].plugins[3].name": ("is there already, at tiers[0].plugins[1]", ""),
        "tiers[0].plugins[4]": ("must be a mapping with a name", ""),
        "tiers[1].plugins": ("must be a list of plugins", ""),
    }
