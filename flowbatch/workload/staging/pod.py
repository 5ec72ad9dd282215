"""The staging steps of a pod's manifest."""

from collections.abc import Iterable

import msgspec

from flowbatch import __version__
from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.api.staging import ENDED, EXITS, INPUTS, OUTPUTS, PLAN, ROOT, Item, Plan
from flowbatch.workload.roles.pod import add_mount, add_volume, containers_of
from flowbatch.workload.staging.items import (
    HOST,
    host_folder,
    input_item,
    inputs_of,
    mount_path,
    output_item,
    outputs_of,
)
from flowbatch.workload.staging.sidecar import STORE

FETCH, VOLUME = "flowbatch-fetch", "flowbatch-data"
#: What runs the staging program where the controllers are not told otherwise.
IMAGE = f"flowbatch:{__version__}"
EXIT_PATH = "/flowbatch/exit"
#: Time for the last bytes, where the template does not say how long its containers may take to end.
GRACE_SECONDS = 300
#: Runs a command as its child, hands signals on, and leaves its exit code for the sidecar.
_NOTING = (
    'trap \'kill -TERM "$child" 2>/dev/null\' TERM INT; "$@" & child=$!; '
    'while :; do wait "$child"; code=$?; kill -0 "$child" 2>/dev/null || break; done; '
    f'echo "$code" > "{EXIT_PATH}/$0"; exit "$code"'
)
#: Notes that the kubelet wants the sidecar to end, from the first moment on: Python starts too slowly for a signal.
_TOLD = (
    "trap 'touch \"$0\"' TERM INT; (trap '' TERM INT; exec \"$@\") & child=$!; "
    'while :; do wait "$child"; code=$?; kill -0 "$child" 2>/dev/null || break; done; exit "$code"'
)


def stage(pod: JsonObject, job: Job, task: TaskSpec, index: int, image: str = IMAGE) -> None:
    """Add to a pod, in place, what fetches its inputs and stores its outputs."""
    inputs, outputs = inputs_of(job, task), outputs_of(job, task)
    if not inputs and not outputs:
        return
    spec = pod["spec"]
    mains = list(containers_of(pod, init=False))
    add_volume(pod, {"name": VOLUME, "emptyDir": {}})
    steps: list[JsonObject] = []
    if inputs:
        items = tuple(input_item(each, job, task, index) for each in inputs)
        secrets = (each.secret_name for each in inputs)
        steps.append(_container(FETCH, "fetch", image, Plan(items), secrets))
        _mount_hosts(pod, steps[-1], items, read_only=True)
    if outputs:
        items = tuple(output_item(each, job, task, index) for each in outputs)
        plan = Plan(items, tuple(str(each.get("name", "")) for each in mains))
        steps.append(_container(STORE, "store", image, plan, (each.secret_name for each in outputs)))
        steps[-1]["restartPolicy"] = "Always"
        steps[-1]["command"] = ["/bin/sh", "-c", _TOLD, f"{ROOT}/{ENDED}", *steps[-1]["command"]]
        _mount_hosts(pod, steps[-1], items, read_only=False)
        spec.setdefault("terminationGracePeriodSeconds", GRACE_SECONDS)
    for container in mains:
        for each in inputs:
            add_mount(container, _mount(each.path.rstrip("/"), f"{INPUTS}/{each.name}", readOnly=True))
        for output in outputs:
            add_mount(container, _mount(mount_path(output.path), f"{OUTPUTS}/{output.name}"))
        if outputs:
            add_mount(container, _mount(EXIT_PATH, EXITS))
            _note_exit(container)
    spec["initContainers"] = [*steps, *(spec.get("initContainers") or ())]


def _container(name: str, verb: str, image: str, plan: Plan, secrets: Iterable[str]) -> JsonObject:
    return {
        "name": name,
        "image": image,
        "command": ["python", "-m", "flowbatch.staging", verb],
        "env": [{"name": PLAN, "value": msgspec.json.encode(plan).decode()}],
        "envFrom": [{"secretRef": {"name": secret}} for secret in dict.fromkeys(secrets) if secret],
        "volumeMounts": [{"name": VOLUME, "mountPath": ROOT}],
    }


def _mount_hosts(pod: JsonObject, container: JsonObject, items: Iterable[Item], *, read_only: bool) -> None:
    """Files of the node: a `file:` url means the same path for the node and for whoever writes the spec."""
    for folder in dict.fromkeys(filter(None, (host_folder(each.url) for each in items))):
        name = "flowbatch-host-" + "".join(each if each.isalnum() else "x" for each in folder[1:].lower())[:40]
        add_volume(pod, {"name": name, "hostPath": {"path": folder}})
        mount = {"name": name, "mountPath": f"{HOST}{folder}"}
        container["volumeMounts"].append({**mount, "readOnly": True} if read_only else mount)


def _mount(path: str, sub_path: str, **more: bool) -> JsonObject:
    return {"name": VOLUME, "mountPath": path, "subPath": sub_path, **more}


def _note_exit(container: JsonObject) -> None:
    """Wrap a command so that its exit code is known to the sidecar; the rules see to it that there is one."""
    words = [*(container.get("command") or ()), *(container.pop("args", None) or ())]
    container["command"] = ["/bin/sh", "-c", _NOTING, str(container.get("name", "")), *words]
