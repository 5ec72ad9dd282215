"""`make demo`: one cluster on this machine, and the commands a user would type at it, shown before each is run."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from flowbatch_dsl import LocalCluster

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BIN = Path(sys.executable).parent
ACTS = (
    (
        "An MPI job: launcher and workers placed as one gang, real mpiexec over ssh, several nodes",
        ["flowbatch run examples/mpi_pi.py"],
    ),
    (
        "Parameter servers and workers: a real training run over TCP; the servers end when the workers have",
        ["flowbatch run examples/ps_worker.py"],
    ),
    (
        "Two gangs that cannot run together: the second waits whole, and says what it lacks",
        ["python examples/two_gangs.py"],
    ),
    (
        "Suspend and resume: the room is free for others meanwhile, and no retry is spent",
        ["python examples/suspend_resume.py"],
    ),
    (
        "Plain Volcano manifests through kubectl",
        [
            "kubectl apply -f examples/volcano/mpi.yaml -f examples/volcano/pytorch.yaml",
            "kubectl wait vcjob/mpi vcjob/pytorch --for=jsonpath={.status.state.phase}=Completed --timeout=60s",
            "kubectl get vcjob",
            "flowbatch logs mpi master",
        ],
    ),
)


def main() -> int:
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    console.print(
        "── A Kubernetes API server, flowbatch and four nodes of 2 cpu, as processes of this machine", style="bold cyan"
    )
    with LocalCluster(nodes=4, cpus=2) as here:
        environment = {**os.environ, "KUBECONFIG": str(here.kubeconfig), "PATH": f"{BIN}:{os.environ['PATH']}"}
        for title, commands in ACTS:
            console.print(f"\n── {title}", style="bold cyan")
            for command in commands:
                console.print(f"$ {command}", style="bold")
                done = subprocess.run(shlex.split(command), cwd=ROOT, env=environment, check=False)
                if done.returncode:
                    console.print(f"exit code {done.returncode}", style="red")
                    return done.returncode
    console.print(f"\n── done in {time.monotonic() - started:.0f} s; the cluster is gone", style="bold cyan")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
