"""`flowbatch render`: what would be sent, as YAML; nothing is contacted."""

from typing import Annotated, Literal

from cyclopts import Parameter

from flowbatch.cli.load import load
from flowbatch.cli.options import FileArgument
from flowbatch.cli.output import print_objects


def render(
    file: FileArgument, /, *, output: Annotated[Literal["yaml", "json"], Parameter(name=["--output", "-o"])] = "yaml"
) -> None:
    """Print the manifests of FILE.py, FILE.py:NAME or FILE.yaml.

    Parameters
    ----------
    file
        A Python file that defines jobs, or a YAML file, or - for standard input.
    output
        Format of the output.
    """
    print_objects(load(file), output)
