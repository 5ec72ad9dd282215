"""`flowbatch completion SHELL`: the script that completes verbs and flags."""

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the completion script of a shell, e.g. source <(flowbatch completion bash).

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    from flowbatch.cli import build

    print(build().generate_completion(shell=shell))
