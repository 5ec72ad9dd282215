"""Starts the installed wheel outside the tree: version, a job rendered and validated, a cluster up, used and down."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

JOB = """
from flowbatch_dsl import Job, Task
hello = Job("hello", tasks=[Task("say", ["echo", "hello from a wheel"], replicas=2)])
"""


def main(flowbatch: str) -> None:
    folder = Path(tempfile.mkdtemp())
    file, kubeconfig = folder / "hello.py", folder / "kubeconfig"
    file.write_text(JOB)
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    for verb in (["version"], ["validate", str(file)], ["render", str(file)]):
        subprocess.run([flowbatch, *verb], check=True, env=environment)
    up = subprocess.Popen([flowbatch, "up", "--nodes", "2", "--kubeconfig", str(kubeconfig)], stdout=subprocess.PIPE)
    try:
        assert up.stdout is not None
        assert up.stdout.readline().strip() == b"ready", "flowbatch up did not say ready"
        done = subprocess.run(
            [flowbatch, "run", str(file)], check=True, env=environment, capture_output=True, text=True, timeout=60
        )
        print(done.stdout)
        assert "hello from a wheel" in done.stdout, done.stdout
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(20)


main(sys.argv[1])
