"""The ssh plugin: pods of a job log in to each other without a password (Volcano: ssh plugin).

One key pair per job, in a Secret that every pod mounts; all pods trust it, and no other job has it.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.workload.roles.contract import Quiet, SshKeys, owned
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import task_hosts
from flowbatch.workload.roles.pod import add_mount, add_volume, containers_of

DEFAULT_PATH = "/root/.ssh"
DEFAULT_PORT = 22
#: ssh insists on 0600 for root's own keys; under another path any user must be able to read them.
ROOT_MODE, OTHER_MODE = 0o600, 0o644
_FOLDER = ".ssh"
_FILES = ("id_rsa", "id_rsa.pub", "authorized_keys", "config")


class Ssh(Quiet):
    """A Secret with the pair and a client configuration, mounted where ssh looks for it."""

    name: ClassVar[str] = "ssh"
    flags: ClassVar[Mapping[str, Flag]] = {
        "ssh-key-file-path": DEFAULT_PATH,
        "ssh-private-key": "",
        "ssh-public-key": "",
        "ssh-port": DEFAULT_PORT,
        # Volcano's older flag, for pods that do not run as root.
        "no-root": False,
    }

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Mounts the Secret into every container."""
        path, name = _path(flags), secret_name(job)
        items = [{"key": file, "path": f"{_FOLDER}/{file}"} for file in _FILES]
        mode = ROOT_MODE if path == DEFAULT_PATH else OTHER_MODE
        add_volume(pod, {"name": name, "secret": {"secretName": name, "items": items, "defaultMode": mode}})
        for container in containers_of(pod):
            add_mount(container, {"name": name, "mountPath": path, "subPath": _FOLDER})

    def objects(self, job: Job, flags: Parsed, keys: SshKeys | None) -> list[JsonObject]:
        """The Secret, as soon as there are keys; keys in the arguments win over those handed in."""
        private, public = flags.text("ssh-private-key"), flags.text("ssh-public-key")
        pair = SshKeys(private, public) if private and public else keys
        if pair is None:
            return []
        port = flags.number("ssh-port")
        texts = (pair.private, pair.public, pair.public, ssh_config(job, port))
        data = {file: b64encode(text.encode()).decode() for file, text in zip(_FILES, texts, strict=True)}
        return [owned(job, "v1", "Secret", secret_name(job), type="Opaque", data=data)]


def secret_name(job: Job) -> str:
    """The name of the Secret, which is also that of the pods' volume."""
    return f"{job.metadata.name}-ssh"


def ssh_config(job: Job, port: int = DEFAULT_PORT) -> str:
    """A Host entry per pod, so that the bare host name suffices and nobody is asked to confirm a host key."""
    lines = ["StrictHostKeyChecking no", "UserKnownHostsFile /dev/null"]
    for task in job.spec.tasks:
        for host, domain in task_hosts(job, task):
            lines += [f"Host {host}", f"  HostName {host}.{domain}"]
            if port != DEFAULT_PORT:
                lines.append(f"  Port {port}")
    return "\n".join(lines) + "\n"


def _path(flags: Parsed) -> str:
    path = flags.text("ssh-key-file-path")
    return f"/etc/volcano/{_FOLDER}" if flags.truth("no-root") and path == DEFAULT_PATH else path
