"""Does each verb do what a user means, and answer a slip with one clear line and the documented exit code?"""

import io
import itertools
import json
import subprocess
import sys
import time

import pytest

GET = [sys.executable, "-m", "flowbatch", "get"]


def queue(name, **spec):
    kind = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def test_run_follows_a_job_to_its_end_and_says_how_it_ended(flowbatch, written, make_job, unique):
    name = unique()
    code, out, _ = flowbatch("run", written(make_job(name, "echo from the pod")))
    assert code == 0
    assert f"{name}-t-0: from the pod" in out
    assert out.splitlines()[-1].startswith(f"{name}: completed")


def test_a_failed_job_is_exit_code_1_with_its_last_lines(flowbatch, written, make_job, unique):
    name = unique()
    code, out, _ = flowbatch("run", written(make_job(name, "echo going; exit 3", maxRetry=1)))
    assert code == 1
    assert f"{name}-t-0: going" in out
    assert f"{name}: failed" in out.splitlines()[-2]
    assert out.splitlines()[-1] == f"{name}-t-0: exit code 3"


def test_two_jobs_of_one_file_are_both_followed(flowbatch, written, make_job, unique):
    first, second = unique(), unique()
    code, out, _ = flowbatch("run", written(make_job(first), make_job(second)))
    assert code == 0
    assert f"{first}: completed" in out
    assert f"{second}: completed" in out


def test_a_file_may_bring_the_queue_its_job_names(flowbatch, written, make_job, unique):
    room, name = unique("queue"), unique()
    code, _, err = flowbatch("run", "--detach", written(queue(room), make_job(name, queue=room)))
    assert (code, err) == (0, f"queue/{room} created\njob/{name} created\n")
    code, _, err = flowbatch("run", "-d", written(queue(room), make_job(unique(), queue=room)))
    assert code == 0
    assert f"queue/{room} exists already; it is left as it is" in err


def test_a_queue_is_made_with_all_that_it_may_be(flowbatch, unique):
    name = unique("queue")
    limits = ("--limit", "user=ann,user=bob,cpu=8,jobs=4", "--limit", "namespace=*,memory=1Gi")
    bounds = ("--deserved", "cpu=6", "--borrowing", "cpu=2", "--lending", "cpu=4", "--dequeue-strategy", "fifo")
    assert flowbatch("queue", "create", name, *bounds, *limits, "--suspended")[0] == 0
    spec = json.loads(flowbatch("get", f"queue/{name}", "-o", "json")[1])["spec"]
    assert (spec["borrowingLimit"], spec["lendingLimit"]) == ({"cpu": "2"}, {"cpu": "4"})
    assert (spec["dequeueStrategy"], spec["suspend"]) == ("fifo", True)
    assert spec["limits"] == [
        {"users": ["ann", "bob"], "resources": {"cpu": "8"}, "jobs": 4},
        {"namespaces": ["*"], "resources": {"memory": "1Gi"}},
    ]


def test_a_name_that_is_taken_creates_nothing(flowbatch, written, make_job, unique):
    taken, other = unique(), unique()
    assert flowbatch("run", "-d", written(make_job(taken)))[0] == 0
    code, _, err = flowbatch("run", "-d", written(make_job(other), make_job(taken)))
    assert code == 1
    assert f"job {taken} exists already; nothing was created" in err
    assert flowbatch("get", f"job/{other}")[0] == 1


def test_standard_input_is_a_dash(flowbatch, make_job, unique, monkeypatch):
    name = unique()
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(make_job(name))))
    assert flowbatch("run", "-d", "-")[0] == 0
    assert flowbatch("get", f"job/{name}", "-o", "name")[:2] == (0, f"job.batch.volcano.sh/{name}\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("bogus",), 2, 'Unknown command "bogus"'),
        (("get", "--bogus"), 2, "see: flowbatch get --help"),
        (("queue", "create", "a", "--weight", "x"), 2, "see: flowbatch queue create --help"),
        (("get", "bogus"), 2, "no such kind of object"),
        (("get", "job/"), 2, "expected KIND/NAME"),
        (("get", "-n", "No/p"), 2, "is not a name of a namespace"),
        (("get", "-l", "a==="), 2, "unable to parse requirement"),
        (("get", "-w", "-o", "json"), 2, "prints a table or names"),
        (("get", "jobs", "nope"), 1, '"nope" not found'),
        (("why", "nope"), 1, 'no job "nope"'),
        (("describe", "queue", "defalt"), 1, 'did you mean "default"?'),
        (("queue", "open", "defalt"), 1, 'did you mean "default"?'),
        (("queue", "delete", "nope"), 1, 'no queue "nope"'),
        (("queue", "create", "a", "--capability", "cpu"), 2, "expected RESOURCE=QUANTITY"),
        (("queue", "create", "a", "--limit", "cpu=4"), 2, "names nobody"),
        (("queue", "create", "a", "--limit", "user=ann,jobs=few"), 2, "spec.limits"),
        (("queue", "create", "a", "--dequeue-strategy", "lifo"), 2, "is not a strategy"),
        (("queue", "close"), 2, "name at least one queue"),
        (("suspend",), 2, "name at least one job"),
        (("delete",), 2, "name at least one job"),
        (("run",), 2, "FILE"),
        (("run", "--bogus"), 2, "unknown option"),
        (("run", "."), 2, "is a directory"),
        (("run", "nope.yaml"), 2, "no such file"),
        (("validate",), 2, "at least one file"),
        (("get", "--kubeconfig", "/nope/nope"), 3, "no kubeconfig file /nope/nope"),
        (("get", "--context", "nope"), 3, "no context 'nope'"),
    ],
)
def test_a_slip_is_one_clear_answer(flowbatch, words, code, said):
    got, out, err = flowbatch(*words)
    assert got == code
    assert said in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert not out


def test_an_object_that_is_no_batch_object_is_refused_before_anything(flowbatch, written, make_job, unique):
    name = unique()
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}
    code, _, err = flowbatch("run", written(make_job(name), deployment))
    assert code == 2
    assert "'apps/v1 Deployment': is not one flowbatch submits" in err
    assert flowbatch("get", f"job/{name}")[0] == 1


def test_no_server_is_exit_code_3(flowbatch, here, tmp_path):
    text = here.kubeconfig.read_text()
    server = here.cluster.kubeconfig and next(line for line in text.splitlines() if "https://" in line)
    (tmp_path / "dead").write_text(text.replace(server.split("https://")[1].rstrip('",'), "127.0.0.1:1"))
    code, _, err = flowbatch("get", "--kubeconfig", "dead")
    assert code == 3
    assert "cannot reach https://127.0.0.1:1" in err


def test_logs_of_a_pod_that_cannot_be_are_refused(flowbatch, written, make_job, unique):
    name = unique()
    flowbatch("run", written(make_job(name, "echo one; echo two", replicas=2)))
    assert flowbatch("logs", name, "t", "--index", "1", "--tail", "1")[1] == "two\n"
    assert flowbatch("logs", name)[1].splitlines()[0] == f"{name}-t-0: one"
    for words, said in ((("--index", "2"), "0 to 1"), (("--tail", "-1"), "0 or more"), (("x",), "no such task")):
        code, _, err = flowbatch("logs", name, *words)
        assert code == 2
        assert said in err


def test_logs_can_be_followed_before_there_is_a_pod(flowbatch, written, make_job, unique):
    name = unique()
    flowbatch("run", "-d", written(make_job(name, "sleep 0.3; echo at last", suspend=True)))
    words = [sys.executable, "-m", "flowbatch", "logs", "-f", name]
    follower = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    time.sleep(0.8)
    assert flowbatch("resume", name)[0] == 0
    assert follower.communicate(timeout=30)[0] == f"{name}-t-0: at last\n"


def test_a_watch_prints_one_header_and_no_row_twice(flowbatch, written, make_job, unique):
    first, name = unique(), unique()
    flowbatch("run", "-d", written(make_job(first, suspend=True)))
    watcher = subprocess.Popen([*GET, "-w"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = [watcher.stdout.readline()]
    while not lines[-1].startswith(first):
        lines.append(watcher.stdout.readline())
    flowbatch("run", "-d", written(make_job(name, "sleep 0.2")))
    while lines[-1].split()[:2] != [name, "Completed"]:
        lines.append(watcher.stdout.readline())
    watcher.terminate()
    watcher.communicate(timeout=10)
    assert sum(line.startswith("NAME") for line in lines) == 1
    mine = [line.split()[:-1] for line in lines if line.startswith(f"{name} ")]
    assert all(before != after for before, after in itertools.pairwise(mine))


def test_a_reader_that_goes_away_is_not_worth_a_word(flowbatch):
    done = subprocess.run(["bash", "-c", f"{' '.join(GET)} nodes -o yaml | true"], capture_output=True, check=False)
    assert done.stderr == b""


def test_a_reader_that_goes_away_in_the_middle_of_a_stream_is_not_worth_one_either(
    flowbatch, written, make_job, unique
):
    name = unique()
    flowbatch("run", "-d", written(make_job(name, "while sleep 0.05; do echo tick; done")))
    follow = f"{sys.executable} -m flowbatch logs -f {name} | head -1"
    done = subprocess.run(["bash", "-c", follow], capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout, done.stderr) == (f"{name}-t-0: tick\n", "")
    flowbatch("delete", name)


def test_deleting_waits_until_all_is_gone(flowbatch, written, make_job, unique):
    name = unique()
    flowbatch("run", "-d", written(make_job(name, "sleep 60", replicas=2)))
    assert flowbatch("delete", name)[0] == 0
    assert flowbatch("get", "pods", "-l", f"volcano.sh/job-name={name}", "-o", "name")[1] == ""
