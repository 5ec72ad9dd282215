"""Do the example policies do what they say, and does every block of the tutorial run?"""

import re
from pathlib import Path

import pytest

from flowbatch.engine.engine import Engine
from flowbatch.engine.events import PodGone, Synced
from flowbatch.policy.describe import describe
from flowbatch.runtime.plugins import PolicyFiles
from flowbatch.runtime.policies import choose
from flowbatch.runtime.settings import load_settings
from tests.textcluster import bound, confirm, cycle, facts, finish, gangs_bound, node, why

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "policies"
BLOCK = re.compile(r"```(python|yaml)\n# (\S+)\n(.*?)```", re.DOTALL)


def settings(folder, text):
    path = folder / "settings.yaml"
    path.write_text(text)
    return choose(load_settings(path, environment={})).policy


def engine(policy, *lines):
    made = Engine(policy, validate=True)
    made.observe([*facts(*lines), Synced()])
    return made


def using(tmp_path, name, policy):
    (tmp_path / f"{name}.py").write_text((EXAMPLES / f"{name}.py").read_text())
    return settings(tmp_path, f"policies: [{name}.py]\nscheduler: {{policy: {policy}}}\n")


def healthy(made):
    assert made.guard.failures == {}
    return made


# -- worked examples


def test_deadline_first_keeps_the_promise_that_ends_first(tmp_path):
    policy = using(tmp_path, "deadline_first", "{gangOrder: [{name: deadlineFirst, minutes: {urgent: 5}}]}")
    lines = ("1 nodes: cpu=1", "queue urgent: weight=1", "gang patient: 1x cpu=1", "gang hasty: 1x cpu=1, queue urgent")
    alone = ("1 nodes: cpu=1", "gang old: 1x cpu=1", "gang young: 1x cpu=1")
    assert gangs_bound(cycle(healthy(engine(policy, *alone)))) == {"old": 1}
    made = engine(policy, *lines)
    order = made.policy.gang_order[0]
    keys = {name: order.key(made.state.gangs[f"ns/{name}"], None) for name in ("patient", "hasty")}
    assert keys["hasty"] < keys["patient"]


def test_energy_aware_takes_thrifty_nodes_first_and_survives_nonsense(tmp_path):
    policy = using(tmp_path, "energy_aware", "{scores: [{name: thrifty, weight: 3}, binPack]}")
    label = "example.com/watts-per-cpu"
    made = engine(policy)
    made.observe(
        [node("hot", f"cpu=4 {label}:15"), node("odd", f"cpu=4 {label}:much"), node("cool", f"cpu=4 {label}:3")]
    )
    made.observe(facts("gang a: 9x cpu=1"))
    places = list(bound(cycle(healthy(made))).values())
    assert places == ["cool"] * 4 + ["odd"] * 4 + ["hot"]


def test_a_team_stays_within_its_budget_and_others_do_not_mind(tmp_path):
    policy = using(tmp_path, "team_budget", "{admission: [{name: teamBudget, cpu: {ns: 4}}]}")
    made = engine(policy, "9 nodes: cpu=4", "gang a: 3x cpu=1", "gang b: 2x cpu=1", "gang c: 1x cpu=1")
    plan = cycle(healthy(made))
    assert gangs_bound(plan) == {"a": 3, "c": 1}
    assert "team ns holds 3 of its 4 cpu, and this needs 2 more" in why(made, "b")
    confirm(made, plan)
    finish(made, ["a-0"])
    assert gangs_bound(cycle(made)) == {}
    finish(made, ["a-1"])
    assert gangs_bound(cycle(made)) == {"b": 2}


def test_a_budget_counts_what_was_placed_before_it_was_adopted(tmp_path):
    from flowbatch.policy.presets import DEFAULT

    policy = using(tmp_path, "team_budget", "{admission: [{name: teamBudget, cpu: {ns: 4}}]}")
    made = engine(DEFAULT, "9 nodes: cpu=4", "gang a: 4x cpu=1")
    confirm(made, cycle(made))
    made.adopt(policy)
    made.observe(facts("gang b: 1x cpu=1"))
    assert gangs_bound(cycle(made)) == {}
    made.observe([PodGone("a-0")])
    assert gangs_bound(cycle(made)) == {"b": 1}


def test_elastic_members_do_not_lift_a_team_above_its_budget(tmp_path):
    policy = using(tmp_path, "team_budget", "{admission: [{name: teamBudget, cpu: {ns: 4}}]}")
    made = engine(policy, "9 nodes: cpu=4", "gang a: 9x cpu=1, min 2")
    assert gangs_bound(cycle(made)) == {"a": 2}


def test_the_template_loads_and_places(tmp_path):
    lists = "gangOrder: [byName], filters: [schedulable, selector, taints, notOnOdd]"
    scores = "scores: [binPack, {name: fewPods, weight: 2}, {name: roomiest, weight: 0.5}]"
    policy = using(tmp_path, "template", f"{{{lists}, {scores}, admission: [workHours]}}")
    made = engine(policy, "2 nodes: cpu=4", "node odd: cpu=4 example.com/odd:true", "gang a: 9x cpu=1, min 1")
    night = cycle(made, now=3_600_000)
    assert bound(night) == {}
    assert night.wake_at == 8 * 3_600_000
    placed = bound(cycle(healthy(made), now=8 * 3_600_000))
    assert len(placed) == 8
    assert "odd" not in placed.values()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_can_be_named_in_a_tier_too(path, tmp_path):
    table = PolicyFiles().read([path], problems := [])
    assert problems == []
    plugins = ", ".join(f"{{name: {name}}}" for name in table if hasattr(table[name], "parts"))
    assert plugins
    policy = settings(tmp_path, f"policies: ['{path}']\ntiers: [{{plugins: [{plugins}]}}]\n")
    assert describe(policy)["name"] == "volcano"


# -- the tutorial


def blocks():
    return [(kind, name, text) for kind, name, text in BLOCK.findall((ROOT / "docs" / "policies.md").read_text())]


def test_every_block_of_the_tutorial_runs(tmp_path):
    found = blocks()
    assert len(found) >= 8
    for kind, name, text in found:
        (tmp_path / name).write_text(text)
        if kind == "yaml":
            assert choose(load_settings(tmp_path / name, environment={})).policy is not None
    files = PolicyFiles()
    table = files.read([tmp_path / name for kind, name, _ in found if kind == "python"], problems := [])
    assert problems == []
    named = ", ".join(f"{{name: {name}}}" for name in table if hasattr(table[name], "parts"))
    names = ", ".join(name for kind, name, _ in found if kind == "python")
    policy = settings(tmp_path, f"policies: [{names}]\ntiers: [{{plugins: [{named}, {{name: predicates}}]}}]\n")
    made = engine(policy, "3 nodes: cpu=4 example.com/room:b12", "gang a: 3x cpu=1", "gang b: 65x cpu=1")
    cycle(made, now=1_000)
    assert gangs_bound(cycle(healthy(made), now=60_000)) == {"a": 3}
    assert "65 members" in why(made, "b")


def test_the_tutorial_says_in_what_lists_policies_may_stand():
    from flowbatch.policy.conf import LISTS

    text = (ROOT / "docs" / "policies.md").read_text()
    assert [key for key in LISTS if f"`{key}`" not in text] == []
