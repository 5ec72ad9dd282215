"""Do the examples still mean what the YAML beside them says, and are they sound?

After a wanted change: `python tests/pure/dsl/test_dsl_examples.py` writes the YAML anew; read the difference.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from flowbatch.cli.load import python_values
from flowbatch_dsl.yamltext import load_all

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = [
    "mpi_pi",
    "ps_worker",
    "two_gangs",
    "suspend_resume",
    "restart_policy",
    "elastic",
    "workflow",
    "typed_flow",
    "sweep",
    "staged_data",
]


@pytest.fixture(autouse=True)
def _started_in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES.parent)


def values_of(name: str) -> list[Any]:
    """What `flowbatch run` takes of an example: jobs and workflows, and not the parts of a workflow besides."""
    return python_values(EXAMPLES / f"{name}.py")


def yaml_of(name: str) -> str:
    return "---\n".join(value.to_yaml() for value in values_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_beside_an_example_is_what_it_means(name: str) -> None:
    assert (EXAMPLES / f"{name}.yaml").read_text() == yaml_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_no_problem_and_nothing_doubtful(name: str) -> None:
    for value in values_of(name):
        report = value.validate()
        assert not report.problems, str(report)
        assert not report.warnings, str(report)


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_reads_back_as_the_same_values(name: str) -> None:
    documents = load_all((EXAMPLES / f"{name}.yaml").read_text(), name)
    manifests = [manifest for value in values_of(name) for manifest in value.manifests()]
    assert [document.value for document in documents] == manifests


if __name__ == "__main__":
    os.chdir(EXAMPLES.parent)
    for each in NAMES:
        (EXAMPLES / f"{each}.yaml").write_text(yaml_of(each))
