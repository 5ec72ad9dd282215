"""Does a job survive YAML unchanged, whatever it holds, and is any part of a manifest ever dropped?"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbatch.errors import SpecErrors
from flowbatch_dsl import Job, On, Resources, Retry, Task, ddp, mpi, ps
from flowbatch_dsl.manifest import job_manifest
from flowbatch_dsl.reading import normal
from flowbatch_dsl.strategic import difference, identical, merge
from flowbatch_dsl.yamltext import dump

WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
NAME = st.from_regex(r"[a-z]([a-z0-9]{0,6})", fullmatch=True)
AMOUNT = st.one_of(st.integers(0, 10**6), st.sampled_from(["500m", "4Gi", "1e3", "0.5"]), st.just(0.25))
PLAIN = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 5), WORD, st.floats(0, 2, width=16)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAME, inner, max_size=3)),
    max_leaves=6,
)
ENV_ENTRY = st.one_of(
    st.fixed_dictionaries({"name": NAME, "value": WORD}),
    st.fixed_dictionaries({"name": NAME, "valueFrom": PLAIN}),
    st.fixed_dictionaries({"name": NAME}),
)
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "name": NAME,
        "image": WORD,
        "command": st.lists(WORD, max_size=2),
        "args": st.lists(WORD, max_size=2),
        "env": st.lists(ENV_ENTRY, max_size=3),
        "resources": st.fixed_dictionaries(
            {}, optional={"requests": st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), AMOUNT)}
        ),
        "volumeMounts": PLAIN,
    },
)
TEMPLATE = st.fixed_dictionaries(
    {"spec": st.fixed_dictionaries({}, optional={"containers": st.lists(CONTAINER, max_size=2), "volumes": PLAIN})},
    optional={"metadata": PLAIN},
)
WIRE_TASK = st.fixed_dictionaries(
    {"name": st.one_of(NAME, st.integers()), "template": TEMPLATE},
    optional={
        "replicas": st.one_of(st.integers(-1, 5), st.booleans(), WORD),
        "minAvailable": PLAIN,
        "policies": PLAIN,
        "dependsOn": PLAIN,
        "retry": PLAIN,
        "surprise": PLAIN,
    },
)
WIRE_JOB = st.fixed_dictionaries(
    {
        "apiVersion": st.just("batch.volcano.sh/v1alpha1"),
        "kind": st.just("Job"),
        "metadata": st.fixed_dictionaries({"name": NAME}, optional={"labels": PLAIN, "finalizers": PLAIN}),
        "spec": st.fixed_dictionaries(
            {"tasks": st.one_of(st.lists(WIRE_TASK, max_size=3), PLAIN)},
            optional={
                "queue": PLAIN,
                "plugins": PLAIN,
                "policies": PLAIN,
                "minAvailable": PLAIN,
                "surprise": PLAIN,
                "retry": PLAIN,
            },
        ),
    }
)
ON = st.builds(
    On,
    st.one_of(st.just("PodFailed"), st.just(["PodFailed", "PodEvicted"])),
    do=st.sampled_from(["RestartJob", "AbortJob"]),
    exit_code=st.one_of(st.none(), st.integers(1, 255)),
    after=st.one_of(st.none(), st.integers(1, 100), st.just("1h30m")),
)
RETRY = st.builds(
    Retry,
    backoff_s=st.one_of(st.none(), st.integers(0, 100)),
    avoid_failed_nodes=st.booleans(),
    memory_percent=st.one_of(st.none(), st.just(50)),
    memory_limit=st.one_of(st.none(), st.just("4Gi")),
)
RESOURCES = st.builds(
    Resources,
    cpu=st.one_of(st.none(), AMOUNT),
    memory=st.one_of(st.none(), st.integers(1, 2**40)),
    gpu=st.one_of(st.none(), st.integers(0, 8)),
    extra=st.dictionaries(st.sampled_from(["ephemeral-storage", "x.io/fpga"]), st.integers(0, 9)),
    shm=st.one_of(st.none(), st.just("1Gi")),
)
TASK = st.builds(
    Task,
    NAME,
    st.lists(WORD, max_size=3),
    replicas=st.integers(0, 9),
    min=st.one_of(st.none(), st.integers(0, 9)),
    image=st.sampled_from(["", "reg/x:1"]),
    resources=RESOURCES,
    env=st.dictionaries(NAME, WORD, max_size=3),
    after=st.lists(NAME, max_size=2),
    on=st.lists(ON, max_size=2),
    after_status=st.sampled_from(["", "Running", "Succeeded"]),
    retry=st.one_of(st.none(), RETRY),
    restart=st.sampled_from(["", "Never", "OnFailure"]),
    pod=st.one_of(st.just({}), TEMPLATE),
)
JOB = st.builds(
    Job,
    NAME,
    tasks=st.lists(TASK, max_size=3),
    queue=st.sampled_from(["", "ads"]),
    min_available=st.one_of(st.none(), st.integers(0, 20)),
    plugins=st.one_of(st.just(["svc", "env"]), st.just({"svc": ["--x=1"], "ssh": []})),
    on=st.lists(ON, max_size=1),
    retry=st.one_of(st.none(), RETRY),
    deadline_s=st.one_of(st.none(), st.integers(1, 99)),
    suspended_ttl_s=st.one_of(st.none(), st.integers(0, 99)),
    reserve=st.sampled_from(["", "All", "Phase"]),
    labels=st.dictionaries(NAME, WORD, max_size=2),
    extra=st.one_of(st.just({}), st.fixed_dictionaries({"spec": st.fixed_dictionaries({"surprise": PLAIN})})),
)


@given(JOB)
@settings(max_examples=60, deadline=None)
def test_every_job_that_can_be_built_equals_itself_after_yaml(job: Job) -> None:
    again = Job.from_yaml(job.to_yaml())
    assert again == job
    assert hash(again) == hash(job)


@given(WIRE_JOB)
@settings(max_examples=100, deadline=None)
def test_no_part_of_a_manifest_is_dropped_changed_or_reordered(manifest: dict[str, Any]) -> None:
    job = Job.from_yaml(dump(manifest))
    assert identical(normal(job_manifest(job)), normal(manifest))
    assert Job.from_yaml(job.to_yaml()) == job


JSON = st.dictionaries(
    st.sampled_from(["containers", "env", "a", "b"]),
    st.recursive(
        st.one_of(st.booleans(), st.integers(0, 2), st.floats(0, 1, width=16)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(st.dictionaries(st.sampled_from(["name", "env", "a"]), inner, max_size=3), max_size=3),
            st.dictionaries(st.sampled_from(["name", "env", "a"]), inner, max_size=3),
        ),
        max_leaves=8,
    ),
    max_size=3,
)


@given(JSON, JSON)
@settings(max_examples=100, deadline=None)
def test_merging_a_difference_gives_the_target(base: dict[str, Any], target: dict[str, Any]) -> None:
    assert identical(merge(base, difference(base, target)), target)


@pytest.mark.parametrize(
    "job",
    [
        mpi("pi", ["python", "pi.py"], workers=4, slots=2, resources=Resources(cpu=1)),
        mpi("pi", ["./a.out"], workers=2, flavor="openmpi"),
        ps("ctr", ["python", "train.py"], servers=2, workers=(2, 4), queue="ads"),
        ddp("llama", ["train.py"], nodes=(2, 8), resources=Resources(gpu=8, shm="64Gi")),
        ddp("one", ["train.py"]),
    ],
    ids=lambda job: job.name,
)
def test_recipes_survive_yaml(job: Job) -> None:
    assert Job.from_yaml(job.to_yaml()) == job


def test_a_volcano_manifest_keeps_what_has_no_field_where_it_can_be_seen() -> None:
    text = """
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: {name: tf, creationTimestamp: null}
spec:
  schedulerName: volcano
  networkTopology: {mode: hard, highestTierAllowed: 2}
  tasks:
  - name: ps
    replicas: 2
    topologyPolicy: single-numa-node
    template:
      metadata: {labels: {a: b}}
      spec:
        restartPolicy: OnFailure
        nodeSelector: {disk: ssd}
        containers:
        - name: tensorflow
          image: tf:1
          command: [sh, -c, train]
          args: [--fast]
          resources: {limits: {cpu: 2}, requests: {cpu: 1000m, memory: 2e9}}
          ports: [{containerPort: 2222}]
"""
    job = Job.from_yaml(text)
    (task,) = job.tasks
    assert (task.name, task.container, task.restart, task.resources.cpu) == ("ps", "tensorflow", "OnFailure", "1000m")
    assert job.extra == {
        "spec": {
            "networkTopology": {"mode": "hard", "highestTierAllowed": 2},
            "tasks": ({"name": "ps", "topologyPolicy": "single-numa-node"},),
        }
    }
    assert task.pod["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert task.pod["spec"]["containers"] == (
        {
            "name": "tensorflow",
            "args": ("--fast",),
            "resources": {"limits": {"cpu": "2"}},
            "ports": ({"containerPort": 2222},),
        },
    )
    assert Job.from_yaml(job.to_yaml()) == job


def test_what_only_a_cluster_may_write_is_refused_by_name() -> None:
    head = "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\n"
    text = head + "metadata: {name: a, uid: x, resourceVersion: '5'}\nstatus: {}\n"
    with pytest.raises(SpecErrors) as caught:
        Job.from_yaml(text)
    assert [problem.path for problem in caught.value] == ["metadata.uid", "metadata.resourceVersion", "status"]


def test_another_kind_is_refused_with_what_was_expected() -> None:
    with pytest.raises(SpecErrors, match=r"apiVersion.*batch\.volcano\.sh/v1alpha1"):
        Job.from_yaml("apiVersion: batch/v1\nkind: Job\n")


def test_equal_jobs_are_equal_however_they_were_written() -> None:
    typed = Job("a", tasks=[Task("w", ["x"], image="i", replicas=2)])
    raw = Job("a", tasks=[Task("w", ["x"], pod={"spec": {"containers": [{"name": "main", "image": "i"}]}})]).but(
        extra={"spec": {"tasks": [{"name": "w", "replicas": 2}]}}
    )
    assert raw == typed
    assert not raw.extra
    assert not raw.tasks[0].pod
