"""Does a Volcano scheduler configuration become the policy it describes, or a list of everything wrong with it?"""

import pytest
import yaml

from flowbatch.errors import SpecErrors
from flowbatch.policy.actions import GangEvictArguments, PreemptArguments
from flowbatch.policy.arguments import Arguments
from flowbatch.policy.gates import Overcommit, QueueOpen
from flowbatch.policy.measuring import MetricsSource
from flowbatch.policy.ordering import DominantShare, Priority, UnreadyFirst
from flowbatch.policy.parts import SWITCHES
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


def test_arguments_of_actions_and_the_source_of_metrics_become_values():
    policy = read(
        """
        actions: "enqueue, allocate, preempt, gangreclaim"
        configurations:
        - name: preempt
          arguments: {enableTopologyAwarePreemption: "true", minCandidateNodesPercentage: 20}
        - name: gangreclaim
          arguments: {allowWholeBundle: false, maxDomains: "3"}
        - name: allocate
          arguments: {enablePredicateErrorCache: false}
        metrics: {type: prometheus, address: "http://prometheus:9090", interval: 1m30s}
        """
    )
    assert PreemptArguments(topology_aware=True, candidates_percent=20) == policy.preempt
    assert GangEvictArguments(domains_most=3, whole_gangs=False) == policy.gangreclaim
    assert GangEvictArguments() == policy.gangpreempt
    assert policy.metrics == MetricsSource(kind="prometheus", address="http://prometheus:9090", interval_ms=90_000)


def test_the_factor_of_the_enqueue_action_counts_where_no_plugin_says_it():
    old = "configurations: [{name: enqueue, arguments: {overcommit-factor: 1.5}}]\n"
    assert read(old).enqueue == (Overcommit(1.5),)
    assert read(old + "tiers: [{plugins: [{name: overcommit}]}]").enqueue == (Overcommit(1.2),)
    assert read(old + "actions: allocate").enqueue == ()


def test_every_problem_in_configurations_and_metrics_is_listed_too():
    assert problems_of(
        """
        configurations:
        - name: prempt
        - name: preempt
          argumnts: {}
          arguments: {enableTopologyAwarePremption: true, maxCandidateNodesAbsolute: none}
        - name: preempt
        - 7
        metrics: {type: promtheus, interval: soon, adress: x}
        """
    ) == {
        "configurations[0].name": ("no such action", 'did you mean "preempt"?'),
        "configurations[1].argumnts": ("no such setting", 'only "arguments"'),
        "configurations[1].arguments.enableTopologyAwarePremption": (
            "no such argument",
            'did you mean "enableTopologyAwarePreemption"?',
        ),
        "configurations[1].arguments.maxCandidateNodesAbsolute": ("must be a whole number from 1 to 1000000000", ""),
        "configurations[2].name": ("is there already, at configurations[1]", ""),
        "configurations[3]": ("must be a mapping with a name", ""),
        "metrics.type": ("is none of the known words", 'did you mean "prometheus"?'),
        "metrics.interval": ('must be a time such as "1000ms", "30s" or "1h30m"', ""),
        "metrics.address": ("is needed to ask a source of this type", ""),
        "metrics.adress": ("no such argument", 'did you mean "address"?'),
    }


@pytest.mark.parametrize(
    "text", ["tiers: x", "tiers: [7]", "tiers: [{plugins: 5}]", "configurations: none", "metrics: 1"]
)
def test_what_is_no_list_or_mapping_is_one_problem(text):
    assert len(problems_of(text)) == 1


def test_drf_with_hierarchy_and_proportion_contradict_each_other():
    text = "tiers: [{plugins: [{name: drf, enableHierarchy: true}, {name: proportion}]}]"
    assert "tiers[0].plugins[1]" in problems_of(text)
    assert read(text.replace("true", "false")).shares is not None


def test_every_switch_of_volcano_is_known_in_both_spellings():
    for switch in SWITCHES:
        for d in ("", "d"):
            read(f"tiers: [{{plugins: [{{name: gang, enable{d}{switch}: false}}]}}]")


@pytest.mark.parametrize(
    ("text", "ms"), [("100ms", 100), ("1s", 1000), ("1h30m", 5_400_000), ("1.5s", 1500), (2, 2000), ("2", 2000)]
)
def test_times_are_read_as_go_writes_them(text, ms):
    problems: list = []
    assert Arguments({"t": text}, "a", problems).duration_ms("t", 0) == ms
    assert problems == []


@pytest.mark.parametrize("text", ["", "soon", "1x", "-1s", "1s s", True, [], "9" * 400, "nan", "1e400"])
def test_what_is_no_time_is_a_problem(text):
    problems: list = []
    assert Arguments({"t": text}, "a", problems).duration_ms("t", 7) == 7
    assert len(problems) == 1


def extender(**arguments):
    told = {"extender.urlPrefix": "http://x/v1/", **{f"extender.{key}": value for key, value in arguments.items()}}
    return {"tiers": [{"plugins": [{"name": "extender", "arguments": told}]}]}


def test_an_extender_asks_the_verbs_it_has_and_no_others():
    policy = read_volcano(
        extender(
            httpTimeout="100ms",
            predicateVerb="predicate",
            jobReadyVerb="ready",
            onSessionOpenVerb="open",
            managedResources=["a/b", "c/d"],
            ignorable="true",
        )
    )
    (found,) = policy.confirmations
    assert (found.url, found.timeout_ms, found.ignorable) == ("http://x/v1", 100, True)
    assert found.resources == ("a/b", "c/d")
    assert found.verbs == (("predicate", "predicate"), ("jobReady", "ready"))


def test_a_switch_takes_away_the_verb_that_belongs_to_it():
    mapping = extender(predicateVerb="p", prioritizeVerb="r")
    mapping["tiers"][0]["plugins"][0]["enablePredicate"] = False
    assert read_volcano(mapping).confirmations[0].verbs == (("prioritize", "r"),)


def test_whom_an_extender_should_be_asked_about_is_spared_unless_it_may_be_ignored():
    assert len(read_volcano(extender(preemptableVerb="p", reclaimableVerb="r")).preemptable) == 1
    assert read_volcano(extender(preemptableVerb="p", ignorable=True)).preemptable == ()
    assert read_volcano(extender(predicateVerb="p")).reclaimable == ()


def test_problems_of_an_extender_have_their_paths():
    mapping = extender(httpTimeout="2m", predicateVerb="../x", prioritzeVerb="r")
    mapping["tiers"][0]["plugins"][0]["arguments"]["extender.urlPrefix"] = "ftp://x"
    with pytest.raises(SpecErrors) as caught:
        read_volcano(mapping)
    assert [each.path.rpartition(".")[2] for each in caught.value] == [
        "urlPrefix",
        "httpTimeout",
        "predicateVerb",
        "prioritzeVerb",
    ]
    with pytest.raises(SpecErrors, match="must be set"):
        read_volcano({"tiers": [{"plugins": [{"name": "extender"}]}]})
