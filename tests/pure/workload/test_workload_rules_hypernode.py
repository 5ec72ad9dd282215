"""Is a HyperNode refused for what Volcano refuses it for (e2e hypernode_validation_test.go), with the path of each?"""

import pytest

from flowbatch.workload.rules import check_hyper_node


def hyper_node(*members, **spec):
    return {"metadata": {"name": "hn"}, "spec": {"tier": 1, "members": list(members), **spec}}


def member(kind="Node", **selector):
    return {"type": kind, "selector": selector}


@pytest.mark.parametrize(
    "selector",
    [
        {"exactMatch": {"name": "node-1.example.com"}},
        {"regexMatch": {"pattern": "^node-[0-9]+$"}},
        {"labelMatch": {"matchLabels": {"rack": "a"}}},
        {"labelMatch": {"matchExpressions": [{"key": "rack", "operator": "Exists"}]}},
    ],
)
def test_each_way_to_select_is_fine(selector):
    assert check_hyper_node(hyper_node(member(**selector), tierName="rack")) == []


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (hyper_node(member(exactMatch={"name": ""})), "spec.members[0].selector.exactMatch.name"),
        (hyper_node(member(exactMatch={"name": "Node_1"})), "spec.members[0].selector.exactMatch.name"),
        (hyper_node(member(regexMatch={"pattern": ""})), "spec.members[0].selector.regexMatch.pattern"),
        (hyper_node(member(regexMatch={"pattern": "a(b"})), "spec.members[0].selector.regexMatch.pattern"),
        (hyper_node(member(regexMatch={"pattern": "[a-"})), "spec.members[0].selector.regexMatch.pattern"),
        (hyper_node(), "spec.members"),
        (hyper_node(member()), "spec.members[0].selector"),
        (hyper_node({"type": "Node"}), "spec.members[0].selector"),
        (
            hyper_node(member(exactMatch={"name": "a"}, regexMatch={"pattern": "a"})),
            "spec.members[0].selector",
        ),
        (hyper_node(member("HyperNode", labelMatch={})), "spec.members[0].selector.labelMatch"),
        (hyper_node(member("Rack", exactMatch={"name": "a"})), "spec.members[0].type"),
        (hyper_node(member(exactMatch={"name": "a"}), tier=-1), "spec.tier"),
        (hyper_node(member(exactMatch={"name": "a"}), tier=None), "spec.tier"),
        (hyper_node(member(exactMatch={"name": "a"}), tierName="x" * 254), "spec.tierName"),
        (hyper_node(member(exactMatch={"name": "a"}), tiername="x"), "spec.tiername"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_path(manifest, path):
    assert path in [each.path for each in check_hyper_node(manifest)]
