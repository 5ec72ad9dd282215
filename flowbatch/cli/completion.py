"""`flowbatch completion SHELL`: the script that completes verbs and flags."""

from typing import Literal

#: The generated zsh script only defines a function. This makes it work both ways that people load it.
ZSH_ENTRY = """
if [[ ${funcstack[1]} == _flowbatch ]]; then
  _cyclopts_flowbatch "$@"  # a file named _flowbatch in the fpath
else
  compdef _cyclopts_flowbatch flowbatch  # source <(flowbatch completion zsh)
fi
"""


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the completion script of a shell, e.g. source <(flowbatch completion bash).

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    from flowbatch.cli import build

    print(build().generate_completion(shell=shell) + (ZSH_ENTRY if shell == "zsh" else ""))
