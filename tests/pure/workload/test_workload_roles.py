"""Does each plugin give pods exactly what Volcano's gives them (volcano.md 5)?"""

from base64 import b64decode
from typing import Any

import msgspec
import pytest

from flowbatch.workload.expand import PodMaker, SshKeys, needs_keys, plugin_objects
from flowbatch.workload.roles import PLUGINS, completed_plugins
from flowbatch.workload.roles.flags import parse_flags
from tests.jobworld import a_job, a_task

KEYS = SshKeys("PRIVATE\n", "PUBLIC\n")
OWNER = {
    "apiVersion": "batch.volcano.sh/v1alpha1",
    "kind": "Job",
    "name": "j",
    "uid": "job-1",
    "controller": True,
    "blockOwnerDeletion": True,
}


def pod_of(plugins: dict[str, Any], task: str, index: int = 0, *tasks: dict[str, Any]) -> dict[str, Any]:
    job = a_job(*tasks, plugins=plugins)
    spec = next(each for each in job.spec.tasks if each.name == task)
    return PodMaker(job).make(spec, index)


def env(pod: dict[str, Any], container: int = 0) -> dict[str, Any]:
    variables = pod["spec"]["containers"][container].get("env", [])
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in variables}


def ports(pod: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["containerPort"] for each in pod["spec"]["containers"][0].get("ports", [])}


def objects(plugins: dict[str, Any], *tasks: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{each['kind']} {each['metadata']['name']}": each
        for each in plugin_objects(a_job(*tasks, plugins=plugins), KEYS)
    }


def test_env_tells_every_container_its_index():
    template = {"spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]}}
    pod = pod_of({"env": []}, "w", 3, a_task("w", 4, template=template))
    wanted = {"VK_TASK_INDEX": "3", "VC_TASK_INDEX": "3"}
    assert env(pod) == env(pod, 1) == wanted
    assert [each["name"] for each in pod["spec"]["initContainers"][0]["env"]] == list(wanted)


def test_svc_makes_hosts_service_and_fence():
    made = objects({"svc": []}, a_task("ps", 1), a_task("my-worker", 2))
    assert list(made) == ["ConfigMap j-svc", "Service j", "NetworkPolicy j"]
    assert made["ConfigMap j-svc"]["data"] == {
        "ps.host": "j-ps-0.j",
        "VC_PS_HOSTS": "j-ps-0.j",
        "VC_PS_NUM": "1",
        "my_worker.host": "j-my-worker-0.j\nj-my-worker-1.j",
        "VC_MY_WORKER_HOSTS": "j-my-worker-0.j,j-my-worker-1.j",
        "VC_MY_WORKER_NUM": "2",
    }
    own = {"volcano.sh/job-name": "j", "volcano.sh/job-namespace": "ns"}
    assert made["Service j"]["spec"] == {"clusterIP": "None", "selector": own, "publishNotReadyAddresses": False}
    assert made["NetworkPolicy j"]["spec"] == {
        "podSelector": {"matchLabels": own},
        "ingress": [{"from": [{"podSelector": {"matchLabels": own}}]}],
        "policyTypes": ["Ingress"],
    }
    assert all(each["metadata"]["ownerReferences"] == [OWNER] for each in made.values())


def test_svc_names_the_pod_and_shows_it_the_hosts():
    pod = pod_of({"svc": []}, "worker", 1, a_task("worker", 2))
    spec = pod["spec"]
    assert (spec["hostname"], spec["subdomain"]) == ("j-worker-1", "j")
    assert spec["volumes"] == [{"name": "j-svc", "configMap": {"name": "j-svc"}}]
    assert spec["containers"][0]["volumeMounts"] == [{"name": "j-svc", "mountPath": "/etc/volcano"}]
    assert env(pod) == {
        "VC_WORKER_HOSTS": {"configMapKeyRef": {"name": "j-svc", "key": "VC_WORKER_HOSTS"}},
        "VC_WORKER_NUM": {"configMapKeyRef": {"name": "j-svc", "key": "VC_WORKER_NUM"}},
    }


def test_svc_leaves_out_what_its_flags_say():
    flags = ["--disable-network-policy=true", "--inject-hosts-env=false", "-publish-not-ready-addresses"]
    made = objects({"svc": flags}, a_task())
    assert list(made) == ["ConfigMap j-svc", "Service j"]
    assert made["Service j"]["spec"]["publishNotReadyAddresses"] is True
    assert env(pod_of({"svc": flags}, "worker", 0, a_task())) == {}


def test_a_template_with_a_host_name_of_its_own_is_one_host():
    template = {"spec": {"hostname": "db", "subdomain": "data", "containers": [{"name": "a"}]}}
    made = objects({"svc": []}, a_task("w", 3, template=template))
    assert made["ConfigMap j-svc"]["data"]["VC_W_HOSTS"] == "db.data"
    assert made["ConfigMap j-svc"]["data"]["VC_W_NUM"] == "1"


def test_ssh_shares_one_key_among_all_pods():
    secret = objects({"ssh": []}, a_task("a", 1), a_task("b", 1))["Secret j-ssh"]
    data = {name: b64decode(value).decode() for name, value in secret["data"].items()}
    assert data == {
        "id_rsa": "PRIVATE\n",
        "id_rsa.pub": "PUBLIC\n",
        "authorized_keys": "PUBLIC\n",
        "config": "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n"
        "Host j-a-0\n  HostName j-a-0.j\nHost j-b-0\n  HostName j-b-0.j\n",
    }
    spec = pod_of({"ssh": []}, "a", 0, a_task("a", 1))["spec"]
    assert spec["containers"][0]["volumeMounts"] == [{"name": "j-ssh", "mountPath": "/root/.ssh", "subPath": ".ssh"}]
    (volume,) = spec["volumes"]
    assert volume["secret"]["defaultMode"] == 0o600
    assert {each["key"]: each["path"] for each in volume["secret"]["items"]} == {
        name: f".ssh/{name}" for name in ("id_rsa", "id_rsa.pub", "authorized_keys", "config")
    }


def test_ssh_elsewhere_is_readable_by_any_user():
    spec = pod_of({"ssh": ["--ssh-key-file-path=/home/me/.ssh"]}, "worker", 0, a_task())["spec"]
    assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/home/me/.ssh"
    assert spec["volumes"][0]["secret"]["defaultMode"] == 0o644


def test_ssh_takes_keys_and_port_from_its_arguments():
    job = a_job(plugins={"ssh": ["--ssh-private-key=P", "--ssh-public-key=Q", "--ssh-port=2222"]})
    assert not needs_keys(job)
    (secret,) = plugin_objects(job, None)
    assert b64decode(secret["data"]["id_rsa"]) == b"P"
    assert b"  Port 2222\n" in b64decode(secret["data"]["config"])


def test_keys_are_needed_until_the_secret_is_made():
    job = a_job(plugins={"mpi": ["--master=worker"]})
    assert needs_keys(job)
    status = msgspec.structs.replace(job.status, controlled_resources={"plugin-ssh": "ssh"})
    assert not needs_keys(msgspec.structs.replace(job, status=status))
    assert not needs_keys(a_job(plugins={"svc": []}))


def test_mpi_tells_the_master_its_workers_and_opens_the_port():
    tasks = (a_task("master", 1), a_task("worker", 2))
    master, worker = pod_of({"mpi": []}, "master", 0, *tasks), pod_of({"mpi": []}, "worker", 1, *tasks)
    assert env(master)["MPI_HOST"] == "j-worker-0.j,j-worker-1.j"
    assert "MPI_HOST" not in env(worker)
    assert ports(master) == ports(worker) == {"mpijob-port": 22}
    assert worker["spec"]["hostname"] == "j-worker-1", "svc comes with it"
    assert {each["name"] for each in worker["spec"]["volumes"]} == {"j-svc", "j-ssh"}


@pytest.mark.parametrize(
    ("flavor", "variables"),
    [
        (
            "openmpi",
            {"OMPI_MCA_orte_default_hostfile": "/etc/volcano/w_a.host", "PRTE_MCA_prte_set_default_slots": "4"},
        ),
        ("intel", {"I_MPI_HYDRA_HOST_FILE": "/etc/volcano/w_a.host", "I_MPI_PERHOST": "4"}),
        ("mpich", {"HYDRA_HOST_FILE": "/etc/volcano/w_a.host"}),
    ],
)
def test_each_flavor_of_mpi_finds_the_host_file_by_itself_on_the_master_only(flavor, variables):
    tasks = (a_task("m", 1), a_task("w-a", 2))
    plugins = {"mpi": ["--master=m", "--worker=w-a", f"--flavor={flavor}", "--slots=4"]}
    assert variables.items() <= env(pod_of(plugins, "m", 0, *tasks)).items()
    assert not variables.keys() & env(pod_of(plugins, "w-a", 0, *tasks)).keys()
    assert "w_a.host" in objects(plugins, *tasks)["ConfigMap j-svc"]["data"]


def test_an_mpi_that_is_not_known_and_no_slots_are_refused():
    plugin = PLUGINS["mpi"]
    flags = parse_flags(["--master=m", "--worker=w", "--flavor=mpich2", "--slots=0"], plugin.flags)
    assert [str(each) for each in plugin.problems({"m": 0, "w": 1}, flags)] == [
        ": 'mpich2': --flavor is no MPI that is known (did you mean \"mpich\"?)",
        ": 0: --slots must be at least 1",
    ]


@pytest.mark.parametrize(
    ("plugin", "place", "size", "rank"),
    [
        ("jax", {"JAX_COORDINATOR_ADDRESS": "{host}:6666"}, "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
        (
            "xgboost",
            {"DMLC_TRACKER_URI": "{host}", "DMLC_TRACKER_PORT": "9091"},
            "DMLC_NUM_WORKER",
            "DMLC_TASK_ID",
        ),
    ],
)
@pytest.mark.parametrize(
    ("tasks", "ranks"),
    [
        ({"worker": 3}, {("worker", 0): 0, ("worker", 2): 2}),
        ({"worker": 2, "master": 1, "other": 4}, {("master", 0): 0, ("worker", 0): 1, ("worker", 1): 2}),
    ],
)
def test_ranks_go_through_masters_and_workers_and_rank_0_is_where_all_meet(plugin, place, size, rank, tasks, ranks):
    made = tuple(a_task(name, count) for name, count in tasks.items())
    first = f"j-{'master' if 'master' in tasks else 'worker'}-0.j"
    for (task, index), expected in ranks.items():
        pod = pod_of({plugin: []}, task, index, *made)
        told = env(pod)
        assert {name: told[name] for name in place} == {name: text.format(host=first) for name, text in place.items()}
        assert (told[size], told[rank]) == ("3", str(expected))
        assert pod["spec"]["subdomain"] == "j", "svc comes with it"
    if "other" in tasks:
        assert rank not in env(pod_of({plugin: []}, "other", 0, *made))


@pytest.mark.parametrize("plugin", ["jax", "xgboost", "tensorflow"])
def test_a_plugin_of_roles_without_a_task_of_any_is_refused(plugin):
    made = PLUGINS[plugin]
    (problem,) = made.problems({"train": 0}, parse_flags([], made.flags))
    assert (problem.problem.split(":")[0], problem.hint) == ("finds no task of any role", "e.g. --worker=train")


def test_mpi_goes_by_the_names_in_its_arguments():
    tasks = (a_task("launcher", 1), a_task("node", 1))
    pod = pod_of({"mpi": ["--master=launcher", "--worker", "node", "-port=2022"]}, "launcher", 0, *tasks)
    assert env(pod)["MPI_HOST"] == "j-node-0.j"
    assert ports(pod) == {"mpijob-port": 2022}


def test_tensorflow_describes_the_cluster():
    tasks = (a_task("ps", 1), a_task("worker", 2))
    pod = pod_of({"tensorflow": []}, "worker", 1, *tasks)
    assert msgspec.json.decode(env(pod)["TF_CONFIG"]) == {
        "cluster": {"ps": ["j-ps-0.j:2222"], "worker": ["j-worker-0.j:2222", "j-worker-1.j:2222"]},
        "task": {"type": "worker", "index": 1},
    }
    assert ports(pod) == {"tfjob-port": 2222}


def test_tensorflow_calls_tasks_by_their_roles():
    tasks = (a_task("boss", 1), a_task("hand", 1), a_task("eval", 1))
    flags = ["--chief=boss", "--worker=hand", "--evaluator=eval", "--port=3333"]
    config = msgspec.json.decode(env(pod_of({"tensorflow": flags}, "boss", 0, *tasks))["TF_CONFIG"])
    assert config["task"] == {"type": "chief", "index": 0}
    assert config["cluster"]["evaluator"] == ["j-eval-0.j:3333"]


def test_tensorflow_leaves_a_job_of_one_pod_alone():
    assert "TF_CONFIG" not in env(pod_of({"tensorflow": []}, "worker", 0, a_task("worker", 1)))


def test_pytorch_ranks_the_master_first():
    tasks = (a_task("master", 1), a_task("worker", 2))
    master, worker = pod_of({"pytorch": []}, "master", 0, *tasks), pod_of({"pytorch": []}, "worker", 1, *tasks)
    shared = {"MASTER_ADDR": "j-master-0.j", "MASTER_PORT": "23456", "WORLD_SIZE": "3"}
    assert env(master).items() >= {**shared, "RANK": "0"}.items()
    assert env(worker).items() >= {**shared, "RANK": "2"}.items()
    assert ports(worker) == {"pytorchjob-port": 23456}
    assert "initContainers" not in worker["spec"]


def test_pytorch_workers_wait_for_the_master_where_asked():
    tasks = (a_task("master", 1), a_task("worker", 1))
    flags = ["--wait-master-enabled=true", "--wait-master-timeout=60"]
    (waiter,) = pod_of({"pytorch": flags}, "worker", 0, *tasks)["spec"]["initContainers"]
    assert waiter["image"] == "busybox:1.36.1"
    said = {each["name"]: each["value"] for each in waiter["env"]}
    assert said == {"MASTER_ADDR": "j-master-0.j", "MASTER_PORT": "23456", "TIMEOUT": "60"}
    assert "initContainers" not in pod_of({"pytorch": flags}, "master", 0, *tasks)["spec"]


def test_ray_starts_a_head_and_workers_that_join_it():
    tasks = (a_task("head", 1), a_task("worker", 2))
    head, worker = pod_of({"ray": []}, "head", 0, *tasks), pod_of({"ray": []}, "worker", 0, *tasks)
    said = head["spec"]["containers"][0]["command"][-1]
    assert said.startswith("ray start --head")
    assert "--port 6379" in said
    assert "--dashboard-host 0.0.0.0" in said
    assert worker["spec"]["containers"][0]["command"][-1] == "ray start --block --address=j-head-0.j:6379"
    service = objects({"ray": []}, *tasks)["Service j-head-svc"]
    assert [each["port"] for each in service["spec"]["ports"]] == [6379, 8265, 10001]


def test_hcclrank_counts_masters_before_workers():
    tasks = (a_task("master", 2), a_task("worker", 2))
    assert pod_of({"hcclrank": []}, "worker", 1, *tasks)["metadata"]["annotations"]["hccl/rankIndex"] == "3"
    assert pod_of({"hcclrank": []}, "master", 1, *tasks)["metadata"]["annotations"]["hccl/rankIndex"] == "1"
    both = pod_of({"pytorch": [], "hcclrank": []}, "worker", 0, a_task("master", 1), a_task("worker", 1))
    assert both["metadata"]["annotations"]["hccl/rankIndex"] == "1"


def test_what_the_user_wrote_wins_over_a_plugin():
    template = {
        "spec": {
            "hostname": "mine",
            "volumes": [{"name": "j-svc", "emptyDir": {}}],
            "containers": [
                {
                    "name": "a",
                    "env": [{"name": "VC_TASK_INDEX", "value": "mine"}],
                    "ports": [{"name": "ssh", "containerPort": 22}],
                    "volumeMounts": [{"name": "own", "mountPath": "/etc/volcano"}],
                }
            ],
        }
    }
    tasks = (a_task("master", 1, template=template), a_task("worker", 1))
    pod = pod_of({"mpi": [], "env": []}, "master", 0, *tasks)
    assert pod["spec"]["hostname"] == "mine"
    assert env(pod)["VC_TASK_INDEX"] == "mine"
    assert ports(pod) == {"ssh": 22}
    assert pod["spec"]["containers"][0]["volumeMounts"][0] == {"name": "own", "mountPath": "/etc/volcano"}
    assert pod["spec"]["volumes"][0] == {"name": "j-svc", "emptyDir": {}}


@pytest.mark.parametrize("plugin", ["mpi", "tensorflow", "pytorch", "ray", "jax", "xgboost"])
def test_plugins_bring_those_that_they_need_and_never_override(plugin):
    full = completed_plugins({plugin: [], "svc": ["--inject-hosts-env=false"]})
    assert full["svc"] == ["--inject-hosts-env=false"]
    assert ("ssh" in full) == (plugin == "mpi")
    assert "svc" in completed_plugins({plugin: []})


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {"name": "x", "port": 1, "on": False}),
        (["--name=y", "-port=2", "--on"], {"name": "y", "port": 2, "on": True}),
        (["--name", "y", "-port", "-2", "-on=false"], {"name": "y", "port": -2, "on": False}),
        (["--name="], {"name": "", "port": 1, "on": False}),
        (["--name=a=b"], {"name": "a=b", "port": 1, "on": False}),
        (["--name=1", "--name=2"], {"name": "2", "port": 1, "on": False}),
    ],
)
def test_flags_are_read_as_go_reads_them(words, values):
    parsed = parse_flags(words, {"name": "x", "port": 1, "on": False})
    assert (parsed.values, parsed.problems) == (values, ())


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["---port=1"], 0),
        (["port=1"], 0),
        (["--on=perhaps"], 0),
        (["--name"], 0),
        (["--on", "--prot=1"], 1),
        (["--port=１"], 0),
    ],
)
def test_bad_flags_are_found_where_they_stand_and_the_rest_is_still_read(words, where):
    parsed = parse_flags([*words, "--port=7"] if words != ["--name"] else words, {"name": "x", "port": 1, "on": False})
    assert [index for index, _, _ in parsed.problems] == [where]


def test_every_plugin_has_its_name_and_can_be_looked_up():
    assert list(PLUGINS) == ["env", "svc", "ssh", "mpi", "tensorflow", "pytorch", "ray", "jax", "xgboost", "hcclrank"]
