"""What does a name mean, to a resolver, to a hosts file, to ssh; and who may be reached?"""

import struct
from ipaddress import IPv4Network

import pytest

from flowbatch.api.core import Service, ServiceSpec
from flowbatch.api.meta import ObjectMeta, OwnerReference
from flowbatch.embedded.nodes.directory import Addresses, AddressesExhausted, Directory, Entry, hosts_file
from flowbatch.embedded.nodes.inside.remote import UsageError, parse
from flowbatch.embedded.nodes.nameserver import answer
from flowbatch.embedded.nodes.remote import answers_to, job_of
from flowbatch.embedded.nodes.runnable import RunnablePod

WORKER = Entry("u1", "ns", "w-0", "job", "10.0.0.5", {"app": "w"})
OTHER = Entry("u2", "ns", "w-1", "job", "10.0.0.6", {"app": "w"})


def directory(*ready: str) -> Directory:
    service = Service(metadata=ObjectMeta(name="svc", namespace="ns"), spec=ServiceSpec(selector={"app": "w"}))
    return Directory({"u1": WORKER, "u2": OTHER}, {"ns/svc": service}, set(ready))


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("w-0.job.ns.svc.cluster.local", ["10.0.0.5"]),
        ("W-0.job.ns.svc.cluster.local.", ["10.0.0.5"]),
        ("svc.ns.svc.cluster.local", ["10.0.0.6"]),
        ("job.ns.svc.cluster.local", ["10.0.0.5", "10.0.0.6"]),
        ("10-0-0-5.ns.pod.cluster.local", ["10.0.0.5"]),
        ("w-0.job.elsewhere.svc.cluster.local", None),
        ("w-9.job.ns.svc.cluster.local", None),
        ("example.org", None),
        ("cluster.local", None),
    ],
)
def test_names_resolve(name: str, addresses: list[str] | None):
    assert directory("u2").resolve(name) == addresses


def test_a_service_without_ready_pods_means_all_of_them():
    assert directory().resolve("svc.ns.svc.cluster.local") == ["10.0.0.5", "10.0.0.6"]


def test_the_hosts_file_lists_the_whole_group():
    lines = dict(line.split("\t", 1) for line in hosts_file(directory().group(WORKER)).splitlines())
    assert lines["10.0.0.5"] == "w-0.job.ns.svc.cluster.local w-0 w-0.job w-0.job.ns w-0.job.ns.svc"
    assert "10.0.0.6" in lines


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1)


def test_the_name_server_answers_with_addresses_or_a_clear_no():
    known = {"a.b": ["10.0.0.1", "10.0.0.2"]}.get
    reply = answer(query("a.b"), known) or b""
    number, flags, _, answers, _, _ = struct.unpack_from(">HHHHHH", reply)
    assert (number, flags & 0xF, answers) == (7, 0, 2)
    assert reply.endswith(bytes([10, 0, 0, 2]))
    no = answer(query("x.y"), known) or b""
    assert no[3] & 0xF == 3
    # The name is there but has no IPv6 address: an empty answer, not "no such name".
    empty = answer(query("a.b", 28), known) or b""
    assert (empty[3] & 0xF, empty[7]) == (0, 0)


@pytest.mark.parametrize("junk", [b"", b"short", b"\0" * 11, query("a.b")[:14], query("a.b")[:-1], b"\xff" * 40])
def test_the_name_server_survives_junk(junk: bytes):
    reply = answer(junk, lambda name: ["10.0.0.1"])
    assert reply is None or reply[3] & 0xF == 1


def test_addresses_are_given_in_turn_and_run_out():
    addresses = Addresses(IPv4Network("10.0.0.0/28"))
    taken = [addresses.take() for _ in range(4)]
    assert len(set(taken)) == 4
    with pytest.raises(AddressesExhausted):
        addresses.take()
    addresses.give_back(taken[1])
    assert addresses.take() == taken[1]
    assert addresses.gateway not in taken


@pytest.mark.parametrize(
    "name", ["w-0", "w-0.job", "w-0.job.ns", "w-0.job.ns.svc", "W-0.job.ns.svc.cluster.local", "10.0.0.5"]
)
def test_ssh_knows_a_pod_by_every_name_that_resolves(name: str):
    assert answers_to(WORKER, name)
    assert not answers_to(OTHER, name)


def of_job(job: str, owner: str, namespace: str = "ns") -> RunnablePod:
    reference = OwnerReference(api_version="v1", kind="Job", name=job, uid=owner, controller=True)
    labels = {"volcano.sh/job-name": job} if job else {}
    meta = ObjectMeta(name="p", uid=f"{job}{owner}", namespace=namespace, labels=labels, owner_references=(reference,))
    return RunnablePod(metadata=meta)


def test_a_job_is_its_namespace_name_and_owner():
    assert job_of(of_job("a", "1")) == job_of(of_job("a", "1"))
    others = [of_job("b", "1"), of_job("a", "2"), of_job("a", "1", "elsewhere"), of_job("", "1"), of_job("", "2")]
    assert job_of(of_job("a", "1")) not in [job_of(each) for each in others]
    assert job_of(others[3]) != job_of(others[4])


@pytest.mark.parametrize(
    ("line", "host", "command"),
    [
        ("w hostname", "w", ["hostname"]),
        ("-x w hydra_pmi_proxy --flag x", "w", ["hydra_pmi_proxy", "--flag", "x"]),
        ("-q -T -o StrictHostKeyChecking=no -p 2222 -l root w cmd", "w", ["cmd"]),
        ("-oConnectTimeout=3 -p22 root@w.job.ns.svc cmd", "w.job.ns.svc", ["cmd"]),
        ("-xnq -i key w -- cmd -a", "w", ["cmd", "-a"]),
        ("w", "w", []),
    ],
)
def test_openssh_command_lines_are_understood(line: str, host: str, command: list[str]):
    found = parse(line.split())
    assert (found[0], found[2]) == (host, command)


def test_options_are_read_and_nonsense_is_refused():
    assert parse(["-o", "ConnectTimeout=3", "w"])[1] == {"connecttimeout": "3"}
    for line in ([], ["-p"], ["-x"]):
        with pytest.raises(UsageError):
            parse(line)
