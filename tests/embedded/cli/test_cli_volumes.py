"""Do the volumes of jobs hold what is written to them, for every pod, and go with their claims?"""

import json
from pathlib import Path

from flowbatch.api.kinds import JOB_FLOW, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from flowbatch.cli.options import ClusterOptions
from flowbatch.cli.session import connect, run_async
from flowbatch_dsl import Job, Task, Workflow, Workspace
from tests.embedded.cli.conftest import until


def there(here, kind, name=""):
    """All objects of a kind, or one by name, on the cluster."""

    async def ask():
        async with connect(ClusterOptions(kubeconfig=Path(here.kubeconfig))) as session:
            return await session.client.list(kind)

    return [each for each in run_async(ask) if not name or each.metadata.name == name]


SPEC = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}


def test_a_job_brings_a_volume_along_that_all_of_its_pods_share_and_that_goes_with_it(
    here, flowbatch, written, make_job, unique
):
    name = unique()
    job = make_job(
        name,
        "echo $VC_TASK_INDEX > /shared/$VC_TASK_INDEX; until test -e /shared/0 -a -e /shared/1; do sleep 0.05; done",
    )
    job["spec"]["tasks"][0]["replicas"] = 2
    job["spec"] |= {"plugins": {"env": []}, "volumes": [{"mountPath": "/shared", "volumeClaim": SPEC}]}
    code, out, _ = flowbatch("run", written(job))
    assert code == 0, out
    (claim,) = [each for each in there(here, PERSISTENT_VOLUME_CLAIM) if each.metadata.controller.name == name]
    (volume,) = there(here, PERSISTENT_VOLUME, claim.spec.volume_name)
    folder = Path(volume.spec.host_path.path)
    assert sorted(each.name for each in folder.iterdir()) == ["0", "1"]
    assert flowbatch("delete", f"job/{name}")[0] == 0
    until(lambda: not there(here, PERSISTENT_VOLUME, volume.metadata.name) and not folder.exists())


def test_a_claim_outlives_the_jobs_that_use_it(here, flowbatch, written, make_job, unique):
    claim, first, second = unique("claim"), unique(), unique()
    manifest = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim}, "spec": SPEC}
    volumes = [{"mountPath": "/shared", "volumeClaimName": claim}]
    code, out, err = flowbatch("run", written(manifest, make_job(first, "echo kept > /shared/it", volumes=volumes)))
    assert code == 0, out + err
    code, out, _ = flowbatch("run", written(make_job(second, "cat /shared/it", volumes=volumes)))
    assert code == 0
    assert f"{second}-t-0: kept" in out


def test_a_job_waits_in_words_for_a_claim_that_is_not_there(flowbatch, written, make_job, unique):
    name = unique()
    job = make_job(name, volumes=[{"mountPath": "/shared", "volumeClaimName": "nobodys"}])
    assert flowbatch("run", "-d", written(job))[0] == 0

    def said():
        _, out, _ = flowbatch("get", f"job/{name}", "-o", "json")
        return "volume claim nobodys" in json.loads(out).get("status", {}).get("state", {}).get("message", "")

    until(said)
    assert flowbatch("delete", f"job/{name}")[0] == 0


def test_the_jobs_of_a_workflow_share_a_volume_that_goes_with_it_or_stays(here, unique):
    for keep in (False, True):
        name = unique("flow")
        first = Job("first", tasks=[Task("t", ["sh", "-c", "echo shared > /shared/it"])])
        second = Job("second", tasks=[Task("t", ["cat", "/shared/it"])])
        run = Workflow(name, first >> second, workspace=Workspace("/shared", keep=keep)).submit(here)
        assert run.wait(timeout=60).phase == "Succeed"
        assert [line.text for line in run.logs("second")] == ["shared"]
        assert there(here, PERSISTENT_VOLUME_CLAIM, f"{name}-workspace")
        run.cancel()
        if keep:
            until(lambda name=name: not there(here, JOB_FLOW, name))
        until(lambda name=name, keep=keep: bool(there(here, PERSISTENT_VOLUME_CLAIM, f"{name}-workspace")) == keep)
