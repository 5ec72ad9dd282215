"""Does Ctrl-C end the command in its first moments, while modules are still being imported?"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
#: An import during which Ctrl-C comes, and which swallows whatever it raises, as some do.
SWALLOWS = """
import builtins, os, signal, sys
real = builtins.__import__

def importing(name, *rest, **named):
    if name == "cyclopts":
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except BaseException:
            pass
    return real(name, *rest, **named)

from flowbatch.cli import main
builtins.__import__ = importing
main(["version"])
"""


def test_control_c_while_modules_are_imported_ends_the_command_without_a_traceback():
    done = subprocess.run([sys.executable, "-c", SWALLOWS], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
