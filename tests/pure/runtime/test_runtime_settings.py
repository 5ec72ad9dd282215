"""Are settings read strictly, in the right order of precedence, with every mistake named at once?"""

import pytest

from flowbatch.errors import SpecErrors
from flowbatch.runtime.settings import Settings, load_settings


def write(folder, text):
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_hold():
    assert load_settings(environment={}) == Settings()


def test_flags_override_variables_which_override_the_file(tmp_path):
    path = write(tmp_path, "health: {port: 1, host: 0.0.0.0}\nscheduler: {lanes: 2, names: [a, b]}\n")
    environment = {"FLOWBATCH_HEALTH_PORT": "3", "FLOWBATCH_SCHEDULER_LANES": "4", "FLOWBATCH_ELSEWHERE": "x"}
    settings = load_settings(path, environment=environment, flags={"scheduler.lanes": 5})
    assert (settings.health.port, settings.health.host) == (3, "0.0.0.0")
    assert (settings.scheduler.lanes, settings.scheduler.names) == (5, ("a", "b"))
    assert settings.source == str(path)


def test_nested_settings_have_variables_too():
    settings = load_settings(environment={"FLOWBATCH_SCHEDULER_PACE_SETTLE_S": "0.1"})
    assert settings.scheduler.pace.settle_s == 0.1


def test_every_mistake_is_named_with_its_path_and_the_nearest_name(tmp_path):
    path = write(tmp_path, "healht: {}\nscheduler: {lanes: many, pace: {settels: 1}}\nlog: [x]\nsource: y\n")
    with pytest.raises(SpecErrors) as caught:
        load_settings(path, environment={})
    problems = {each.path: each for each in caught.value}
    assert set(problems) == {"healht", "scheduler.lanes", "scheduler.pace.settels", "log", "source"}
    assert 'did you mean "health"?' in str(problems["healht"])


@pytest.mark.parametrize("text", ["- a\n", "a: [", "5"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises(SpecErrors):
        load_settings(write(tmp_path, text), environment={})


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SpecErrors):
        load_settings(tmp_path / "none.yaml", environment={})


def test_mistakes_in_the_discovery_of_hypernodes_are_named_too(tmp_path):
    types = "{fabric: [{nodeLabel: leaf}, {nodeLabel: leaf}]}"
    source = f"{{source: label, enabled: true, config: {{networkTopologyTypes: {types}}}}}"
    path = write(tmp_path, f"controllers: {{networkTopologyDiscovery: [{source}, {{source: ufm, enabled: true}}]}}\n")
    with pytest.raises(SpecErrors) as caught:
        load_settings(path, environment={})
    inside = "controllers.networkTopologyDiscovery[0].config.networkTopologyTypes.fabric"
    assert {each.path for each in caught.value} == {
        inside,
        f"{inside}[1].nodeLabel",
        "controllers.networkTopologyDiscovery[1].source",
    }
