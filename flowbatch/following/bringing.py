"""Creating a flow with what it brings along: its JobTemplates and their like are owned by it, and go when it goes.

The flow comes first: its name is what two submissions compete for, and its uid is what the others refer to. A step
whose template is not there yet waits for it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import anyio

from flowbatch.api.flow import JobFlow
from flowbatch.api.kinds import JOB_FLOW, KINDS, Kind
from flowbatch.api.meta import JsonObject
from flowbatch.errors import FlowbatchError
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists, Conflict, NotFound

_BY_NAME: dict[tuple[str, str], Kind[Any]] = {(kind.api_version, kind.kind): kind for kind in KINDS}


def companions(manifests: Sequence[JsonObject]) -> dict[int, list[JsonObject]]:
    """For each JobFlow among `manifests`, by its place: the JobTemplates among them that it names."""
    templates = {_name(each): each for each in manifests if each.get("kind") == "JobTemplate"}
    found: dict[int, list[JsonObject]] = {}
    for place, flow in enumerate(manifests):
        if flow.get("kind") == JOB_FLOW.kind:
            steps = flow["spec"].get("flows", ())
            named = dict.fromkeys(step.get("jobTemplate") or step.get("name") for step in steps)
            found[place] = [templates[name] for name in named if name in templates]
    return found


def _name(manifest: JsonObject) -> str:
    return str(manifest["metadata"].get("name", ""))


async def bring(
    client: Client, flow: JsonObject, others: Sequence[JsonObject], namespace: str, told: Callable[[str], None]
) -> JobFlow:
    """Create the flow, then `others` as its own; `told` hears of each. Raises AlreadyExists, with nothing changed.

    What an earlier flow of this name has left is replaced. Raises FlowbatchError, and takes the flow back, for an
    object of the same name that belongs to nobody or to somebody else.
    """
    made = await client.create(JOB_FLOW, flow, namespace)
    told(f"jobflow/{made.metadata.name} created")
    reference = {
        "apiVersion": JOB_FLOW.api_version,
        "kind": JOB_FLOW.kind,
        "name": made.metadata.name,
        "uid": made.metadata.uid,
    }
    try:
        for manifest in others:
            owned = {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}
            await _create(client, owned, namespace)
            told(f"{manifest['kind'].lower()}/{_name(manifest)} created")
    except BaseException:
        with anyio.CancelScope(shield=True):
            uid = made.metadata.uid
            await client.delete(JOB_FLOW, made.metadata.name, namespace, uid=uid, propagation="Background")
        raise
    return made


async def _create(client: Client, manifest: JsonObject, namespace: str) -> None:
    kind = _BY_NAME[manifest["apiVersion"], manifest["kind"]]
    try:
        await client.create(kind, manifest, namespace)
    except AlreadyExists:
        await _remove_leftover(client, kind, _name(manifest), namespace, _name_of_owner(manifest))
        await client.create(kind, manifest, namespace)


def _name_of_owner(manifest: JsonObject) -> str:
    return str(manifest["metadata"]["ownerReferences"][0]["name"])


async def _remove_leftover(client: Client, kind: Kind[Any], name: str, namespace: str, flow: str) -> None:
    """Delete what a flow of the same name owned: that flow is gone, for its name is ours now."""
    try:
        metadata = (await client.get_json(kind, name, namespace))["metadata"]
    except NotFound:
        return
    owners = metadata.get("ownerReferences") or []
    if not any((each["kind"], each["name"]) == (JOB_FLOW.kind, flow) for each in owners):
        title = f"{kind.kind} {namespace}/{name}"
        raise FlowbatchError(f"{title} exists and is not of a flow {flow}: delete it, or give the flow another name")
    try:
        await client.delete(kind, name, namespace, uid=metadata["uid"], propagation="Background")
    except (NotFound, Conflict):
        return  # Collected meanwhile.
