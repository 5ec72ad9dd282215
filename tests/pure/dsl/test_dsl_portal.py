"""Does the thread behind the blocking verbs end with the interpreter, whatever still runs on it?"""

import subprocess
import sys

STUBBORN = """
import anyio
from flowbatch_dsl import portal

async def stubborn():
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()

async def work():
    return 42

print(portal.call(work))
portal._PORTAL.get().start_task_soon(stubborn)
"""


def test_what_will_not_be_cancelled_does_not_keep_the_interpreter():
    done = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")
