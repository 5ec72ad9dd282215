"""Do other makers' jobs become Jobs that do the same, and is everything that is lost named?"""

from copy import deepcopy

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbatch.errors import SpecErrors
from flowbatch.workload import rules
from flowbatch.workload.convert import convert


def manifests(text):
    return list(yaml.safe_load_all(text))


def converted(text):
    """The only Job of the text, which no rule finds fault with, and what was lost as `path: why`."""
    (found,) = convert(manifests(text))
    assert rules.check_job(found.job) == []
    return found.job, [str(each) for each in found.lost]


def env_of(task):
    return {each["name"]: each.get("value") for each in task["template"]["spec"]["containers"][0].get("env", ())}


BATCH = """
apiVersion: batch/v1
kind: Job
metadata: {name: pi, uid: abc, annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", team: a}}
spec:
  completions: 5
  parallelism: 5
  backoffLimit: 2
  ttlSecondsAfterFinished: 0
  suspend: true
  activeDeadlineSeconds: 600
  template:
    spec:
      containers: [{name: c, image: perl, command: [perl, -V]}]
"""


def test_a_batch_job_is_done_when_all_of_its_pods_succeeded_and_starts_without_all_of_them():
    job, lost = converted(BATCH)
    assert lost == []
    assert job["metadata"] == {"name": "pi", "annotations": {"team": "a"}}
    spec = job["spec"]
    (task,) = spec.pop("tasks")
    assert spec == {
        "minAvailable": 1,
        "minSuccess": 5,
        "maxRetry": 3,
        "retry": {"backoffSeconds": 10, "maxBackoffSeconds": 360},
        "activeDeadlineSeconds": 600,
        "ttlSecondsAfterFinished": 0,
        "suspend": True,
        "policies": [{"event": "PodFailed", "action": "RestartPod"}],
    }
    assert (task["name"], task["replicas"]) == ("main", 5)
    assert task["template"]["spec"] == {
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "perl", "command": ["perl", "-V"]}],
    }


def test_a_queue_of_work_without_completions_is_done_when_one_succeeded_and_all_have_ended():
    job, lost = converted(BATCH.replace("  completions: 5\n", ""))
    assert (job["spec"]["tasks"][0]["replicas"], "minSuccess" in job["spec"], lost) == (5, False, [])


def test_an_indexed_job_keeps_its_index_in_variables_and_in_references():
    path = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    reference = f'{{name: I, valueFrom: {{fieldRef: {{fieldPath: "{path}"}}}}}}'
    text = BATCH.replace("  completions", "  completionMode: Indexed\n  completions")
    job, _ = converted(text.replace("command: [perl, -V]", f"env: [{reference}]"))
    env = {each["name"]: each for each in job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["env"]}
    place = {"fieldRef": {"fieldPath": "metadata.annotations['volcano.sh/task-index']"}}
    assert {name: each["valueFrom"] for name, each in env.items()} == {"I": place, "JOB_COMPLETION_INDEX": place}


def test_exit_codes_that_fail_a_batch_job_end_the_job_and_the_rest_of_the_policy_is_named():
    policy = """
  podFailurePolicy:
    rules:
    - {action: FailJob, onExitCodes: {operator: In, values: [3, 4]}}
    - {action: Ignore, onPodConditions: [{type: DisruptionTarget}]}
    - {action: FailIndex, onExitCodes: {operator: NotIn, values: [9]}}
"""
    job, lost = converted(BATCH + policy)
    assert job["spec"]["policies"] == [
        {"exitCode": 3, "action": "TerminateJob"},
        {"exitCode": 4, "action": "TerminateJob"},
        {"event": "PodFailed", "action": "RestartPod"},
    ]
    assert lost == [
        "spec.podFailurePolicy.rules[0].action: the job ends as Terminated, not as Failed",
        "spec.podFailurePolicy.rules[2].action: FailIndex by such a rule is not possible",
    ]


def test_what_a_batch_job_has_and_a_job_has_not_is_named_field_by_field():
    text = BATCH.replace(
        "parallelism: 5", "parallelism: 2\n  backoffLimitPerIndex: 1\n  managedBy: x\n  somethingNew: 1"
    )
    _, lost = converted(text)
    assert lost == [
        "spec.parallelism: all 5 pods are made at once and run as room allows; bound them by the queue's capability",
        "spec.backoffLimitPerIndex: has no equivalent",
        "spec.managedBy: its other controller does not see the Job",
        "spec.somethingNew: has no equivalent",
    ]


def test_the_queue_of_kueue_becomes_the_queue():
    job, lost = converted(BATCH.replace("uid: abc", "labels: {kueue.x-k8s.io/queue-name: team-a, app: pi}"))
    assert (job["spec"]["queue"], job["metadata"]["labels"]) == ("team-a", {"app": "pi"})
    assert lost == ['metadata.labels[kueue.x-k8s.io/queue-name]: is spec.queue now: a Queue "team-a" must exist']


MPI = """
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata: {name: pi}
spec:
  slotsPerWorker: 2
  runPolicy:
    cleanPodPolicy: Running
    backoffLimit: 1
    schedulingPolicy: {queue: hpc, priorityClass: high}
  mpiReplicaSpecs:
    Launcher:
      template: {spec: {containers: [{name: l, image: pi, command: [mpirun, -n, "4", pi]}]}}
    Worker:
      replicas: 2
      restartPolicy: OnFailure
      template: {spec: {containers: [{name: w, image: pi}]}}
"""


def test_an_mpi_job_is_a_gang_of_launcher_and_workers_with_ssh_between_them():
    job, lost = converted(MPI)
    spec = job["spec"]
    launcher, worker = spec["tasks"]
    assert lost == []
    assert (spec["queue"], spec["priorityClassName"], spec["minAvailable"], spec["maxRetry"]) == ("hpc", "high", 3, 2)
    assert spec["plugins"]["mpi"][:3] == ["--master=launcher", "--worker=worker", "--port=22"]
    assert spec["plugins"].keys() == {"svc", "ssh", "mpi"}
    assert (launcher["dependsOn"], launcher["policies"]) == (
        {"name": ["worker"]},
        [{"event": "TaskCompleted", "action": "CompleteJob"}],
    )
    assert worker["replicas"] == 2
    assert worker["template"]["spec"]["containers"][0]["command"] == ["/usr/sbin/sshd"]
    assert worker["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert launcher["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(("theirs", "ours"), [("OpenMPI", "openmpi"), ("Intel", "intel"), ("MPICH", "mpich")])
def test_each_mpi_is_told_to_the_plugin_with_its_slots_and_its_place_for_keys(theirs, ours):
    path = "/home/mpiuser/.ssh"
    text = MPI.replace(
        "  slotsPerWorker: 2", f"  slotsPerWorker: 2\n  mpiImplementation: {theirs}\n  sshAuthMountPath: {path}"
    )
    job, lost = converted(text)
    plugins = job["spec"]["plugins"]
    assert (plugins["mpi"][-2:], plugins["ssh"], lost) == (
        [f"--flavor={ours}", "--slots=2"],
        [f"--ssh-key-file-path={path}"],
        [],
    )


def test_an_mpi_job_without_a_launcher_is_refused():
    with pytest.raises(SpecErrors, match=r"MPIJob/pi spec\.mpiReplicaSpecs\.Launcher: is missing"):
        convert(manifests(MPI.replace("Launcher:", "Leader:")))


SET = """
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: train}
spec:
  network: {subdomain: net, enableDNSHostnames: true}
  failurePolicy: {maxRestarts: 3}
  successPolicy: {operator: All, targetReplicatedJobs: [driver]}
  startupPolicy: {startupPolicyOrder: InOrder}
  replicatedJobs:
  - name: driver
    template:
      spec:
        backoffLimit: 0
        template:
          spec: {containers: [{name: d, image: x, args: ["train-worker-1-2.net:80,train-worker-0-0.net"]}]}
  - name: worker
    replicas: 2
    template:
      spec:
        parallelism: 3
        completions: 3
        backoffLimit: 0
        template: {spec: {containers: [{name: w, image: x, env: [{name: M, value: train-driver-0-0.net}]}]}}
"""


def test_a_job_set_is_one_gang_of_its_jobs_and_its_pods_still_find_each_other():
    job, lost = converted(SET)
    driver, worker = job["spec"]["tasks"]
    assert lost == []
    assert (driver["replicas"], worker["replicas"], job["spec"]["maxRetry"]) == (1, 6, 4)
    assert driver["policies"] == [{"event": "TaskCompleted", "action": "CompleteJob"}]
    assert worker["dependsOn"] == {"name": ["driver"]}
    assert job["spec"]["policies"] == [{"event": "PodFailed", "action": "RestartJob"}]
    assert driver["template"]["spec"]["containers"][0]["args"] == [
        "train-worker-5.train:80,train-worker-0.train",
    ]
    assert env_of(worker) == {"M": "train-driver-0.train"}


def test_a_job_of_a_set_that_waits_for_the_end_of_another_waits_for_it():
    text = SET.replace("  startupPolicy: {startupPolicyOrder: InOrder}\n", "")
    waiting = text.replace("- name: worker\n", "- name: worker\n    dependsOn: [{name: driver, status: Complete}]\n")
    job, lost = converted(waiting)
    assert (job["spec"]["tasks"][1]["dependsOn"], lost) == ({"name": ["driver"], "status": "Succeeded"}, [])


TRAIN = """
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: tune}
spec:
  runtimeRef: {name: torch-distributed}
  trainer:
    numNodes: 3
    command: [torchrun, train.py]
    env: [{name: LR, value: "1"}]
    resourcesPerNode: {limits: {cpu: 2}}
"""
RUNTIME = """
---
apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata: {name: torch-distributed}
spec:
  mlPolicy: {numNodes: 1, torch: {numProcPerNode: 4}}
  template:
    spec:
      replicatedJobs:
      - name: node
        template: {spec: {template: {spec: {containers: [{name: node, image: torch, env: [{name: LR, value: "0"}]}]}}}}
"""


def test_a_train_job_is_its_runtime_with_its_own_wishes_and_torch_finds_its_peers():
    job, lost = converted(TRAIN + RUNTIME)
    (node,) = job["spec"]["tasks"]
    container = node["template"]["spec"]["containers"][0]
    assert lost == []
    assert (node["replicas"], container["image"], container["command"]) == (3, "torch", ["torchrun", "train.py"])
    assert container["resources"] == {"limits": {"cpu": 2}}
    assert env_of(node) == {
        "LR": "1",
        "PET_NNODES": "3",
        "PET_NPROC_PER_NODE": "4",
        "PET_NODE_RANK": None,
        "PET_MASTER_ADDR": "tune-node-0.tune",
        "PET_MASTER_PORT": "29400",
    }


def test_a_train_job_whose_runtime_nobody_has_seen_needs_an_image():
    with pytest.raises(SpecErrors, match=r"spec\.runtimeRef\.name: .*the runtime has the image"):
        convert(manifests(TRAIN))
    job, _ = converted(TRAIN.replace("numNodes: 3", "numNodes: 3\n    image: mine"))
    assert job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["image"] == "mine"


def test_every_problem_of_every_manifest_is_named_at_once():
    text = BATCH.replace("backoffLimit: 2", "backoffLimit: two") + "---\napiVersion: batch/v1\nkind: CronJob\n"
    with pytest.raises(SpecErrors) as raised:
        convert(manifests(text))
    assert [each.path for each in raised.value] == ["Job/pi spec.backoffLimit", "CronJob (batch/v1)"]


WHOLE = [manifests(text) for text in (BATCH, MPI, SET, TRAIN + RUNTIME)]
VALUES = st.sampled_from([None, "", "x", 0, -1, 2**70, 1.5, True, [], [1], {}, {"a": 1}, [[]], [{}]])


def places(value, path=()):
    """The path of everything inside `value`."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in entries:
        yield (*path, key)
        yield from places(inside, (*path, key))


@settings(max_examples=1000)
@given(data=st.data())
def test_whatever_is_wrong_with_a_manifest_it_is_converted_or_refused_with_words(data):
    documents = deepcopy(data.draw(st.sampled_from(WHOLE)))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(list(places(documents))))
        inside = documents
        for key in path:
            inside = inside[key]
        inside[last] = deepcopy(data.draw(VALUES))
        documents = [each for each in documents if isinstance(each, dict)]
        if not documents:
            return
    before = deepcopy(documents)
    refused = outcome(documents)
    assert documents == before
    assert all(problem.path for problem in refused)


def outcome(documents):
    """The problems of a conversion; whatever comes out must be fit for the rules to look at."""
    try:
        for each in convert(documents):
            rules.check_job(each.job)
    except SpecErrors as refused:
        return list(refused)
    return []
