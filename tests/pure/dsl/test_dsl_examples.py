"""Do the examples still mean what the YAML beside them says, and are they sound?

After a wanted change: `python tests/pure/dsl/test_dsl_examples.py` writes the YAML anew; read the difference.
"""

import runpy
from pathlib import Path

import pytest

from flowbatch_dsl import Job
from flowbatch_dsl.yamltext import load_all

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ["mpi_pi", "ps_worker", "two_gangs", "suspend_resume"]


def jobs_of(name: str) -> list[Job]:
    values = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="example")
    return [value for value in values.values() if isinstance(value, Job)]


def yaml_of(name: str) -> str:
    return "---\n".join(job.to_yaml() for job in jobs_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_beside_an_example_is_what_it_means(name: str) -> None:
    assert (EXAMPLES / f"{name}.yaml").read_text() == yaml_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_no_problem_and_nothing_doubtful(name: str) -> None:
    for job in jobs_of(name):
        report = job.validate()
        assert not report.problems, str(report)
        assert not report.warnings, str(report)


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_reads_back_as_the_same_jobs(name: str) -> None:
    documents = load_all((EXAMPLES / f"{name}.yaml").read_text(), name)
    assert [document.value for document in documents] == [job.manifests()[0] for job in jobs_of(name)]


if __name__ == "__main__":
    for each in NAMES:
        (EXAMPLES / f"{each}.yaml").write_text(yaml_of(each))
