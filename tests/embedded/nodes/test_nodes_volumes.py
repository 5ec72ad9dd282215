"""Does a container find its environment and volumes as its pod describes them?"""

import base64
import json
from pathlib import Path

import pytest

from flowbatch.api.kinds import CONFIG_MAP, SECRET
from tests.embedded.nodes.conftest import Field

MODES = ("own", "user-namespace")


def env_reader(*names: str) -> list[str]:
    return ["python", "-c", f"import os,json; print(json.dumps([os.environ.get(n) for n in {list(names)!r}]))"]


async def test_environment_from_everywhere(field_: Field):
    await field_.create(CONFIG_MAP, {"metadata": {"name": "cm"}, "data": {"a": "1", "b-c": "2"}})
    secret = base64.b64encode(b"hush").decode()
    await field_.create(SECRET, {"metadata": {"name": "sec"}, "data": {"word": secret}})
    names = ["PLAIN", "JOINED", "LITERAL", "NAME", "IP", "LABEL", "CPU", "ONE", "WORD", "X_a", "NONE", "NODE"]
    container = {
        "name": "main",
        "command": env_reader(*names),
        "resources": {"limits": {"cpu": "1500m"}, "requests": {"cpu": "500m"}},
        "envFrom": [{"configMapRef": {"name": "cm"}, "prefix": "X_"}],
        "env": [
            {"name": "PLAIN", "value": "p"},
            {"name": "JOINED", "value": "$(PLAIN)-$(X_a)"},
            {"name": "LITERAL", "value": "$$(PLAIN) $(NOBODY)"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['role']"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
            {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "word"}}},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "no", "optional": True}}},
        ],
    }
    found = json.loads(await field_.output("env", {"containers": [container]}, labels={"role": "test"}))
    ip = (await field_.pod("env"))["status"]["podIP"]
    expected = ["p", "p-1", "$(PLAIN) $(NOBODY)", "env", ip, "test", "1500", "1", "hush", "1", None, "n1"]
    assert found == expected


async def test_volumes_of_every_kind_where_nothing_was_before(field_: Field):
    await field_.create(CONFIG_MAP, {"metadata": {"name": "hosts"}, "data": {"worker.host": "w-0.j\nw-1.j"}})
    data = {name: base64.b64encode(name.encode()).decode() for name in ("id_rsa", "config")}
    await field_.create(SECRET, {"metadata": {"name": "ssh"}, "data": data})
    container = {
        "name": "main",
        "command": [
            "sh",
            "-c",
            "cat /etc/volcano/worker.host; echo; stat -c '%a %n' /root/.ssh/* ; cat /root/.ssh/id_rsa; echo;"
            "cat /etc/podinfo/labels; echo; cat /all/one/worker.host /all/me; echo;"
            "touch /root/.ssh/x 2>/dev/null || echo read-only; cat /single.conf; df /dev/shm | tail -1 | wc -l",
        ],
        "volumeMounts": [
            {"name": "hosts", "mountPath": "/etc/volcano"},
            {"name": "ssh", "mountPath": "/root/.ssh"},
            {"name": "info", "mountPath": "/etc/podinfo"},
            {"name": "all", "mountPath": "/all"},
            {"name": "hosts", "mountPath": "/single.conf", "subPath": "worker.host"},
            {"name": "mem", "mountPath": "/dev/shm"},
        ],
    }
    volumes = [
        {"name": "hosts", "configMap": {"name": "hosts"}},
        {"name": "ssh", "secret": {"secretName": "ssh", "defaultMode": 0o600}},
        {"name": "info", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "mem", "emptyDir": {"medium": "Memory"}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"configMap": {"name": "hosts", "items": [{"key": "worker.host", "path": "one/worker.host"}]}},
                    {"downwardAPI": {"items": [{"path": "me", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]
            },
        },
    ]
    text = await field_.output("volumes", {"containers": [container], "volumes": volumes}, labels={"role": "test"})
    hosts = "w-0.j\nw-1.j"
    expected = f"{hosts}\n600 /root/.ssh/config\n600 /root/.ssh/id_rsa\nid_rsa\n"
    expected += f'role="test"\n{hosts}volumes\nread-only\n{hosts}1\n'
    assert text == expected


async def test_a_host_path_is_this_machines(field_: Field, tmp_path: Path):
    (tmp_path / "data").write_text("from the machine")
    container = {"name": "main", "command": ["sh", "-c", "cat /data/data; echo back > /data/out"]}
    container["volumeMounts"] = [{"name": "d", "mountPath": "/data"}]
    spec = {"containers": [container], "volumes": [{"name": "d", "hostPath": {"path": str(tmp_path)}}]}
    assert await field_.output("host", spec) == "from the machine"
    assert (tmp_path / "out").read_text() == "back\n"


async def test_a_missing_config_map_waits_and_says_what_is_missing(field_: Field):
    container = {"name": "main", "command": env_reader("A"), "envFrom": [{"configMapRef": {"name": "later"}}]}
    await field_.run_pod("waits", {"containers": [container]})

    def troubled(status: dict) -> bool:
        shown = (status.get("containerStatuses") or [{"state": {}}])[0]["state"].get("waiting", {})
        return shown.get("reason") == "CreateContainerConfigError" and '"later" not found' in shown["message"]

    assert (await field_.until("waits", troubled))["status"]["phase"] == "Pending"
    await field_.create(CONFIG_MAP, {"metadata": {"name": "later"}, "data": {"A": "now"}})
    await field_.finished("waits")
    assert await field_.logs("waits") == '["now"]\n'


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"persistentVolumeClaim": {"claimName": "c"}}, "claim c is not bound to a folder of this machine"),
        ({"ephemeral": {}}, "make no claims of their own"),
        ({"nfs": {"server": "s", "path": "/"}}, "do not know nfs volumes"),
    ],
)
async def test_a_volume_that_cannot_be_mounted_is_refused_in_words(field_: Field, source: dict, said: str):
    name = next(iter(source)).lower()
    spec = {"containers": [{"name": "main", "command": ["true"]}], "volumes": [{"name": "disk", **source}]}
    await field_.run_pod(name, spec)
    pod = await field_.until(name, lambda status: status.get("containerStatuses"))
    assert said in pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


async def test_commands_expand_and_find_their_directory(field_: Field):
    container = {"name": "main", "command": ["sh", "-c", "echo $(GREETING); pwd"], "workingDir": "/usr"}
    container["env"] = [{"name": "GREETING", "value": "hi"}]
    assert await field_.output("expand", {"containers": [container]}) == "hi\n/usr\n"
    assert await field_.output("here", ["sh", "-c", "pwd"]) == f"{Path.cwd()}\n"


async def test_a_sub_path_cannot_lead_out_of_its_volume(field_: Field, tmp_path: Path):
    (tmp_path / "secret").write_text("the machine's")
    volume = {"name": "v", "mountPath": "/v"}
    planted = {"name": "plant", "command": ["ln", "-s", str(tmp_path), "/v/out"], "volumeMounts": [volume]}
    reader = {"name": "main", "command": ["ls", "/v"], "volumeMounts": [{**volume, "subPath": "out"}]}
    spec = {"initContainers": [planted], "containers": [reader], "volumes": [{"name": "v", "emptyDir": {}}]}
    await field_.run_pod("escape", spec)
    ended = (await field_.finished("escape"))["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["reason"] == "CreateContainerError"
    assert "leads out of its volume" in ended["message"]


async def test_an_impossible_argument_is_an_error_of_the_container(field_: Field):
    await field_.run_pod("null", ["echo", "a\0b"])
    ended = (await field_.finished("null"))["status"]["containerStatuses"][0]["state"]["terminated"]
    assert "null byte" in ended["message"]
