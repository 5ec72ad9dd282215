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


FLOWS = """
from flowbatch_dsl import Job, Task, Workflow, flow, step

@step
def double(x: int) -> int:
    return 2 * x

@flow
def needs(x: int) -> int:
    return double(x)
"""
WORKFLOWS = f"""{FLOWS}
a, b, alone = (Job(name, tasks=[Task("main", ["true"])]) for name in ("a", "b", "alone"))
nightly = Workflow("nightly", a >> b)

@flow
def ready(x: int = 1) -> int:
    return double(x)

bound = needs.bind(3)
"""


def named(manifests):
    return [each["metadata"]["name"] for each in manifests if each["kind"] != "JobTemplate"]


def test_jobs_of_a_workflow_and_flows_that_need_arguments_are_not_run_on_their_own(tmp_path):
    file = written(tmp_path, WORKFLOWS, "workflows.py")
    assert named(load(file)) == ["alone", "nightly", "ready", "needs"]
    assert named(load(f"{file}:a")) == ["a"]
    assert named(load(f"{file}:bound")) == ["needs"]
    with pytest.raises(SpecErrors, match=r"needs\.bind\(\.\.\.\)"):
        load(f"{file}:needs")


def test_a_file_with_nothing_but_a_flow_that_needs_arguments_says_how_to_bind_them(tmp_path):
    with pytest.raises(SpecErrors, match=r"needs\.bind\(\.\.\.\)"):
        load(written(tmp_path, FLOWS, "flows.py"))


def test_a_flow_that_needs_arguments_does_not_keep_the_rest_of_the_file_from_running(tmp_path):
    text = FLOWS + 'alone = Job("alone", tasks=[Task("main", ["true"])])\n'
    assert named(load(written(tmp_path, text, "flows.py"))) == ["alone"]


def test_what_is_submitted_tells_pods_where_the_functions_are(tmp_path, monkeypatch):
    written(tmp_path, WORKFLOWS, "workflows.py")
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in str(load("workflows.py:bound"))
    assert str(tmp_path) in str(load("workflows.py:bound", submitting=True))
