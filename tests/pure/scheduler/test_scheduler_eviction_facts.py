"""What decides who may be evicted: is it told to the engine as it stands on pods, PodGroups, classes and budgets?"""

from datetime import UTC, datetime

import pytest

from flowbatch.api.core import Pod, PodSpec, PriorityClass
from flowbatch.api.disruption import PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus
from flowbatch.api.meta import LabelSelector, LabelSelectorRequirement, ObjectMeta
from flowbatch.api.scheduling import PodGroup, PodGroupSpec
from flowbatch.engine import events
from flowbatch.engine.decisions import Evict
from flowbatch.scheduler import requests, translate
from flowbatch.scheduler.budgets import budget_fact, labels_asked_by
from flowbatch.scheduler.feed import Feed
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.shapes import Shapes

GROUP = {"scheduling.k8s.io/group-name": "g"}


def pod_of(annotations=None, labels=None, **spec):
    meta = ObjectMeta(
        name="p", namespace="ns", uid="u", annotations={**GROUP, **(annotations or {})}, labels=labels or {}
    )
    pod = Pod(metadata=meta, spec=PodSpec(scheduler_name="volcano", **spec))
    return translate.pod_fact(pod, ("volcano",), Shapes().of_pod)


def group_of(annotations=None, name=""):
    meta = ObjectMeta(name="g", namespace="ns", uid="u", annotations=annotations or {})
    classes = [PriorityClass(metadata=ObjectMeta(name="meek"), value=5, preemption_policy="Never")]
    group = PodGroup(metadata=meta, spec=PodGroupSpec(priority_class_name=name))
    return translate.gang_fact(group, translate.Priorities(classes), Shapes())


def budget(selector, allowed=1):
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="b", namespace="ns", uid="u"),
        spec=PodDisruptionBudgetSpec(selector=selector),
        status=PodDisruptionBudgetStatus(disruptions_allowed=allowed),
    )


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("10m", 600_000), ("90s", 90_000), ("", 0), ("soon", 0), ("-5m", 0), ("0", 0)]
)
def test_cooldown_is_an_annotation_or_a_label_and_nonsense_is_none(text, milliseconds):
    key = "volcano.sh/cooldown-time"
    assert pod_of({key: text}).cooldown_ms == milliseconds
    assert pod_of(labels={key: text}).cooldown_ms == milliseconds


def test_preemption_policy_and_priority_class_of_a_pod():
    assert pod_of().preempts
    assert not pod_of(preemption_policy="Never").preempts
    assert pod_of(priority_class_name="system-node-critical").priority_class == "system-node-critical"


@pytest.mark.parametrize(("text", "said"), [("true", True), ("false", False), ("maybe", False)])
def test_what_a_group_says_about_its_pods(text, said):
    assert group_of({"volcano.sh/preemptable": text}).preemptable is said
    assert group_of().preemptable is None


def test_a_group_whose_class_never_preempts():
    assert not group_of(name="meek").preempts
    assert group_of(name="other").preempts


def test_a_budget_with_its_selector_and_what_is_left():
    needs = LabelSelectorRequirement(key="tier", operator="Exists")
    selector = LabelSelector(match_labels={"app": "db"}, match_expressions=(needs,))
    fact = budget_fact(budget(selector, 2))
    assert fact.selector == (events.LabelTest("app", "In", ("db",)), events.LabelTest("tier", "Exists"))
    assert (fact.id, fact.namespace, fact.allowed) == ("ns/b", "ns", 2)
    assert labels_asked_by(budget(selector)) == ["app", "tier"]
    assert budget_fact(budget(None)).selector is None
    assert budget_fact(budget(LabelSelector())).selector == ()
    assert budget_fact(budget(None, -3)).allowed == 0


def test_a_budget_makes_the_engine_hear_of_the_labels_it_looks_at():
    mailbox = Mailbox()
    feed = Feed(mailbox, ("volcano",), lambda *_: None)
    meta = ObjectMeta(name="p", namespace="ns", uid="u", annotations=GROUP, labels={"app": "db", "other": "x"})
    pods = [Pod(metadata=meta, spec=PodSpec(scheduler_name="volcano"))]
    feed.pods = lambda: pods
    feed.budget(None, budget(LabelSelector(match_labels={"app": "db"})))
    told = mailbox.drain(9)
    assert [type(each) for each in told] == [events.PodSeen, events.BudgetSeen]
    assert told[0].labels == (("app", "db"),)
    feed.budget(budget(None), None)
    assert mailbox.drain(9) == [events.BudgetGone("ns/b")]


def test_a_disruption_condition_names_why_and_for_whom_and_can_be_taken_back():
    order, moment = Evict("u1", "ns", "p", "reclaim", "team/g"), datetime(2026, 1, 1, tzinfo=UTC)
    request = requests.disruption_request(order, moment)
    assert request.path.endswith("/pods/p/status")
    assert b'"status":"True"' in request.body
    assert b"PreemptionByScheduler" in request.body
    assert b"reclaim for team/g" in request.body
    assert b'"uid":"u1"' in request.body
    assert b'"status":"False"' in requests.disruption_request(order, moment, going=False).body
