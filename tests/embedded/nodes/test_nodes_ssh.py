"""Does `ssh` reach the pods of its own job, and only those; does a real mpiexec run over it?"""

import time

from flowbatch.api.kinds import CONFIG_MAP
from flowbatch.api.meta import JsonObject
from tests.embedded.nodes.conftest import Field, eventually
from tests.embedded.nodes.test_nodes_isolation import programs

MODES = ("own", "user-namespace")
PI = """
from mpi4py import MPI
import socket
world = MPI.COMM_WORLD
steps = 20_000
part = sum(4.0 / (1.0 + ((i + 0.5) / steps) ** 2) for i in range(world.rank, steps, world.size)) / steps
total = world.reduce(part, op=MPI.SUM, root=0)
hosts = world.gather(socket.gethostname(), root=0)
if world.rank == 0:
    print(f"pi {total:.6f} by {world.size} ranks on {sorted(set(hosts))}")
"""


def member(job: str, name: str, command: list[str], **container: object) -> tuple[JsonObject, JsonObject]:
    """Spec and metadata of a pod of a job, as the svc plugin makes them."""
    spec = {"hostname": name, "subdomain": job, "containers": [{"name": "main", "command": command, **container}]}
    owner = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "name": job, "uid": f"uid-{job}"}
    meta = {"labels": {"volcano.sh/job-name": job}, "ownerReferences": [{**owner, "controller": True}]}
    return spec, meta


async def start(field: Field, job: str, name: str, command: list[str], node: str = "n1", **container: object) -> None:
    spec, meta = member(job, name, command, **container)
    await field.run_pod(name, spec, node, **meta)


async def test_mpiexec_runs_ranks_in_the_worker_pods(field_: Field):
    for number in (0, 1):
        sshd = ["/usr/sbin/sshd", "-De"]
        await start(field_, "pi", f"pi-worker-{number}", sshd, f"n{number + 1}")
    hosts = {"worker.host": "pi-worker-0.pi\npi-worker-1.pi\n"}
    await field_.create(CONFIG_MAP, {"metadata": {"name": "hosts"}, "data": hosts})
    spec, meta = member("pi", "pi-master-0", ["mpiexec.hydra", "-launcher", "ssh", "-f", "/etc/volcano/worker.host"])
    spec["containers"][0]["command"] += ["-n", "4", "python", "-c", PI]
    spec["containers"][0]["volumeMounts"] = [{"name": "hosts", "mountPath": "/etc/volcano"}]
    spec["volumes"] = [{"name": "hosts", "configMap": {"name": "hosts"}}]
    text = await field_.output("pi-master-0", spec, "n1", **meta)
    assert text == "pi 3.141593 by 4 ranks on ['pi-worker-0', 'pi-worker-1']\n"
    for number in (0, 1):
        assert (await field_.pod(f"pi-worker-{number}"))["status"]["phase"] == "Running"


async def test_the_remote_command_has_the_pods_environment_and_our_streams(field_: Field):
    env = [{"name": "VC_TASK_INDEX", "value": "7"}]
    await start(field_, "j", "w", ["sshd", "-D"], env=env)
    script = "echo typed | ssh -o StrictHostKeyChecking=no -p 22 -q root@w.j "
    script += """'read x; echo got $x on $(hostname) $VC_TASK_INDEX; echo oops >&2; exit 5'; echo code $?"""
    await start(field_, "j", "m", ["sh", "-c", script.replace("$(", "$$(")])
    await field_.finished("m")
    assert sorted((await field_.logs("m")).splitlines()) == ["code 5", "got typed on w 7", "oops"]


async def test_the_pods_of_another_job_are_refused(field_: Field):
    await start(field_, "theirs", "target", ["sshd", "-D"])
    await field_.phase("target", "Running")
    ip = (await field_.pod("target"))["status"]["podIP"]
    for name, host in (("by-name", "target.theirs"), ("by-ip", ip)):
        await start(field_, "ours", name, ["sh", "-c", f"ssh {host} hostname; echo code $?"])
        await field_.finished(name)
        text = await field_.logs(name)
        assert "not of this job" in text
        assert text.endswith("code 255\n")


async def test_a_namesake_job_of_another_owner_is_refused(field_: Field):
    await start(field_, "same", "target", ["sshd", "-D"])
    spec, meta = member("same", "impostor", ["sh", "-c", "ssh target hostname; echo code $?"])
    meta["ownerReferences"][0]["uid"] = "uid-of-an-older-job"
    await field_.run_pod("impostor", spec, **meta)
    await field_.finished("impostor")
    assert "not of this job" in await field_.logs("impostor")


async def test_without_sshd_the_connection_is_refused(field_: Field):
    await start(field_, "j", "deaf", ["sleep", "100"])
    await start(field_, "j", "caller", ["sh", "-c", "ssh -o ConnectTimeout=1 deaf.j hostname; echo code $?"])
    await field_.finished("caller")
    text = await field_.logs("caller")
    assert "Connection refused" in text
    assert text.endswith("code 255\n")


async def test_a_command_waits_for_a_pod_that_is_not_there_yet(field_: Field):
    await start(field_, "j", "early", ["ssh", "late.j", "hostname"])
    await field_.phase("early", "Running")
    await start(field_, "j", "late", ["sshd", "-D"], "n2")
    await field_.finished("early")
    assert await field_.logs("early") == "late\n"


async def test_what_ssh_started_dies_with_its_caller(field_: Field):
    marker = f"8{time.time_ns() % 10**9}"
    await start(field_, "j", "w", ["sshd", "-D"])
    await start(field_, "j", "m", ["ssh", "w.j", f"setsid sleep {marker} & sleep {marker}; true"])
    await eventually(lambda: runs_sleep(marker))
    await field_.delete("m", grace_seconds=1)
    await field_.gone("m")
    await eventually(lambda: runs_sleep(marker, no=True))
    assert (await field_.pod("w"))["status"]["phase"] == "Running"


async def runs_sleep(marker: str, *, no: bool = False) -> bool:
    return ("sleep" in programs(marker)) is not no


async def test_no_file_of_the_node_leaks_into_a_pod(field_: Field):
    await start(field_, "j", "w", ["sshd", "-D"])
    await start(field_, "j", "m", ["sh", "-c", "ls /proc/self/fd | wc -l; ssh w.j 'ls /proc/self/fd | wc -l'"])
    await field_.finished("m")
    assert (await field_.logs("m")).split() == ["4", "4"]
