"""What becomes of HyperNodes and of networkTopology on their way into the engine?"""

from datetime import UTC, datetime

import msgspec
import pytest

from flowbatch.api.scheduling import PodGroup
from flowbatch.api.topology import HyperNode
from flowbatch.engine.decisions import HyperNodeReport, Report
from flowbatch.engine.events import GangSeen, LabelTest, Members, Reach, SubGroups
from flowbatch.scheduler.domain_requests import hyper_node_request
from flowbatch.scheduler.requests import group_request
from flowbatch.scheduler.topology_facts import hyper_node_fact, labels_asked_by, with_topology
from flowbatch.scheduler.translate import UnreadableError

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def group(**spec):
    return msgspec.convert({"metadata": {"name": "g", "namespace": "ns", "uid": "u"}, "spec": spec}, PodGroup)


def topology_of(**spec):
    return with_topology(GangSeen("ns/g", "u", "default"), group(**spec))


def test_every_kind_of_member_is_understood_and_what_is_not_selects_nobody():
    selectors = [
        {"type": "Node", "selector": {"exactMatch": {"name": "a"}}},
        {"type": "HyperNode", "selector": {"regexMatch": {"pattern": "^r"}}},
        {"type": "Node", "selector": {"labelMatch": {"matchLabels": {"k": "v"}}}},
        {"type": "Node", "selector": {"labelMatch": {}}},
        {"type": "Node", "selector": {}},
    ]
    body = {"metadata": {"name": "hn"}, "spec": {"tier": 2, "tierName": "block", "members": selectors}}
    fact = hyper_node_fact(msgspec.convert(body, HyperNode))
    assert (fact.name, fact.tier, fact.tier_name) == ("hn", 2, "block")
    assert fact.members == (
        Members("Node", "a"),
        Members("HyperNode", pattern="^r"),
        Members("Node", labels=(LabelTest("k", "In", ("v",)),)),
        Members("Node", labels=(LabelTest("metadata.name", "Exists", field=True),)),
        Members("Node"),
    )


def test_closeness_is_read_from_groups_and_policies():
    assert topology_of().reach is None
    assert topology_of(networkTopology={}).reach == Reach()
    assert topology_of(networkTopology={"mode": "soft", "highestTierAllowed": 2}).reach == Reach(soft=True)
    assert topology_of(networkTopology={"highestTierName": "rack"}).reach == Reach(name="rack")
    policy = {"name": "t", "subGroupSize": 0, "matchLabelKeys": ["p"], "networkTopology": {"highestTierAllowed": 1}}
    assert topology_of(subGroupPolicy=[policy]).sub_groups == (SubGroups("t", 1, 0, (), ("p",), Reach(highest=1)),)


def test_a_contradiction_is_unreadable():
    with pytest.raises(UnreadableError, match="both"):
        topology_of(networkTopology={"highestTierAllowed": 1, "highestTierName": "rack"})


def test_labels_that_policies_look_at_are_asked_for():
    selector = {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}
    assert labels_asked_by(group(subGroupPolicy=[{"labelSelector": selector, "matchLabelKeys": ["c", "a"]}])) == [
        "c",
        "a",
        "b",
    ]


def test_a_hypernodes_status_is_written_only_where_it_differs():
    node = msgspec.convert({"metadata": {"name": "hn", "uid": "u"}}, HyperNode)
    assert hyper_node_request(HyperNodeReport("hn", 0), node, MOMENT) is None
    request = hyper_node_request(HyperNodeReport("hn", 3, "it is odd"), node, MOMENT)
    status = msgspec.json.decode(request.body)["status"]
    assert status["nodeCount"] == 3
    assert status["conditions"][0]["type"] == "Sound"
    said = msgspec.convert({"metadata": {"name": "hn", "uid": "u"}, "status": status}, HyperNode)
    assert hyper_node_request(HyperNodeReport("hn", 3, "it is odd"), said, MOMENT) is None
    mended = hyper_node_request(HyperNodeReport("hn", 3), said, MOMENT)
    assert msgspec.json.decode(mended.body)["status"]["conditions"][0]["status"] == "True"


def test_the_home_of_a_gang_goes_out_with_its_status_or_alone():
    report = Report("ns/g", "Running", home="s1")
    body = msgspec.json.decode(group_request(report, group(), MOMENT, "").body)
    assert body["metadata"]["annotations"] == {"volcano.sh/job-allocated-hypernode": "s1"}
    assert body["status"]["phase"] == "Running"
