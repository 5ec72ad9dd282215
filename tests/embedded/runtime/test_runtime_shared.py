"""Do views of one watch hold what watches of their own would hold?"""

import anyio
import pytest

from flowbatch.api.core import Pod, PodSpec
from flowbatch.api.kinds import POD
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.runtime.shared import SharedInformers, selected_by


def pod(name, labels, scheduler="volcano"):
    spec = {"schedulerName": scheduler, "containers": [{"name": "c", "image": "x"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


async def test_views_follow_one_watch():
    async with ApiServer(tls=False) as server:
        config = await from_kubeconfig(server.kubeconfig())
        async with Client(config, component="user") as user, Client(config, component="shared") as client:
            await user.create(POD, pod("a", {"job": "x"}), "default")
            shared = SharedInformers()
            everything = shared.base(client, POD)
            labelled = shared(client, POD, label_selector="job", indexes={"job": lambda p: [p.metadata.labels["job"]]})
            bare = shared(client, POD, label_selector="!job", field_selector="spec.schedulerName=volcano")
            seen: list[tuple[str, str]] = []
            labelled.on_change(lambda old, new: seen.append((_name(old), _name(new))))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(shared.run)
                await labelled.wait_synced()
                assert list(labelled.store.keys()) == ["default/a"]
                assert labelled.store.get("default/a") is everything.store.get("default/a")
                await user.create(POD, pod("b", {}), "default")
                await user.create(POD, pod("other", {}, "default-scheduler"), "default")
                await user.create(POD, pod("c", {"job": "y"}), "default")
                await _until(lambda: len(everything.store) == 4)
                assert list(bare.store.keys()) == ["default/b"]
                assert [each.metadata.name for each in labelled.store.index("job", "y")] == ["c"]
                await user.patch(POD, "c", {"metadata": {"labels": {"job": None}}}, "default")
                await _until(lambda: sorted(bare.store.keys()) == ["default/b", "default/c"])
                assert seen == [("", "a"), ("", "c"), ("c", "")]
                await user.delete(POD, "b", "default", grace_seconds=0)
                await _until(lambda: list(bare.store.keys()) == ["default/c"])
                assert sum(len(watches) for watches in server.rest.watches.values()) == 1
                tasks.cancel_scope.cancel()


def _name(thing):
    return "" if thing is None else thing.metadata.name


async def _until(condition):
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110  (a watch brings it)
            await anyio.sleep(0.01)


@pytest.mark.parametrize(("label", "field"), [("a in (b)", ""), ("", "status.phase!=Failed"), ("", "spec.other=1")])
def test_a_selector_that_cannot_be_shared_is_refused(label, field):
    with pytest.raises(ValueError, match="cannot share"):
        selected_by(label, field)


def test_a_field_may_also_be_asked_to_differ():
    bound = selected_by("", "spec.nodeName!=")
    assert bound(Pod(spec=PodSpec(node_name="n1")))
    assert not bound(Pod(spec=PodSpec()))
