"""Do converted jobs run as their originals would: with their indexes, their peers and their hosts?"""

import yaml

INDEXED = """
apiVersion: batch/v1
kind: Job
metadata: {name: NAME}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  template:
    spec:
      containers: [{name: c, image: python, command: [sh, -c, "echo index $JOB_COMPLETION_INDEX"]}]
"""
# The second pod of each copy asks the first one of the first copy by its old name.
SET = """
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: NAME}
spec:
  replicatedJobs:
  - name: w
    replicas: 2
    template:
      spec:
        parallelism: 2
        completions: 2
        backoffLimit: 0
        template:
          spec:
            containers: [{name: c, image: python, command: [python, -c, PROGRAM, NAME-w-0-0.NAME, NAME-w-1-1.NAME]}]
"""
MEET = """
import os, socket, sys, time
first, last = sys.argv[1:]
own = socket.gethostname()
if own == first.partition(".")[0]:
    peer = socket.create_server(("", 4000)).accept()[0]
    print("from the last:", peer.recv(100).decode())
elif own == last.partition(".")[0]:
    for _ in range(600):
        try: socket.create_connection((first, 4000)).sendall(own.encode()); break
        except OSError: time.sleep(0.05)
"""
MPI = """
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata: {name: NAME}
spec:
  slotsPerWorker: 1
  mpiImplementation: MPICH
  mpiReplicaSpecs:
    Launcher:
      template:
        spec:
          containers:
          - {name: l, image: python, command: [mpiexec, -launcher, ssh, -n, "4", python, -c, PROGRAM]}
    Worker:
      replicas: 2
      template: {spec: {containers: [{name: w, image: python, command: [sshd, -D, -e]}]}}
"""
RANKS = """
from mpi4py import MPI
import socket
found = MPI.COMM_WORLD.gather(socket.gethostname())
if MPI.COMM_WORLD.rank == 0: print("ranks on", *sorted(found), flush=True)
"""


def original(text, name, program=""):
    """The documents of a text, with the job's name and its program put in."""
    text = text.replace("NAME", name)

    def fill(value):
        if isinstance(value, dict):
            return {key: fill(each) for key, each in value.items()}
        if isinstance(value, list):
            return [fill(each) for each in value]
        return program if value == "PROGRAM" else value

    return fill(yaml.safe_load(text))


def run(flowbatch, written, document):
    """Convert, run what comes out, and give what its pods printed."""
    code, job, _ = flowbatch("convert", written(document), "--output", "json")
    assert code == 0
    code, out, err = flowbatch("run", written(yaml.safe_load(job), name="converted.json"))
    assert code == 0, out + err
    return out


def test_an_indexed_job_counts_its_pods(flowbatch, written, unique):
    out = run(flowbatch, written, original(INDEXED, unique()))
    assert {f"index {number}" for number in range(3)} == {
        line.partition(": ")[2] for line in out.splitlines() if "index" in line
    }


def test_pods_of_a_job_set_find_each_other_by_what_were_their_names(flowbatch, written, unique):
    name = unique()
    out = run(flowbatch, written, original(SET, name, MEET))
    assert f"{name}-w-0: from the last: {name}-w-3" in out


def test_an_mpi_job_runs_its_ranks_on_its_workers(flowbatch, written, unique):
    name = unique()
    out = run(flowbatch, written, original(MPI, name, RANKS))
    assert f"ranks on {name}-worker-0 {name}-worker-0 {name}-worker-1 {name}-worker-1" in out


def test_what_is_lost_is_said_and_strict_makes_it_an_error(flowbatch, written, unique):
    document = original(INDEXED, unique())
    document["spec"]["managedBy"] = "somebody"
    for flags, wanted in (((), 0), (("--strict",), 1)):
        code, out, err = flowbatch("convert", written(document), *flags)
        assert (code, out.startswith("apiVersion: batch.volcano.sh/v1alpha1")) == (wanted, True)
        assert "not the same: Job/" in err
        assert "spec.managedBy" in err


def test_a_kind_that_cannot_be_converted_is_exit_code_2_with_those_that_can(flowbatch, written, unique):
    code, out, err = flowbatch("convert", written({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": unique()}}))
    assert (code, out) == (2, "")
    assert "Pod (v1): is no kind that can be converted" in err
    assert "MPIJob (kubeflow.org/v2beta1)" in err
