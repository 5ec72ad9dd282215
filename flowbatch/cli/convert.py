"""`flowbatch convert`: jobs of other makers as Jobs, and what of them is lost. Nothing is contacted."""

from typing import Annotated, Literal

from cyclopts import Parameter

from flowbatch.cli import EXIT_FAILED
from flowbatch.cli.load import load
from flowbatch.cli.options import FileArgument
from flowbatch.cli.output import print_objects, say
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.workload import rules
from flowbatch.workload.convert import convert as convert_all


def convert(
    *files: FileArgument,
    output: Annotated[Literal["yaml", "json"], Parameter(name=["--output", "-o"])] = "yaml",
    strict: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Print the Job that a batch/v1 Job, MPIJob, JobSet or TrainJob stands for; what it cannot say goes to stderr.

    A TrainJob needs its ClusterTrainingRuntime or TrainingRuntime in one of the files.

    Parameters
    ----------
    files
        YAML or JSON files; - is standard input.
    output
        Format of the output.
    strict
        Exit with 1 if anything is lost.
    """
    if not files:
        raise SpecError("FILE", "at least one file is needed")
    found = convert_all([manifest for file in files for manifest in load(file)])
    problems = [
        SpecError(f"{each.origin} as a Job: {problem.path}", problem.problem, problem.value, problem.hint)
        for each in found
        for problem in rules.check_job(each.job)
    ]
    if problems:
        raise SpecErrors(problems, "conversion")
    print_objects([each.job for each in found], output)
    lost = [f"{each.origin} {lost}" for each in found for lost in each.lost]
    for line in lost:
        say(f"not the same: {line}")
    return EXIT_FAILED if strict and lost else 0
