"""Do jobs find their inputs, leave their outputs, and fail in words when either is not to be had?"""

import json

import pytest

from tests.embedded.cli.conftest import until


def staged(job, name, command, *, inputs=(), outputs=(), replicas=1, **spec):
    made = job(name, command, replicas=replicas, **spec)
    made["spec"]["tasks"][0] |= {"inputs": list(inputs), "outputs": list(outputs)}
    return made


def status(flowbatch, name):
    code, out, err = flowbatch("get", f"job/{name}", "-o", "json")
    assert code == 0, err
    return json.loads(out).get("status", {"state": {}})


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in").write_text("one\ntwo\n")
    return tmp_path


def test_an_input_is_there_and_an_output_is_kept_with_its_size_and_digest(flowbatch, written, make_job, unique, place):
    name = unique()
    source = {"name": "lines", "url": f"file://{place}/in", "path": "/data/lines"}
    result = {"name": "count", "path": "/out/count", "url": f"file://{place}/{{job}}-{{index}}"}
    code, out, _ = flowbatch(
        "run", written(staged(make_job, name, "wc -l < /data/lines > /out/count", inputs=[source], outputs=[result]))
    )
    assert code == 0, out
    assert (place / f"{name}-0").read_text().strip() == "2"
    data = {each["name"]: each for each in status(flowbatch, name)["data"]}
    assert (data["lines"]["state"], data["lines"]["bytes"], data["count"]["state"]) == ("Fetched", 8, "Stored")
    _, described, _ = flowbatch("describe", "job", name)
    assert f"file://{place}/{name}-0" in described
    assert data["lines"]["digest"][:19] in described


def test_an_input_that_is_not_there_fails_the_job_in_words_and_runs_nothing(
    flowbatch, written, make_job, unique, place
):
    name = unique()
    source = {"name": "lines", "url": f"file://{place}/missing", "path": "/data/lines"}
    code, out, _ = flowbatch("run", written(staged(make_job, name, "echo ran", inputs=[source], maxRetry=1)))
    assert code == 1
    assert "ran" not in out
    message = status(flowbatch, name)["state"]["message"]
    assert f"lines of t-0: NotFound: file://{place}/missing: there is no such file" in message


def test_a_job_that_leaves_nothing_to_store_has_failed_although_its_command_succeeded(
    flowbatch, written, make_job, unique, place
):
    name = unique()
    result = {"name": "model", "path": "/out/model", "url": f"file://{place}/model"}
    assert flowbatch("run", written(staged(make_job, name, "true", outputs=[result], maxRetry=1)))[0] == 1
    found = status(flowbatch, name)
    assert (found["state"]["phase"], found["data"][0]["reason"]) == ("Failed", "NotFound")
    assert not (place / "model").exists()


def test_a_failed_command_stores_nothing_and_keeps_its_exit_code(flowbatch, written, make_job, unique, place):
    name = unique()
    result = {"name": "model", "path": "/out/model", "url": f"file://{place}/model"}
    code, out, _ = flowbatch(
        "run", written(staged(make_job, name, "echo half > /out/model; exit 3", outputs=[result], maxRetry=1))
    )
    assert (code, (place / "model").exists()) == (1, False)
    assert "exit code 3" in out


def test_a_restarted_task_finds_its_input_unchanged_or_is_told(flowbatch, written, make_job, unique, place):
    name = unique()
    source = {"name": "lines", "url": f"file://{place}/in", "path": "/data/lines"}
    # The first run changes what the second one would fetch.
    program = "test $(cat /data/lines | wc -l) -ne 2 || { until test -e /place/changed; do sleep 0.1; done; exit 9; }"
    policy = [{"event": "PodFailed", "action": "RestartJob"}]
    job = staged(make_job, name, program, inputs=[source], policies=policy, maxRetry=2)
    template = job["spec"]["tasks"][0]["template"]["spec"]
    template["volumes"] = [{"name": "place", "hostPath": {"path": str(place)}}]
    template["containers"][0]["volumeMounts"] = [{"name": "place", "mountPath": "/place"}]
    assert flowbatch("run", "-d", written(job))[0] == 0
    until(lambda: status(flowbatch, name).get("data"))
    (place / "in").write_text("other\n")
    (place / "changed").touch()
    until(lambda: status(flowbatch, name)["state"].get("phase") == "Failed")
    found = status(flowbatch, name)
    assert found["data"][0]["reason"] == "Changed", found


def test_a_server_inside_the_cluster_serves_inputs_to_jobs(flowbatch, written, make_job, unique):
    server, client = unique("web"), unique()
    serving = make_job(server, "mkdir /tmp/w && cd /tmp/w && echo served > f && python -m http.server 8000")
    serving["spec"]["plugins"] = {"svc": []}
    assert flowbatch("run", "-d", written(serving))[0] == 0
    url = f"http://{server}-t-0.{server}:8000"
    source = {"name": "page", "url": f"{url}/f", "path": "/data/page"}
    code, out, _ = flowbatch("run", written(staged(make_job, client, "cat /data/page", inputs=[source])))
    assert code == 0, out
    assert f"{client}-t-0: served" in out
    source = {**source, "url": f"{url}/g"}
    lost = unique()
    assert flowbatch("run", written(staged(make_job, lost, "true", inputs=[source], maxRetry=1)))[0] == 1
    assert "NotFound" in status(flowbatch, lost)["state"]["message"]
    assert flowbatch("delete", f"job/{server}")[0] == 0
