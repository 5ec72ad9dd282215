"""Images: only where a policy looks at them, and of nodes only those that pods name."""

import msgspec

from flowbatch.api.core import Node, Pod
from flowbatch.engine.events import NodeSeen, PodSeen
from flowbatch.scheduler.feed import Feed
from flowbatch.scheduler.images import normal_name
from flowbatch.scheduler.mailbox import Mailbox


def test_names_without_a_tag_mean_the_latest():
    assert normal_name("busybox") == "busybox:latest"
    assert normal_name("reg:5000/busybox") == "reg:5000/busybox:latest"
    assert normal_name("reg:5000/busybox:1") == "reg:5000/busybox:1"


def objects() -> tuple[Node, Pod]:
    images = [{"names": ["x:latest", "x@sha256:1"], "sizeBytes": 7}, {"names": ["y:1"], "sizeBytes": 9}]
    node = msgspec.convert({"metadata": {"name": "n"}, "status": {"images": images}}, Node)
    spec = {"nodeName": "n", "containers": [{"name": "c", "image": "x"}]}
    return node, msgspec.convert({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec}, Pod)


def test_images_that_pods_name_are_told_of_nodes_when_a_policy_looks_at_them():
    for matters in (True, False):
        mailbox = Mailbox()
        feed = Feed(mailbox, ("volcano",), lambda value, reason: None)
        feed.images_matter(lambda matters=matters: matters)
        node, pod = objects()
        feed.nodes = lambda node=node: [node]
        feed.node(None, node)
        (seen,) = mailbox.drain(9)
        assert isinstance(seen, NodeSeen)
        assert seen.images == ()
        feed.pod(None, pod)
        told = mailbox.drain(9)
        assert [fact.shape.images for fact in told if isinstance(fact, PodSeen)] == [("x:latest",) if matters else ()]
        assert [fact.images for fact in told if isinstance(fact, NodeSeen)] == ([(("x:latest", 7),)] if matters else [])
