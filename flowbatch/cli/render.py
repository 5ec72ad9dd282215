"""`flowbatch render`: what would be sent, as YAML; nothing is contacted."""

from typing import Literal

from flowbatch.cli.load import load
from flowbatch.cli.output import print_objects


def render(file: str, /, *, output: Literal["yaml", "json"] = "yaml") -> None:
    """Print the manifests of FILE.py, FILE.py:NAME or FILE.yaml.

    Parameters
    ----------
    file
        A Python file that defines jobs, or a YAML file, or - for standard input.
    output
        Format of the output.
    """
    print_objects(load(file), output)
