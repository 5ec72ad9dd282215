"""Is what administrators have (settings, Volcano's file, a ConfigMap, its folder) read as it is, or refused whole?"""

import pytest
import yaml

from flowbatch.cli.validate import check
from flowbatch.errors import SpecErrors
from flowbatch.policy.ordering import DominantShare, Priority
from flowbatch.runtime.engines import EngineMaker
from flowbatch.runtime.files import read_file
from flowbatch.runtime.plugins import PolicyFiles
from flowbatch.runtime.policies import choose
from flowbatch.runtime.settings import Settings, load_settings, waiting_for_a_start

VOLCANO = "actions: 'enqueue, allocate'\ntiers: [{plugins: [{name: priority}, {name: drf}]}]\n"


def config_map(text):
    inner = "".join(f"    {line}\n" for line in text.splitlines())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  volcano-scheduler.conf: |\n{inner}"


def problems_of(path):
    with pytest.raises(SpecErrors) as caught:
        choose(load_settings(path, environment={}))
    return {each.path: str(each) for each in caught.value}


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def orders(path):
    return [type(each) for each in choose(load_settings(path, environment={})).policy.gang_order]


def test_a_volcano_configuration_is_a_settings_file(tmp_path):
    assert orders(write(tmp_path, "volcano-scheduler.conf", VOLCANO)) == [Priority, DominantShare]


def test_flowbatch_settings_stand_in_the_same_file(tmp_path):
    path = write(tmp_path, "conf", VOLCANO + "scheduler: {names: [volcano, mine], lanes: 3}\n")
    settings = load_settings(path, environment={})
    assert (settings.scheduler.names, settings.scheduler.lanes) == (("volcano", "mine"), 3)
    assert orders(path) == [Priority, DominantShare]


def test_a_config_map_object_is_read_by_its_key(tmp_path):
    assert orders(write(tmp_path, "cm.yaml", config_map(VOLCANO))) == [Priority, DominantShare]


def test_a_mounted_folder_is_read_with_flowbatch_settings_beside_volcanos(tmp_path):
    write(tmp_path, "volcano-scheduler.conf", VOLCANO)
    write(tmp_path, "flowbatch.yaml", "scheduler: {lanes: 7}")
    write(tmp_path, "unrelated.conf", "::")
    assert orders(tmp_path) == [Priority, DominantShare]
    assert load_settings(tmp_path, environment={}).scheduler.lanes == 7


def test_a_folder_with_one_file_of_another_name_is_clear(tmp_path):
    write(tmp_path, "volcano-scheduler-ci.conf", VOLCANO)
    assert orders(tmp_path) == [Priority, DominantShare]


@pytest.mark.parametrize(
    "data", ["", "data: {}", "data: [a]", "data: {a.conf: 'x: 1', b.conf: 'y: 1'}", "data: {volcano-scheduler.conf: 5}"]
)
def test_a_config_map_that_does_not_say_which_is_refused(tmp_path, data):
    with pytest.raises(SpecErrors):
        read_file(write(tmp_path, "cm.yaml", f"kind: ConfigMap\n{data}\n"))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SpecErrors, match="must hold"):
        read_file(tmp_path)


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "[" * 5000, "a: &x 1\nb: *y\n", "- a\n", "\x00"])
def test_a_file_that_says_a_thing_twice_or_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises(SpecErrors):
        read_file(write(tmp_path, "x.yaml", text))


def test_a_key_in_both_files_of_a_folder_is_a_problem(tmp_path):
    write(tmp_path, "volcano-scheduler.conf", VOLCANO)
    write(tmp_path, "flowbatch.yaml", "actions: allocate")
    with pytest.raises(SpecErrors, match="another file"):
        read_file(tmp_path)


def test_two_policies_at_once_are_a_contradiction(tmp_path):
    path = write(tmp_path, "x.yaml", VOLCANO + "scheduler: {policy: fifo}\n")
    assert "said already, by actions and tiers" in problems_of(path)["scheduler.policy"]


def test_one_error_tells_what_is_wrong_with_settings_and_with_policies(tmp_path):
    text = "tiers: [{plugins: [{name: gangg}]}]\nscheduler: {lains: 3, shadow: spred}\npolicies: [none.py]\n"
    assert set(problems_of(write(tmp_path, "x.yaml", text))) == {
        "tiers[0].plugins[0].name",
        "scheduler.lains",
        "scheduler.shadow",
        "policies[0]",
    }


def test_problems_of_a_described_policy_stand_at_their_place(tmp_path):
    path = write(tmp_path, "x.yaml", "scheduler: {policy: {scores: [binPak]}, shadow: {preset: fifoo}}")
    assert set(problems_of(path)) == {"scheduler.policy.scores[0]", "scheduler.shadow.preset"}


# -- policies by file

DEADLINE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Youngest:
    parts = ("gang_order",)
    factor: float = 1.0

    def key(self, gang, view):
        return (-gang.created * self.factor,)

@dataclass(frozen=True)
class _Private:
    def key(self, gang, view):
        return ()
"""


def test_policies_by_file_come_in_by_name_in_both_languages(tmp_path):
    write(tmp_path, "mine.py", DEADLINE)
    path = write(
        tmp_path, "x.yaml", "policies: [mine.py]\nscheduler: {policy: {gangOrder: [{name: youngest, factor: 2}]}}"
    )
    (order,) = choose(load_settings(path, environment={})).policy.gang_order
    assert (type(order).__name__, order.factor) == ("Youngest", 2)
    path.write_text(
        "policies: [mine.py]\ntiers: [{plugins: [{name: priority}, {name: youngest, arguments: {factor: 3}}]}]"
    )
    _, order = choose(load_settings(path, environment={})).policy.gang_order
    assert order.factor == 3


def test_a_switch_takes_away_what_a_users_plugin_adds(tmp_path):
    write(tmp_path, "mine.py", DEADLINE)
    path = write(
        tmp_path, "x.yaml", "policies: [mine.py]\ntiers: [{plugins: [{name: youngest, enableJobOrder: false}]}]"
    )
    assert choose(load_settings(path, environment={})).policy.gang_order == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_the_kind", "line 1: ModuleNotFoundError"),
        ("\n\nx = 1 / 0", "line 3: ZeroDivisionError"),
        ("def (", "line 1: SyntaxError"),
        ("raise SystemExit(3)", "line 1: SystemExit"),
        ("x = 1", "defines no policy"),
    ],
)
def test_a_policy_file_that_fails_says_where(tmp_path, text, told):
    write(tmp_path, "bad.py", text)
    assert told in problems_of(write(tmp_path, "x.yaml", "policies: [bad.py]"))["policies[0]"]


@pytest.mark.parametrize(
    ("plugin", "where"),
    [
        ("{name: youngest, arguments: {facter: 1}}", "arguments.facter"),
        ("{name: youngest, arguments: {factor: x}}", "arguments.factor"),
        ("{name: yungest}", "name"),
    ],
)
def test_bad_arguments_of_a_users_plugin_are_told_like_any_others(tmp_path, plugin, where):
    write(tmp_path, "mine.py", DEADLINE)
    path = write(tmp_path, "x.yaml", f"policies: [mine.py]\ntiers: [{{plugins: [{plugin}]}}]")
    assert set(problems_of(path)) == {f"tiers[0].plugins[0].{where}"}


def test_a_file_that_did_not_change_gives_the_same_classes_again(tmp_path):
    files, path = PolicyFiles(), write(tmp_path, "mine.py", DEADLINE)
    first, again = (files.read([path], [])["youngest"] for _ in range(2))
    path.write_text(DEADLINE + "\n# changed")
    assert first is again is not files.read([path], [])["youngest"]


UNFIT = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Unfit:
    parts = ("queue_order",)

    @property
    def by_tree(self):
        raise ValueError("do not look at me")

    def key(self, queue, view):
        return (1,)

    def __eq__(self, other):
        raise ValueError("do not compare me")
"""


def test_a_policy_that_no_engine_can_take_on_is_a_problem_and_not_a_crash(tmp_path):
    write(tmp_path, "unfit.py", UNFIT)
    path = write(tmp_path, "x.yaml", "policies: [unfit.py]\nscheduler: {policy: {queueOrder: [unfit]}}")
    assert "do not look at me" in problems_of(path)["scheduler.policy"]


def test_a_policy_that_cannot_be_compared_counts_as_another_one(tmp_path):
    write(tmp_path, "unfit.py", UNFIT.replace('raise ValueError("do not look at me")', "return False"))
    path = write(tmp_path, "x.yaml", "policies: [unfit.py]\nscheduler: {policy: {queueOrder: [unfit]}}")
    maker = EngineMaker(load_settings(path, environment={}))
    assert maker.change(load_settings(path, environment={}))


def test_settings_that_wait_for_a_start_are_named_and_those_that_do_not_are_not(tmp_path):
    path = write(tmp_path, "x.yaml", "scheduler: {policy: fifo, lanes: 7}\nlog: {level: debug}\n")
    assert waiting_for_a_start(Settings(), load_settings(path, environment={})) == ["scheduler.lanes", "log.level"]


def test_validate_reads_the_scheduler_configuration_of_a_config_map():
    manifest = yaml.safe_load(config_map(VOLCANO.replace("drf", "drff")))
    (problem,) = check(manifest, "cm.yaml")
    assert "cm.yaml ConfigMap/x tiers[0].plugins[1].name" in str(problem)
    assert 'did you mean "drf"?' in str(problem)
    assert check(yaml.safe_load(config_map(VOLCANO)), "cm.yaml") == []
    assert check({**manifest, "data": {"other": "x"}}, "cm.yaml") == []
