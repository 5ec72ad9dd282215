"""Does every way a file can be wrong end in one clear error, and every right file in its manifests?"""

import pytest

from flowbatch import cli
from flowbatch.cli.load import load
from flowbatch.errors import SpecError, SpecErrors

JOB = "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: a}\n"


def written(tmp_path, text, name="file.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_documents_in_order_empty_ones_skipped(tmp_path):
    text = f"---\n{JOB}---\n---\n{JOB.replace('name: a', 'name: b')}"
    assert [each["metadata"]["name"] for each in load(written(tmp_path, text))] == ["a", "b"]


def test_a_list_is_its_items(tmp_path):
    text = f"kind: List\napiVersion: v1\nitems:\n- {JOB.strip().replace(chr(10), chr(10) + '  ')}\n"
    assert [each["metadata"]["name"] for each in load(written(tmp_path, text))] == ["a"]


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    assert load(written(tmp_path, b"\xef\xbb\xbf" + JOB.replace("\n", "\r\n").encode()))[0]["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (JOB + "metadata: {name: b}\n", 'duplicate key "metadata"'),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("!!python/object:os.system {}\n", "not YAML"),
        (b"\xff\xfe", "not UTF-8"),
        ("", "holds no object"),
        ("- 1\n", "document 1: has no apiVersion and kind"),
        ("a: [\n", "not YAML"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_bad_yaml_is_one_error(tmp_path, text, said):
    with pytest.raises((SpecError, SpecErrors), match=said):
        load(written(tmp_path, text))


def test_missing_file_names_the_nearest(tmp_path):
    written(tmp_path, JOB, "train.yaml")
    with pytest.raises(SpecError, match=r'did you mean "train\.yaml"'):
        load(str(tmp_path / "trian.yaml"))


PYTHON = """
class Value:
    def __init__(self, name): self.name = name
    def manifests(self): return [{"kind": "Job", "name": self.name}]
one = Value("one")
_hidden = Value("hidden")
two = Value("two")
again = one
if __name__ == "__main__":
    raise SystemExit("ran as a script")
"""


def test_module_level_values_with_manifests_each_once(tmp_path):
    assert [each["name"] for each in load(written(tmp_path, PYTHON, "jobs.py"))] == ["one", "two"]


def test_a_name_picks_one(tmp_path):
    assert [each["name"] for each in load(written(tmp_path, PYTHON, "jobs.py") + ":two")] == ["two"]


def test_an_unknown_name_suggests(tmp_path):
    with pytest.raises(SpecError, match='did you mean "two"'):
        load(written(tmp_path, PYTHON, "jobs.py") + ":tow")


def test_a_file_without_jobs_says_what_it_has(tmp_path):
    with pytest.raises(SpecError, match=r"found: x"):
        load(written(tmp_path, "x = 1\n", "empty.py"))


@pytest.mark.parametrize(("code", "said"), [("x = 1\n1 / 0\n", ":2: division by zero"), ("def (\n", ":1: ")])
def test_an_error_in_the_users_file_names_its_line(tmp_path, code, said):
    with pytest.raises(SpecError) as error:
        load(written(tmp_path, code, "broken.py"))
    assert said.split(": ")[0] in str(error.value)


def test_main_turns_bad_input_into_exit_code_2_and_no_traceback(tmp_path, capsys):
    assert cli.invoke(["validate", str(tmp_path / "none.yaml")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["gett"], ["get", "jbos"], ["up", "--nodes", "many"], ["queue", "create"]])
def test_mistyped_commands_exit_2_with_a_hint(arguments, capsys):
    assert cli.invoke(arguments) == 2
    error = capsys.readouterr().err
    assert "error:" in error
    assert "Traceback" not in error
