"""Do the completion scripts load in their shells and complete verbs?"""

import shutil
import subprocess

import pytest

from flowbatch import cli

ASK_BASH = """
source "$1"
complete -p flowbatch >/dev/null || exit 1
COMP_WORDS=(flowbatch queue cr); COMP_CWORD=2; COMP_LINE="flowbatch queue cr"; COMP_POINT=18
$(complete -p flowbatch | sed 's/.*-F \\([^ ]*\\).*/\\1/')
echo "${COMPREPLY[@]}"
"""
ASK_ZSH = 'autoload -Uz compinit; compinit -u -D; source "$1"; print -l ${(k)_comps[(I)flowbatch]}'
ASK_FISH = 'source $argv[1]; complete -C "flowbatch queue cr"'


@pytest.mark.parametrize(
    ("shell", "ask", "answer"),
    [("bash", ASK_BASH, "create"), ("zsh", ASK_ZSH, "flowbatch"), ("fish", ASK_FISH, "create")],
)
def test_a_completion_script_loads_and_completes(shell, ask, answer, capsys, tmp_path):
    assert cli.invoke(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert "flowbatch" in script.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: only that a script is printed was tested")
    arguments = [str(script)] if shell == "fish" else ["ask", str(script)]
    done = subprocess.run([shell, "-c", ask, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert answer in done.stdout.split(), done.stderr
