"""Are pods apart from one another and from the machine: network, processes, files, names?"""

import asyncio
import contextlib
import os
from pathlib import Path

from flowbatch.api.kinds import SERVICE
from tests.embedded.nodes.conftest import Field, eventually

MODES = ("own", "user-namespace")
LISTEN = "import socket,time; s=socket.create_server(('0.0.0.0', 2222)); print('bound', flush=True); time.sleep(100)"

#: A rendezvous as torch.distributed makes it: rank 0 listens on MASTER_PORT, all others report to it.
RENDEZVOUS = """
import os, socket, time
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    server = socket.create_server(("", address[1]))
    ranks = sorted(int(server.accept()[0].makefile().readline()) for _ in range(size - 1))
    print(os.environ["JOB"], ranks)
else:
    for _ in range(200):
        try:
            peer = socket.create_connection(address, timeout=5)
            break
        except OSError:
            time.sleep(0.05)
    peer.sendall(f"{rank}\\n".encode())
"""


async def has_printed(field: Field, name: str, text: str) -> bool:
    return await field.logs(name) == text


def python(code: str, *arguments: str) -> list[str]:
    return ["python", "-c", code, *arguments]


async def test_two_pods_of_one_node_bind_the_same_port(field_: Field):
    for name in ("a", "b"):
        await field_.run_pod(name, python(LISTEN))
    for name in ("a", "b"):
        await field_.phase(name, "Running")
        await eventually(lambda name=name: has_printed(field_, name, "bound\n"))


async def test_two_pytorch_shaped_jobs_run_at_once(field_: Field):
    pods = []
    for job in ("left", "right"):
        for rank, node in enumerate(("n1", "n2", "n1")):
            env = {"RANK": rank, "WORLD_SIZE": 3, "MASTER_ADDR": f"{job}-0.{job}", "MASTER_PORT": 23456, "JOB": job}
            container = {"name": "main", "command": python(RENDEZVOUS)}
            container["env"] = [{"name": key, "value": str(value)} for key, value in env.items()]
            spec = {"hostname": f"{job}-{rank}", "subdomain": job, "containers": [container]}
            pods.append(field_.run_pod(f"{job}-{rank}", spec, node))
    await asyncio.gather(*pods)
    for job in ("left", "right"):
        for rank in range(3):
            assert (await field_.finished(f"{job}-{rank}"))["status"]["phase"] == "Succeeded"
        assert await field_.logs(f"{job}-0") == f"{job} [1, 2]\n"


async def test_names_of_pods_and_services_resolve_even_of_those_that_start_later(field_: Field):
    spec = {"clusterIP": "None", "selector": {"app": "late"}, "ports": [{"port": 1}]}
    await field_.create(SERVICE, {"metadata": {"name": "late-svc"}, "spec": spec})
    waiter = """
import socket, sys, time
for name in sys.argv[1:]:
    for _ in range(300):
        try:
            print(name, socket.getaddrinfo(name, 1)[0][4][0])
            break
        except socket.gaierror:
            time.sleep(0.05)
    else:
        sys.exit(f"{name} does not resolve")
"""
    space = field_.namespace
    names = ["late", "late.group", f"late.group.{space}", f"late.group.{space}.svc.cluster.local", "group", "late-svc"]
    names += [f"late-svc.{space}.svc.cluster.local", "early", "localhost"]
    early = {
        "hostname": "early",
        "subdomain": "group",
        "containers": [{"name": "m", "command": python(waiter, *names)}],
    }
    await field_.run_pod("early", early)
    await field_.phase("early", "Running")
    late = {"hostname": "late", "subdomain": "group", "containers": [{"name": "m", "command": ["sleep", "60"]}]}
    await field_.run_pod("late", late, "n2", labels={"app": "late"})
    ip = (await field_.phase("late", "Running"))["status"]["podIP"]
    assert (await field_.finished("early"))["status"]["phase"] == "Succeeded"
    found = dict(line.split() for line in (await field_.logs("early")).splitlines())
    assert {found[name] for name in names if name not in ("early", "localhost", "group")} == {ip}
    assert found["early"] == (await field_.pod("early"))["status"]["podIP"]


async def test_the_gateway_keeps_its_hardware_address_while_pods_come(field_: Field):
    """A bridge without an address of its own changes it with its cables: who knew the old one asks in vain."""
    asker = """
import socket
def gateway():
    try: socket.getaddrinfo("nobody", 1)
    except socket.gaierror: return [line.split()[3] for line in open("/proc/net/arp") if line.startswith("10.244.0.1 ")]
server = socket.create_server(("0.0.0.0", 2222))
print(before := gateway(), flush=True)
server.accept()
print(gateway() == before)
"""
    await field_.run_pod("asker", python(asker))
    address = (await field_.phase("asker", "Running"))["status"]["podIP"]
    await eventually(lambda: field_.logs("asker"))
    for number in range(12):
        await field_.run_pod(f"other-{number}", ["sleep", "60"])
    for number in range(12):
        await field_.phase(f"other-{number}", "Running")
    await field_.run_pod("last", python(f"import socket; socket.create_connection(('{address}', 2222))"))
    assert (await field_.finished("asker"))["status"]["phase"] == "Succeeded"
    assert (await field_.logs("asker")).endswith("\nTrue\n")


async def test_an_unknown_name_is_refused_quickly(field_: Field):
    code = "import socket,time; t=time.time()\ntry: socket.getaddrinfo('nobody.example.org', 1)\n"
    code += "except socket.gaierror as e: print(e.errno == socket.EAI_NONAME, time.time() - t < 2)"
    assert await field_.output("lost", python(code)) == "True True\n"


async def test_pods_cannot_reach_the_machine_network(field_: Field):
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    code = f"import socket\ntry: socket.create_connection(('127.0.0.1', {port}), 2); print('reached')\n"
    code += "except OSError as e: print('refused')"
    assert await field_.output("alone", python(code)) == "refused\n"
    server.close()


async def test_containers_of_one_pod_share_network_and_host_name(field_: Field):
    dial = "import socket,time\nfor _ in range(100):\n  try: socket.create_connection(('127.0.0.1', 2222)); break\n"
    dial += "  except OSError: time.sleep(0.05)\nprint('met on', socket.gethostname())"
    listen = "import socket; socket.create_server(('127.0.0.1', 2222)).accept()"
    containers = [{"name": "main", "command": python(dial)}, {"name": "other", "command": python(listen)}]
    await field_.run_pod("pair", {"hostname": "shared", "containers": containers})
    assert (await field_.finished("pair"))["status"]["phase"] == "Succeeded"
    assert await field_.logs("pair", container="main") == "met on shared\n"


def processes(marker: str) -> list[int]:
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                command = (each / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in command:
                found.append(int(each.name))
    return found


def programs(marker: str) -> list[str]:
    """The names of the programs that have `marker` among their arguments."""
    found = []
    for pid in processes(marker):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


def entries(folder: str) -> list[str]:
    return sorted(each.name for each in Path(folder).iterdir())


def existing(paths: list[str]) -> list[str]:
    return [path for path in paths if Path(path).exists()]


async def test_a_setsid_daemon_dies_with_its_pod(field_: Field):
    marker = f"98765{os.getpid()}"
    await field_.run_pod("daemon", ["sh", "-c", f"setsid sleep {marker} & sleep 0.3; echo out"])
    await field_.phase("daemon", "Running")
    assert processes(marker)
    await field_.finished("daemon")
    assert "sleep" not in programs(marker)


async def test_a_pod_sees_only_its_own_processes(field_: Field):
    code = "import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[:2], os.getpid() < 20)"
    assert (await field_.output("census", python(code))).endswith("True\n")


async def test_nothing_is_written_outside_private_mounts(field_: Field, tmp_path: Path):
    places = ["/usr/flowbatch-was-here", "/etc/flowbatch-was-here", "/tmp/flowbatch-was-here", f"{Path.home()}/fb-here"]
    places += [f"{Path.cwd()}/flowbatch-was-here", f"{tmp_path}/flowbatch-was-here"]
    there = tmp_path / "there"
    there.write_text("before")
    script = "".join(f"echo x > {place}; " for place in places) + f"echo after > {there}; rm -rf /etc/hostname; true; "
    mounts = [{"name": "v", "mountPath": path} for path in ("/etc/volcano", "/root/.ssh", "/brand/new/place")]
    spec = {
        "containers": [
            {"name": "main", "command": ["sh", "-c", script + "ls -d /brand/new/place"], "volumeMounts": mounts}
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    etc = entries("/etc")
    assert (await field_.output("writer", spec)).endswith("/brand/new/place\n")
    assert existing(places) == []
    assert there.read_text() == "before"
    assert entries("/etc") == etc
    assert existing(["/brand"]) == []


async def test_two_pods_do_not_see_each_others_files(field_: Field):
    await field_.output("first", ["sh", "-c", "echo mine > /tmp/only-mine; mkdir -p /run/x; echo > /dev/shm/y"])
    assert await field_.output("second", ["sh", "-c", "ls /tmp/only-mine /run/x /dev/shm/y 2>/dev/null; true"]) == ""
