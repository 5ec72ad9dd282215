"""Does `flowbatch vc` do what Volcano's command line does: its suites, its columns, its flags, its orders?"""

import json
import re

import pytest
import yaml

from tests.embedded.cli.conftest import until


def words(text):
    return text.split()


JOB_COLUMNS = words("Name Creation Phase JobType Replicas Min Pending Running Succeeded Failed Unknown RetryCount")
QUEUE_COLUMNS = words("Name Weight State Inqueue Pending Running Unknown Completed")


@pytest.fixture
def vc(flowbatch):
    return lambda *words: flowbatch("vc", *words)


def phase(vc, name):
    _, out, _ = vc("job", "list", "--selector", name)
    found = [line.split()[2] for line in out.splitlines()[1:] if line.split()[0] == name and len(line.split()) > 11]
    return found[0] if found else ""


def submit(vc, name, *more, command="sleep 60"):
    small = ("-R", "cpu=100m,memory=16Mi", "-L", "cpu=100m,memory=16Mi")
    return vc("vsub", "-n", name, "-i", "python", "-c", command, *small, *more)


# The suites of vcctl ----------------------------------------------------------------------------------------------


def test_running_jobs_are_listed(vc, unique):
    name = unique("listed")
    assert submit(vc, name, "-r", "2", "-m", "1")[:2] == (0, f"run job {name} successfully\n")
    until(lambda: phase(vc, name) == "Running", "the job to run")
    _, out, _ = vc("job", "list")
    assert out.splitlines()[0].split() == JOB_COLUMNS
    (cells,) = [line.split() for line in out.splitlines() if line.split()[0] == name]
    found = dict(zip(JOB_COLUMNS, cells, strict=True))
    assert (found["JobType"], found["Replicas"], found["Min"], found["RetryCount"]) == ("Batch", "2", "1", "0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["Creation"])
    _, out, _ = vc("job", "list", "--all-namespaces")
    assert out.splitlines()[0].split() == ["Namespace", *JOB_COLUMNS]
    assert vc("vcancel", "-n", name)[:2] == (0, f"cancel job {name} successfully\n")


def test_a_running_job_is_suspended_and_an_aborted_one_resumed(vc, unique):
    name = unique("nap")
    submit(vc, name)
    until(lambda: phase(vc, name) == "Running", "the job to run")
    assert vc("job", "suspend", "-N", name)[0] == 0
    until(lambda: phase(vc, name) == "Aborted", "the job to be aborted")
    assert vc("job", "resume", "-N", name)[0] == 0
    until(lambda: phase(vc, name) == "Running", "the job to run again")
    assert vc("vsuspend", "-n", name)[0] == 0
    until(lambda: phase(vc, name) == "Aborted", "the job to be aborted again")
    assert vc("vresume", "-n", name)[0] == 0
    until(lambda: phase(vc, name) == "Running", "the job to run once more")
    assert vc("job", "delete", "-N", name)[:2] == (0, f"delete job {name} successfully\n")


def test_a_pending_job_is_suspended(vc, unique):
    name = unique("large")
    assert vc("vsub", "-n", name, "-R", "cpu=100,memory=1Gi", "-L", "cpu=100,memory=1Gi")[0] == 0
    until(lambda: phase(vc, name) == "Pending", "the job to wait")
    assert vc("job", "suspend", "-n", "default", "-N", name)[0] == 0
    until(lambda: phase(vc, name) == "Aborted", "the job to be aborted")
    vc("vcancel", "-n", name)


def test_a_job_is_deleted_while_every_node_is_tainted(vc, flowbatch, here, unique):
    name = unique("stuck")
    nodes = json.loads(flowbatch("get", "nodes", "-o", "json")[1])["items"]
    taint = [{"key": "test", "value": "x", "effect": "NoSchedule"}]
    patch_nodes(here, nodes, taint)
    try:
        submit(vc, name)
        until(lambda: phase(vc, name) == "Pending", "the job to wait")
        assert vc("job", "delete", "-N", name)[0] == 0
        until(lambda: phase(vc, name) == "", "the job to be gone")
    finally:
        patch_nodes(here, nodes, [])


def patch_nodes(here, nodes, taints):
    import anyio

    from flowbatch.api.kinds import NODE
    from flowbatch.kube.client import Client
    from flowbatch.kube.config import load_config

    async def work():
        async with Client(await load_config(here.kubeconfig)) as client:
            for node in nodes:
                await client.patch(NODE, node["metadata"]["name"], {"spec": {"taints": taints}})

    anyio.run(work)


HELP = {
    (): words("job queue jobflow jobtemplate pod version vsub vjobs vqueues vcancel vsuspend vresume"),
    ("job",): words("run list view suspend resume delete"),
    ("job", "list"): words("--queue -q --namespace -n --scheduler -S --all-namespaces --selector --master -s -k"),
    ("job", "suspend"): words("--name -N --namespace -n"),
    ("job", "resume"): words("--name -N --namespace -n"),
    ("job", "view"): words("--name -N --namespace -n"),
    ("job", "delete"): words("--name -N --namespace -n"),
    ("job", "run"): words("-i --image -N -n -m --min -r --replicas -R --requests -L --limits -S --scheduler -f"),
    ("queue",): words("create delete operate list get"),
    ("queue", "create"): words("-n --name -w --weight -S --state"),
    ("queue", "operate"): words("-n --name -a --action -w --weight"),
    ("jobflow",): words("create delete list get describe"),
    ("jobflow", "delete"): words("-N -n -f --file"),
    ("jobflow", "describe"): words("-o --format"),
    ("jobtemplate",): words("create delete list get describe"),
    ("pod", "list"): words("-q --queue -j --job -n --namespace --all-namespaces"),
    ("vsub",): words("-n --name -N --namespace -m -r -R -L -S -c --command"),
    ("vjobs",): words("-n -N -S --all-namespaces --selector"),
    ("vqueues",): words("-n"),
    ("vcancel",): words("-n -N"),
}


@pytest.mark.parametrize("line", HELP, ids=lambda line: " ".join(("vc", *line)))
def test_help_names_every_verb_and_flag(vc, line):
    code, out, _ = vc(*line, "--help")
    assert code == 0
    assert [each for each in HELP[line] if not re.search(rf"(^|[\s│]){re.escape(each)}\b", out, re.MULTILINE)] == []


# The rest ---------------------------------------------------------------------------------------------------------


def test_a_job_of_a_file_is_run_and_viewed(vc, written, make_job, unique):
    name = unique("viewed")
    file = written(make_job(name, plugins={"svc": []}))
    assert vc("job", "run", "-f", file)[:2] == (0, f"run job {name} successfully\n")
    until(lambda: phase(vc, name) == "Completed", "the job to complete")
    for each in (("job", "view", "-N", name), ("vjobs", "-n", name)):
        code, out, _ = vc(*each)
        assert code == 0
        for line in (f"Name:\\s+{name}", "API Version:\\s+batch.volcano.sh/v1alpha1", "  Min Available:\\s+1"):
            assert re.search(line, out), out
        for line in ("    Name:\\s+t", "    Replicas:\\s+1", "    Phase:\\s+Completed", "Spec:", "Status:", "Events:"):
            assert re.search(line, out), out
    assert name in vc("vjobs")[1]


def test_jobs_are_listed_by_scheduler_queue_and_part_of_their_name(vc, written, make_job, unique):
    name = unique("found")
    vc("job", "run", "-f", written(make_job(name)))

    def listed(*flags):
        return name in vc("job", "list", *flags)[1]

    assert listed("--selector", name[2:])
    assert not listed("--selector", "nobody")
    assert listed("-S", "volcano")
    assert not listed("-S", "other")
    assert listed("-q", "default")
    assert not listed("-q", "other")
    assert vc("job", "list", "-n", "kube-public")[1] == "No resources found\n"


def test_queues_are_made_operated_shown_and_deleted(vc, unique):
    name = unique("queue")
    assert vc("queue", "create", "-n", name, "-w", "3")[0] == 0
    until(lambda: shown(vc, name).get("State") == "Open", "the queue to be Open")
    assert shown(vc, name)["Weight"] == "3"
    assert vc("queue", "operate", "-n", name, "-a", "update", "-w", "5")[0] == 0
    assert shown(vc, name)["Weight"] == "5"
    assert vc("queue", "operate", "-n", name, "-a", "close")[0] == 0
    until(lambda: shown(vc, name)["State"] == "Closed", "the queue to be Closed")
    assert vc("queue", "operate", "-n", name, "-a", "open")[0] == 0
    until(lambda: shown(vc, name)["State"] == "Open", "the queue to be Open again")
    for each in (("queue", "list"), ("vqueues",), ("vqueues", "-n", name)):
        assert name in vc(*each)[1]
    assert vc("queue", "delete", "-n", name)[0] == 0
    assert vc("queue", "get", "-n", name)[0] == 1
    shut = unique("shut")
    assert vc("queue", "create", "-n", shut, "-S", "Closed")[0] == 0
    until(lambda: shown(vc, shut)["State"] == "Closed", "the queue to be Closed from its start")


def shown(vc, name):
    lines = vc("queue", "get", "-n", name)[1].splitlines()
    assert lines[0].split() == QUEUE_COLUMNS
    cells = lines[1].split()
    if len(cells) < len(QUEUE_COLUMNS):
        cells.insert(2, "")
    return dict(zip(QUEUE_COLUMNS, cells, strict=True))


def test_flows_and_templates_are_made_listed_described_and_deleted(vc, written, make_job, unique):
    template, flow = unique("template"), unique("flow")
    api = "flow.volcano.sh/v1alpha1"
    made = {"apiVersion": api, "kind": "JobTemplate", "metadata": {"name": template}, "spec": make_job("x")["spec"]}
    steps = {"flows": [{"name": template}], "jobRetainPolicy": "delete"}
    whole = {"apiVersion": api, "kind": "JobFlow", "metadata": {"name": flow}, "spec": steps}
    file = written(made, whole)
    assert vc("jobtemplate", "create", "-f", file)[:2] == (0, f"Created JobTemplate: default/{template}\n")
    assert vc("jobflow", "create", "-f", file)[:2] == (0, f"Created JobFlow: default/{flow}\n")
    assert vc("jobtemplate", "list")[1].splitlines()[0].split() == ["Name", "Namespace"]
    _, out, _ = vc("jobflow", "list", "--all-namespaces")
    assert out.splitlines()[0].split() == ["Name", "Namespace", "Phase", "Age"]
    assert flow in out
    until(lambda: "Succeed" in vc("jobflow", "get", "-N", flow)[1], "the flow to succeed")
    described = yaml.safe_load(vc("jobflow", "describe", "-N", flow)[1])
    assert (described["kind"], described["metadata"]["name"]) == ("JobFlow", flow)
    assert "managedFields" not in described["metadata"]
    assert json.loads(vc("jobtemplate", "describe", "-N", template, "-o", "json")[1])["kind"] == "JobTemplate"
    assert flow in vc("jobflow", "describe")[1]
    assert vc("jobflow", "delete", "-N", flow)[:2] == (0, f"Deleted JobFlow: default/{flow}\n")
    code, out, err = vc("jobtemplate", "delete", "-f", file)
    assert (code, out) == (0, f"Deleted JobTemplate: default/{template}\n"), err
    assert vc("jobtemplate", "delete", "-f", file)[0] == 1


def test_pods_are_listed_by_job_and_by_queue(vc, unique):
    name = unique("pods")
    submit(vc, name, "-r", "2")
    until(lambda: vc("pod", "list", "-j", name)[1].count("Running") == 2, "the pods to run")
    _, out, _ = vc("pod", "list", "-j", name)
    assert out.splitlines()[0].split() == ["Name", "Ready", "Status", "Restart", "Age"]
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        [f"{name}-default0-{index}", "1/1", "Running", "0"] for index in (0, 1)
    ]
    assert f"{name}-default0-0" in vc("pod", "list", "-q", "default")[1]
    assert f"{name}-default0-0" in vc("pod", "list", "--all-namespaces")[1]
    code, _, err = vc("pod", "list", "-j", name, "-q", "other")
    assert (code, "does not match the queue other" in err) == (1, True)
    assert vc("pod", "list", "-q", "other")[1] == "No resources found\n"
    vc("vcancel", "-n", name)


def test_vsub_takes_its_defaults_from_the_environment_and_its_command_like_a_shell(vc, flowbatch, unique, monkeypatch):
    name = unique("env")
    monkeypatch.setenv("VOLCANO_DEFAULT_IMAGE", "python")
    monkeypatch.setenv("VOLCANO_DEFAULT_JOB_NAMESPACE", "kube-public")
    assert vc("vsub", "-n", name, "-c", "sh -c 'echo a b'")[0] == 0
    job = json.loads(flowbatch("get", "jobs", name, "-n", "kube-public", "-o", "json")[1])
    container = job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]
    assert (container["image"], container["command"]) == ("python", ["sh", "-c", "echo a b"])
    assert container["resources"]["requests"] == {"cpu": "1000m", "memory": "100Mi"}
    vc("vcancel", "-n", name, "-N", "kube-public")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("job", "run"), "the name of the job"),
        (("job", "suspend"), "the name of the job"),
        (("job", "view"), "the name of the job"),
        (("vcancel",), "the name of the job"),
        (("queue", "get"), "the name of the queue"),
        (("queue", "operate", "-n", "q"), "--action: is needed"),
        (("queue", "operate", "-n", "q", "-a", "shut"), "is no action"),
        (("queue", "operate", "-n", "q", "-a", "update"), "--weight"),
        (("queue", "create", "-n", "q", "-w", "0"), "spec.weight"),
        (("queue", "create", "-n", "q", "-S", "Shut"), "is not a state"),
        (("job", "run", "-N", "a", "-R", "cpu"), "RESOURCE=QUANTITY"),
        (("job", "run", "-N", "A B"), "metadata.name"),
        (("vsub", "-n", "a", "-c", "'unclosed"), "cannot be read"),
        (("jobflow", "create"), "--file"),
        (("jobflow", "get"), "the name of the jobflow"),
    ],
)
def test_a_slip_is_told_and_nothing_is_asked_of_the_cluster(vc, line, said):
    code, out, err = vc(*line)
    assert (code, out) == (2, "")
    assert said in err


def test_another_server_is_named_by_master(vc):
    code, _, err = vc("queue", "list", "-s", "127.0.0.1:1")
    assert code == 3
    assert "https://127.0.0.1:1" in err
