"""Do affinity terms and spread constraints of pods become what placement needs?"""

import msgspec

from flowbatch.api.core import Pod
from flowbatch.engine.events import LabelTest, PeerTerm, PodSelector, ShapeSpec, Spread
from flowbatch.scheduler.feed import Feed
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.shapes import Shapes

WEB = (LabelTest("app", "In", ("web",)),)


def pod(spec, labels=None, namespace="ns") -> Pod:
    meta = {"name": "p", "namespace": namespace, "uid": "u", "labels": labels or {}}
    return msgspec.convert({"metadata": meta, "spec": spec}, Pod)


def shape(spec, labels=None, namespace="ns", shapes=None) -> ShapeSpec:
    each = pod(spec, labels, namespace)
    return (shapes or Shapes()).of_pod(each.spec, each.metadata)


def near(term):
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


TERM = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}


def test_a_term_without_namespaces_means_the_pod_s_own():
    assert shape(near(TERM)).near == (PeerTerm("zone", PodSelector(WEB, ("ns",))),)
    assert shape(near({**TERM, "namespaces": ["b", "a"]})).near == (PeerTerm("zone", PodSelector(WEB, ("a", "b"))),)
    every = shape(near({**TERM, "namespaceSelector": {}})).near
    assert every == (PeerTerm("zone", PodSelector(WEB, (), ())),)


def test_no_selector_selects_nothing_and_an_empty_one_everything():
    assert shape(near({"topologyKey": "zone"})).near[0].pods.tests is None
    assert shape(near({"topologyKey": "zone", "labelSelector": {}})).near[0].pods.tests == ()


def test_label_keys_stand_for_the_pod_s_own_values_and_merging_them_twice_changes_nothing():
    keys = {**TERM, "matchLabelKeys": ["rev", "none"], "mismatchLabelKeys": ["tenant"]}
    labels = {"rev": "7", "tenant": "t1"}
    tests = shape(near(keys), labels).near[0].pods.tests
    assert tests == (*WEB, LabelTest("rev", "In", ("7",)), LabelTest("tenant", "NotIn", ("t1",)))
    merged = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tenant", "operator": "NotIn", "values": ["t1"]},
            {"key": "rev", "operator": "In", "values": ["7"]},
        ],
    }
    assert shape(near({**keys, "labelSelector": merged}), labels).near[0].pods.tests == tests


def test_aversions_are_preferences_below_zero():
    wish = {"weight": 30, "podAffinityTerm": TERM}
    spec = {
        "affinity": {
            name: {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}
            for name in ("podAffinity", "podAntiAffinity")
        }
    }
    assert [weight for weight, _ in shape(spec).likes] == [30, -30]


def test_spread_constraints_have_kubernetes_defaults():
    constraint = {"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    assert shape({"topologySpreadConstraints": [constraint]}).spreads == (Spread("zone", 2, PodSelector((), ("ns",))),)
    soft = {
        **constraint,
        "whenUnsatisfiable": "ScheduleAnyway",
        "minDomains": 3,
        "nodeAffinityPolicy": "Ignore",
        "nodeTaintsPolicy": "Honor",
    }
    assert shape({"topologySpreadConstraints": [soft]}).spreads == (
        Spread(
            "zone",
            2,
            PodSelector((), ("ns",)),
            hard=False,
            least_domains=3,
            honors_selector=False,
            honors_taints=True,
        ),
    )


def test_pods_share_a_shape_across_namespaces_only_where_their_terms_do_not_depend_on_it():
    shapes = Shapes()
    plain = {"containers": []}
    assert shape(plain, namespace="a", shapes=shapes) is shape(plain, namespace="b", shapes=shapes)
    assert shape(near(TERM), namespace="a", shapes=shapes) != shape(near(TERM), namespace="b", shapes=shapes)
    assert shape(near(TERM), {"x": "1"}, shapes=shapes) is shape(near(TERM), {"x": "2"}, shapes=shapes)


def test_terms_make_their_labels_known_and_pods_are_told_again():
    mailbox = Mailbox()
    feed = Feed(mailbox, ("volcano",), lambda value, reason: None)
    web = msgspec.convert(
        {
            "metadata": {"name": "web", "namespace": "ns", "uid": "w", "labels": {"app": "web"}},
            "spec": {"nodeName": "n"},
        },
        Pod,
    )
    feed.pods = lambda: [web]
    feed.pod(None, web)
    mailbox.drain(10)
    asking = pod({"nodeName": "n", **near(TERM)}, {"app": "x"})
    feed.pod(None, asking)
    assert {fact.name: fact.labels for fact in mailbox.drain(10)} == {
        "p": (("app", "x"),),
        "web": (("app", "web"),),
    }
