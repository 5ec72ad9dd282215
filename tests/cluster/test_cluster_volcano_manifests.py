"""Do plain Volcano manifests, applied with kubectl, run to their end and say what they should?"""

from pathlib import Path

import pytest
import yaml

MANIFESTS = sorted((Path(__file__).resolve().parents[2] / "examples" / "volcano").glob("*.yaml"))
#: What the logs of each must hold.
EXPECTED = {
    "dependency": ["my servers are dependency-server-0.dependency,dependency-server-1.dependency"],
    "gang": ["member gang-member-0", "member gang-member-5"],
    "hierarchy": ["placed by the leaf's share"],
    "mpi": ["mpi-worker-0", "mpi-worker-1"],
    "plugins": ["index 0 of 2", "plugins-peer-1.plugins", "id_rsa", "authorized_keys"],
    "policies": ["retry 1"],
    "pytorch": ["world of 3 has rank sum 3"],
    "queue": ["333328333350000"],
    "tensorflow": ["worker 0 at tensorflow-ps-0.tensorflow:2222 sees"],
}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifest_applies_and_completes(cluster, path):
    cluster.kubectl("apply", "-f", str(path))
    jobs = [each["metadata"]["name"] for each in yaml.safe_load_all(path.read_text()) if each["kind"] == "Job"]
    for job in jobs:
        cluster.wait_phase(job, "Completed")
    logs = "".join(cluster.flowbatch("logs", job, "-n", cluster.namespace).stdout for job in jobs)
    for text in EXPECTED[path.stem]:
        assert text in logs, logs


def test_every_manifest_says_what_it_must_print():
    assert sorted(EXPECTED) == [path.stem for path in MANIFESTS]


def test_applying_twice_changes_nothing(cluster):
    path = next(path for path in MANIFESTS if path.stem == "gang")
    cluster.kubectl("apply", "-f", str(path))
    before = cluster.get("vcjob", "gang")["metadata"]["generation"]
    cluster.kubectl("apply", "-f", str(path))
    assert cluster.get("vcjob", "gang")["metadata"]["generation"] == before
