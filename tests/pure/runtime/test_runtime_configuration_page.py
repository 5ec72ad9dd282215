"""Does docs/configuration.md tell every setting with its default, and are its examples sound?"""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from flowbatch.policy.actions import READERS
from flowbatch.policy.arguments import Arguments
from flowbatch.policy.presets import PRESETS
from flowbatch.runtime.policies import choose
from flowbatch.runtime.settings import Settings, load_settings

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| (`[^|]*`|) ?\|", PAGE, re.MULTILINE))


def leaves(value, path=""):
    for field in msgspec.structs.fields(value):
        inner = getattr(value, field.name)
        if isinstance(inner, msgspec.Struct):
            yield from leaves(inner, f"{path}{field.encode_name}.")
        elif field.name != "source":
            yield path + field.encode_name, inner


@pytest.mark.parametrize(("path", "value"), list(leaves(Settings())))
def test_every_setting_has_a_row_with_its_default(path, value):
    told = ROWS[path].strip("`")
    plain = list(value) if isinstance(value, tuple) else value
    assert (yaml.safe_load(told) if told else None) == (None if plain == "" else plain)


def test_no_row_tells_of_a_setting_that_is_none():
    sections = ("scheduler.", "controllers.", "election.", "health.", "log.", "webhook.")
    known = dict(leaves(Settings()))
    assert [path for path in ROWS if path.startswith(sections) and path not in known] == []


def test_every_preset_is_named():
    assert [name for name in PRESETS if f"`{name}`" not in PAGE] == []


def test_every_argument_of_an_action_is_named():
    for name, reader in READERS.items():
        told = Arguments({}, "", [])
        reader(told)
        assert [key for key in told.asked if f"`{key}`" not in PAGE] == [], name


@pytest.mark.parametrize(("name", "text"), re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
def test_examples_are_sound(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    assert choose(load_settings(tmp_path / name, environment={})).policy.scores
