"""Labels of pods: the engine is told those that a selector asks for, and no others."""

import msgspec

from flowbatch.api.core import Pod
from flowbatch.engine.events import PodSeen
from flowbatch.scheduler.feed import Feed
from flowbatch.scheduler.labels import MentionedLabels
from flowbatch.scheduler.mailbox import Mailbox


def pod(name: str, labels: dict[str, str], version: str = "1") -> Pod:
    meta = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "labels": labels, "resourceVersion": version}
    return msgspec.convert({"metadata": meta, "spec": {"nodeName": "n1"}}, Pod)


def feed_of(*pods: Pod) -> tuple[Feed, Mailbox]:
    mailbox = Mailbox()
    feed = Feed(mailbox, ("volcano",), lambda value, reason: None)
    feed.pods = lambda: pods
    return feed, mailbox


def told(mailbox: Mailbox) -> dict[str, PodSeen]:
    return {fact.name: fact for fact in mailbox.drain(100) if isinstance(fact, PodSeen)}


def test_labels_that_nobody_asks_for_stay_here() -> None:
    feed, mailbox = feed_of()
    feed.pod(None, pod("a", {"app": "web", "tier": "1"}))
    assert told(mailbox)["a"].labels == ()


def test_a_selector_s_keys_are_told_sorted() -> None:
    feed, mailbox = feed_of()
    feed.mention(["tier", "app"])
    feed.pod(None, pod("a", {"tier": "1", "app": "web", "other": "x"}))
    assert told(mailbox)["a"].labels == (("app", "web"), ("tier", "1"))


def test_a_new_key_is_told_of_the_pods_that_have_it() -> None:
    pods = pod("a", {"app": "web"}), pod("b", {"tier": "1"})
    feed, mailbox = feed_of(*pods)
    for each in pods:
        feed.pod(None, each)
    told(mailbox)
    feed.mention(["app"])
    assert {name: fact.labels for name, fact in told(mailbox).items()} == {"a": (("app", "web"),)}
    feed.mention(["app"])
    assert not told(mailbox)


def test_a_label_that_changes_is_news_only_where_it_is_asked_for() -> None:
    feed, mailbox = feed_of()
    feed.mention(["app"])
    feed.pod(pod("a", {"app": "web", "x": "1"}), pod("a", {"app": "web", "x": "2"}, "2"))
    assert not told(mailbox)
    feed.pod(pod("a", {"app": "web"}), pod("a", {"app": "db"}, "2"))
    assert told(mailbox)["a"].labels == (("app", "db"),)


def test_equal_cuts_are_one_object() -> None:
    labels = MentionedLabels()
    labels.mention(["app"])
    assert labels.of({"app": "web", "n": "1"}) is labels.of({"app": "web", "n": "2"})
