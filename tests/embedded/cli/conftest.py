"""One small cluster for the tests of a module; each test gets a namespace of its own and the exit code."""

import itertools
import json
import time

import pytest

from flowbatch import cli
from flowbatch_dsl import LocalCluster

_numbers = itertools.count()


def until(true, what="it to be so", seconds=60.0):
    """Ask until it is so; gives what was found."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


@pytest.fixture(scope="module")
def here():
    with LocalCluster(nodes=2, cpus=2) as cluster:
        yield cluster


@pytest.fixture
def flowbatch(here, capfd, monkeypatch, tmp_path):
    """`flowbatch("get", "jobs")` -> (exit code, stdout, stderr), in the folder of the test."""
    monkeypatch.setenv("KUBECONFIG", str(here.kubeconfig))
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capfd.readouterr()
        code = cli.invoke(list(words))
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def unique():
    """A name that no other test of this session uses."""
    return lambda stem="job": f"{stem}-{next(_numbers)}"


@pytest.fixture
def written(tmp_path):
    """Write a job (and whatever else) to a file; returns its name."""

    def write(*documents, name="file.yaml"):
        (tmp_path / name).write_text("\n---\n".join(json.dumps(each) for each in documents))
        return name

    return write


def job(name, script="true", *, replicas=1, cpu="100m", queue="default", **spec):
    container = {
        "name": "main",
        "image": "python",
        "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": cpu, "memory": "16Mi"}},
    }
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"queue": queue, "tasks": [{"name": "t", "replicas": replicas, "template": template}], **spec},
    }


@pytest.fixture
def make_job():
    return job
