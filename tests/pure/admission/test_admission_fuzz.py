"""Ten thousand mangled manifests at the door: no crash, no hang, and every refusal says where.

The same ones in every run. `FLOWBATCH_EXPLORE=1` takes other seeds and ten times as many.
"""

import base64
import json
import os
import random
import time
from typing import Any

import pytest

from flowbatch.admission.admit import admit
from flowbatch.admission.review import NotAReview, mutation, read_review, verdict
from flowbatch.embedded.apiserver.patch import json_patch as applied
from flowbatch.errors import SpecErrors
from tests.admissioncases import DROP, KINDS
from tests.admissionworld import Stored, flow, hyper_node, job, namespace, queue, task, template

EXPLORE = os.environ.get("FLOWBATCH_EXPLORE") == "1"
COUNT = 100_000 if EXPLORE else 10_000
SEED = random.SystemRandom().randrange(2**32) if EXPLORE else 5
LONGEST_S = 1.0
WORLD = Stored(
    queue("root"),
    queue("default"),
    queue("ads", deserved={"cpu": "8"}, capability={"cpu": "16"}),
    queue("night", parent="ads", deserved={"cpu": "4"}),
    queue("loop", parent="pool"),
    queue("pool", parent="loop"),
    namespace("default", "night"),
    template("a"),
)
#: reliability.md 4.2, as values: counts, names, words, amounts, structures.
NASTY: tuple[Any, ...] = (
    *(DROP, None, True, False, 0, -1, 1, 2**31 - 1, 2**31, 2**63, 10**30, 1.5, -0.0, 1e300),
    *("", " ", "a", "..", "nodes", "null", "true", "-", "a-", "A", "a" * 63, "a" * 64, "a" * 254, "é", "‮a", "a\x00b"),
    *("😀", "*", "0", "-5s", "1h30", "1d", "1e9s", "1Gi", "1 Gi", "-1", "1e1000000000", "9" * 400, "root", "default"),
    *("night", "loop", "worker", "PodFailed", "RestartJob", "a:b", "a/b/c", "1%", "@every 1s", "* * * * *", "UTC"),
    *([], {}, [[]], [{}], [None], ["a", "a"], {"": ""}, {"a": None}, {"a b": 1}, {"name": ["worker"]}),
    *([{"event": "*", "action": "AbortJob"}] * 3, {"targets": ["b", "b", "a"]}, {"cpu": "many"}, {"cpu": -1}),
)


def paths(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a manifest."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([way] if way else []), *(path for key, each in inner for path in paths(each, (*way, key)))]


def change(manifest: Any, way: tuple[Any, ...], value: Any) -> None:
    at = manifest
    for key in way[:-1]:
        at = at[key]
    if value is DROP:
        del at[way[-1]]
    else:
        at[way[-1]] = json.loads(json.dumps(value))


def starting_points(draw: random.Random) -> list[Any]:
    """A valid manifest of each kind, and the same with one mutation of meaning."""
    made = []
    for _, make, mutations in KINDS:
        made.append(make(draw))
        for each in draw.sample(mutations, min(3, len(mutations))):
            obj = make(draw)
            each.change(obj)
            made.append(obj)
    return made


def mangled(draw: random.Random) -> Any:
    manifest = draw.choice(starting_points(draw))
    for _ in range(draw.choice((1, 1, 2, 5))):
        places = paths(manifest)
        if not places:
            break
        way = draw.choice(places)
        if draw.random() < 0.15:
            # Something of another place: a list of tasks as a name, a name as a queue.
            at: Any = manifest
            for key in draw.choice(places):
                at = at[key]
            change(manifest, way, at)
        else:
            change(manifest, way, draw.choice(NASTY))
    return manifest


def review(obj: Any, old: Any, kind: dict[str, str]) -> bytes:
    operation = "UPDATE" if old is not None else "CREATE"
    request = {"uid": "u", "operation": operation, "kind": kind, "namespace": "default", "object": obj}
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**request, "oldObject": old}}
    return json.dumps(body).encode()


def through_the_door(obj: Any, old: Any, kind: dict[str, str]) -> list[Any]:
    """What a write of `obj` is refused for: filled in first, as an API server does, then judged."""
    filled = mutation(read_review(review(obj, old, kind)), WORLD)["response"]
    assert filled["allowed"]
    full = applied(obj, json.loads(base64.b64decode(filled["patch"]))) if "patch" in filled else obj
    answer, found = verdict(read_review(review(full, old, kind)), WORLD)
    assert answer["response"]["allowed"] is not bool(found)
    if not found:
        again = mutation(read_review(review(full, old, kind)), WORLD)["response"]
        assert "patch" not in again, "what was filled in is whole"
    json.dumps(answer)
    return found


def kind_of(obj: dict[str, Any]) -> dict[str, str]:
    group, _, version = obj["apiVersion"].rpartition("/")
    return {"group": group, "version": version, "kind": obj["kind"]}


def named(obj: dict[str, Any]) -> dict[str, str]:
    """The kind that a mangled manifest still says it is."""
    said = [obj.get("apiVersion"), obj.get("kind")]
    return kind_of(obj) if all(isinstance(each, str) and each for each in said) else {}


def test_mangled_manifests_are_judged_in_time_and_every_refusal_says_where():
    draw = random.Random(SEED)
    kinds = {json.dumps(kind_of(make(draw))) for _, make, _ in KINDS}
    refused = slowest = 0.0
    for number in range(COUNT):
        kind = json.loads(draw.choice(sorted(kinds)))
        obj = mangled(draw)
        old = mangled(draw) if draw.random() < 0.2 else None
        if draw.random() < 0.9:
            kind = named(obj) or kind
        began = time.thread_time()
        found = through_the_door(obj, old, kind)
        slowest = max(slowest, time.thread_time() - began)
        refused += bool(found)
        assert all(each.path for each in found), f"number {number} of seed {SEED}: {obj}"
        assert all(len(str(each)) < 2000 for each in found)
    assert slowest < LONGEST_S, f"seed {SEED}"
    assert COUNT / 2 < refused < COUNT, "most are wrong, and not all"


def test_mangled_bytes_are_refused_or_read():
    draw = random.Random(SEED)
    kinds = [make for _, make, _ in KINDS]
    unreadable = 0
    for _ in range(COUNT // 10):
        obj = draw.choice(kinds)(draw)
        body = bytearray(review(obj, None, kind_of(obj)))
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(body))
            match draw.randrange(3):
                case 0:
                    body[at] = draw.randrange(256)
                case 1:
                    del body[at : at + draw.randint(1, 40)]
                case _:
                    body[at:at] = bytes(draw.randrange(256) for _ in range(draw.randint(1, 8)))
        try:
            question = read_review(bytes(body))
        except NotAReview:
            unreadable += 1
            continue
        mutation(question, WORLD)
        verdict(question, WORLD)
    assert 0 < unreadable < COUNT // 10


@pytest.mark.parametrize(
    "make", [make for _, make, _ in KINDS], ids=[make(random.Random(1))["kind"] for _, make, _ in KINDS]
)
def test_a_value_of_the_wrong_type_is_refused_at_its_place(make):
    """A list for a string, an object for a number, a boolean for a list: at every place of spec that we define."""
    base = make(random.Random(1))
    for way in paths(base):
        if way[0] not in ("spec", "action", "target") or "template" in way[:-1] or "labelMatch" in way:
            continue
        held = base
        for key in way:
            held = held[key]
        for wrong in ({"a": 1}, [1], 7, "text", True, None):
            if type(wrong) is type(held) or (wrong is None) or _fits(way, wrong):
                continue
            obj = json.loads(json.dumps(base))
            change(obj, way, wrong)
            place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in way).lstrip(".")
            with pytest.raises(SpecErrors) as refusal:
                admit("CREATE", obj["kind"], None, obj, WORLD)
            told = [each.path for each in refusal.value]
            assert any(path.startswith(place) or place.startswith(path) for path in told), (place, wrong, told)


def _fits(way: tuple[Any, ...], wrong: Any) -> bool:
    """Amounts are text or numbers."""
    amount = bool({"capability", "deserved", "resource", "minResources"} & set(map(str, way[:-1])))
    return amount and isinstance(wrong, int | str) and not isinstance(wrong, bool) and wrong != "text"


def _container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "main", "image": "busybox", **fields}]}}


#: As large as an object may be (1.5 MiB in etcd), and made to be expensive.
LARGE: dict[str, Any] = {
    "tasks": lambda: job(tasks=[task(f"t{index}", 1) for index in range(13_000)]),
    "one name": lambda: job(tasks=[task("t", 1)] * 13_000),
    "a long circle": lambda: job(
        tasks=[task(f"t{index}", 1, dependsOn={"name": [f"t{(index or 9000) - 1}"]}) for index in range(9000)]
    ),
    "names of nobody": lambda: job(
        tasks=[task(f"a{n}", 1, dependsOn={"name": [f"b{index}" for index in range(100)]}) for n in range(1500)]
    ),
    "policies": lambda: job(policies=[{"event": "PodFialed", "action": "Nope"}] * 35_000),
    "plugins": lambda: job(plugins={f"p{index}": [] for index in range(90_000)}),
    "unknown fields": lambda: job(**{f"taskz{index}": 1 for index in range(90_000)}),
    "mounts": lambda: job(
        tasks=[task(template=_container(volumeMounts=[{"name": f"x{n}", "mountPath": "/"} for n in range(40_000)]))]
    ),
    "amounts": lambda: queue("c", capability={f"r{index}": "x" for index in range(90_000)}),
    "members": lambda: hyper_node("h", *[{"type": "Nod", "selector": {}}] * 45_000),
    "steps": lambda: flow(*[{"name": f"s{n}", "dependsOn": {"targets": [f"s{n - 1}"]}} for n in range(5000)]),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_objects_are_judged_in_time(name):
    body = review(obj := LARGE[name](), None, kind_of(obj))
    began = time.thread_time()
    question = read_review(body)
    mutation(question, WORLD)
    verdict(question, WORLD)
    # A second on a machine that does nothing else.
    assert time.thread_time() - began < 3 * LONGEST_S
