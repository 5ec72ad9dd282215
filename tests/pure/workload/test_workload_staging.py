"""Do pods get the steps that fetch and store, is what they said kept, and is a pod that left nothing a failed one?"""

from typing import Any

import msgspec
import pytest

from flowbatch.api.core import Pod
from flowbatch.api.staging import PLAN, Moved, Plan, read_report, report
from flowbatch.workload import rules
from flowbatch.workload.census import Member
from flowbatch.workload.expand import pods
from flowbatch.workload.staging.outcome import note_data
from tests.jobworld import a_job, a_task

TEMPLATE = {"spec": {"containers": [{"name": "main", "command": ["train"], "args": ["--fast"]}]}}
INPUT = {"name": "train", "url": "s3://b/{index}.csv", "path": "/data/train.csv", "secretName": "s3"}
OUTPUT = {"name": "model", "path": "/out/model.bin", "url": "file:///shared/{job}/{task}-{index}.bin"}


def staged(replicas: int = 2, **fields: Any) -> Any:
    return a_job({**a_task("w", replicas, template=TEMPLATE), "inputs": [INPUT], "outputs": [OUTPUT], **fields})


def manifest(job: Any) -> dict[str, Any]:
    raw = msgspec.to_builtins(job)
    return {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", **raw}


def plan_of(container: dict[str, Any]) -> Plan:
    (value,) = [each["value"] for each in container["env"] if each["name"] == PLAN]
    return msgspec.json.decode(value, type=Plan)


def test_a_pod_fetches_before_its_containers_start_and_stores_beside_them():
    job = staged()
    pod = pods(job, job.spec.tasks[0], 1)
    fetch, store = pod["spec"]["initContainers"]
    (item,) = plan_of(fetch).items
    assert (fetch["command"][-1], item.url, item.file) == ("fetch", "s3://b/1.csv", "train.csv")
    assert fetch["envFrom"] == [{"secretRef": {"name": "s3"}}]
    (kept,) = plan_of(store).items
    assert (store["restartPolicy"], kept.url, kept.file) == ("Always", "file:///shared/j/w-1.bin", "model.bin")
    assert kept.place == "file:///flowbatch/host/shared/j/w-1.bin", "files of the node are mounted below a folder"
    assert plan_of(store).containers == ("main",)
    assert {"name": "flowbatch-host-shared", "hostPath": {"path": "/shared"}} in pod["spec"]["volumes"]


def test_containers_see_inputs_read_only_and_their_commands_note_how_they_end():
    job = staged()
    (main,) = pods(job, job.spec.tasks[0], 0)["spec"]["containers"]
    mounts = {each["mountPath"]: (each["subPath"], each.get("readOnly", False)) for each in main["volumeMounts"]}
    assert mounts == {
        "/data/train.csv": ("in/train", True),
        "/out": ("out/model", False),
        "/flowbatch/exit": ("exit", False),
    }
    assert (main["command"][:2], main["command"][-3:]) == (["/bin/sh", "-c"], ["main", "train", "--fast"])
    assert "args" not in main


def test_a_job_without_data_has_pods_without_steps():
    job = a_job(a_task("w", 1, template=TEMPLATE))
    spec = pods(job, job.spec.tasks[0], 0)["spec"]
    assert (spec["containers"], "initContainers" in spec) == (TEMPLATE["spec"]["containers"], False)


def test_what_was_fetched_once_must_be_the_same_ever_after():
    job = staged()
    seen = {"name": "train", "task": "w", "index": 1, "url": "s3://b/1.csv", "state": "Fetched", "digest": "sha256:aa"}
    status = msgspec.convert({"data": [seen]}, type(job.status))
    job = msgspec.structs.replace(job, status=status)
    digests = [
        plan_of(pods(job, job.spec.tasks[0], index)["spec"]["initContainers"][0]).items[0].digest for index in (0, 1)
    ]
    assert digests == ["", "sha256:aa"]


def pod_that_said(phase: str, *, fetched: tuple[Moved, ...] = (), stored: tuple[Moved, ...] = (), code: int = 0) -> Pod:
    def ended(name: str, moved: tuple[Moved, ...], exit_code: int) -> dict[str, Any]:
        return {"name": name, "state": {"terminated": {"exitCode": exit_code, "message": report(moved).decode()}}}

    statuses = [ended("flowbatch-fetch", fetched, 0), ended("flowbatch-store", stored, code)]
    return msgspec.convert(
        {"metadata": {"name": "p"}, "status": {"phase": phase, "initContainerStatuses": statuses}}, Pod
    )


def test_sizes_and_digests_are_kept_when_the_pods_are_gone():
    job = staged()
    pod = pod_that_said("Running", fetched=(Moved("train", 9, "sha256:a"),), stored=())
    status = note_data(job, job.status, [Member(pod, "w", 1, 0)])
    (one,) = status.data
    assert (one.state, one.bytes, one.digest, one.index, one.url) == ("Fetched", 9, "sha256:a", 1, "s3://b/1.csv")
    assert note_data(job, status, []) == status


def test_a_failure_is_named_until_it_is_mended():
    job = staged()
    broken = pod_that_said("Failed", fetched=(Moved("train", reason="NotFound", message="no"),))
    status = note_data(job, job.status, [Member(broken, "w", 0, 0)])
    assert [(each.state, each.reason) for each in status.data] == [("Failed", "NotFound")]
    mended = pod_that_said("Running", fetched=(Moved("train", 1, "sha256:b"),))
    assert [each.state for each in note_data(job, status, [Member(mended, "w", 0, 1)]).data] == ["Fetched"]


def test_a_pod_that_succeeded_but_for_its_outputs_has_failed():
    fine, broken = pod_that_said("Succeeded"), pod_that_said("Succeeded", code=74)
    assert (Member(fine, "w", 0, 0).phase, Member(fine, "w", 0, 0).exit_code) == ("Succeeded", 0)
    assert (Member(broken, "w", 0, 0).phase, Member(broken, "w", 0, 0).exit_code) == ("Failed", 74)


def test_a_report_fits_into_a_termination_message_whatever_it_has_to_tell():
    moved = tuple(Moved(f"n{index}", reason="Failed", message="x" * 5000) for index in range(40))
    text = report(moved)
    assert len(text) <= 4096
    assert [each.name for each in read_report(text.decode())] == [f"n{index}" for index in range(40)]
    assert read_report("Killed\n") == ()


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"inputs": [{**INPUT, "name": ""}]}, "inputs[0].name", "is missing"),
        ({"inputs": [INPUT, {**INPUT, "path": "/x"}]}, "inputs[1].name", "is the name of spec.tasks[0].inputs[0]"),
        ({"inputs": [{**INPUT, "url": "train.csv"}]}, "inputs[0].url", "is not a url"),
        ({"inputs": [{**INPUT, "url": "file:///x"}]}, "inputs[0].url", "below a folder"),
        ({"inputs": [{**INPUT, "url": "s3://b/../x"}]}, "inputs[0].url", "must not go up"),
        ({"inputs": [{**INPUT, "url": "https://h/d/"}]}, "inputs[0].url", "http cannot list"),
        ({"inputs": [{**INPUT, "url": "s3://b/{idx}"}]}, "inputs[0].url", "unknown placeholder {idx}"),
        ({"inputs": [{**INPUT, "path": "data"}]}, "inputs[0].path", "must be an absolute path"),
        ({"inputs": [{**INPUT, "digest": "md5:1"}]}, "inputs[0].digest", "must be sha256"),
        ({"inputs": [INPUT, {**INPUT, "name": "b"}]}, "inputs[1].path", "is mounted for"),
        ({"outputs": [{**OUTPUT, "path": "/model"}]}, "outputs[0].path", "is a file in /"),
        (
            {"outputs": [{**OUTPUT, "url": "s3://b/{index}/"}]},
            "outputs[0].url",
            "is a directory, and the path is a file",
        ),
        ({"outputs": [{**OUTPUT, "policy": "Allways"}]}, "outputs[0].policy", "is not known"),
        ({"outputs": [{**OUTPUT, "url": "s3://b/model"}]}, "outputs[0].url", "is one place for 2 pods"),
        ({"template": {"spec": {"containers": [{"name": "m", "image": "x"}]}}}, "containers[0].command", "is missing"),
    ],
)
def test_slips_are_refused_with_their_path(change, path, said):
    found = [str(each) for each in rules.check_job(manifest(staged(**change)))]
    assert any(f"spec.tasks[0].{path}" in each or path in each for each in found), found
    assert any(said in each for each in found), found


def test_a_good_job_passes_and_one_on_volcanos_own_crds_is_refused_by_name():
    good = manifest(staged())
    good["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["image"] = "x"
    assert rules.check_job(good) == []
    refused = [each.path for each in rules.check_job(good, served=frozenset())]
    assert refused == ["spec.tasks[0].inputs", "spec.tasks[0].outputs"]
