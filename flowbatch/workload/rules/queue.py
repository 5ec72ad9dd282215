"""The rules of a Queue, and of its hierarchy annotations (volcano.md 7, "queues validate")."""

from collections.abc import Iterator
from fractions import Fraction

from flowbatch.api.meta import JsonObject
from flowbatch.api.names import ROOT_QUEUE
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules import names
from flowbatch.workload.rules.reading import dict_of, items_of, text_of
from flowbatch.workload.rules.resources import read_quantity
from flowbatch.workload.rules.table import Rule
from flowbatch.workload.vocabulary import QUEUE_STATES

HIERARCHY, WEIGHTS = "volcano.sh/hierarchy", "volcano.sh/hierarchy-weights"
STRATEGIES = ("traverse", "fifo")
MAX_WEIGHT = 65535

QUEUE_RULES: tuple[Rule, ...] = (
    Rule("spec.weight", lambda weight: 1 <= weight <= MAX_WEIGHT, "must be 1 to 65535", "self >= 1 && self <= 65535"),
)
#: The parts of a queue's claim, each of which must hold the one before it.
_PARTS = (("guarantee", "resource"), ("deserved",), ("capability",))


def check_queue_names(manifest: JsonObject) -> Iterator[SpecError]:
    """The queue's own name and its parent's."""
    name, parent = text_of(manifest, "metadata", "name"), text_of(manifest, "spec", "parent")
    if not name:
        yield SpecError("metadata.name", "is missing")
    else:
        # Pods carry their queue as a label, so a queue's name is no longer than a label's value.
        problem = names.subdomain_problem(name) or names.label_value_problem(name)
        yield from names.named("metadata.name", name, problem)
    if parent:
        yield from names.named("spec.parent", parent, names.subdomain_problem(parent))
    if parent and parent == name:
        yield SpecError("spec.parent", "must not be the queue itself", parent)
    if name == ROOT_QUEUE and parent:
        yield SpecError("spec.parent", "must be empty: root is the parent of all queues", parent)


def check_queue_choices(manifest: JsonObject) -> Iterator[SpecError]:
    """State and strategy."""
    state, strategy = text_of(manifest, "status", "state"), text_of(manifest, "spec", "dequeueStrategy")
    if state and state not in (*QUEUE_STATES, "Closing", "Unknown"):
        yield SpecError("status.state", "is not a state", state, did_you_mean(state[:100], QUEUE_STATES))
    if strategy and strategy not in STRATEGIES:
        hint = did_you_mean(strategy[:100], STRATEGIES)
        yield SpecError("spec.dequeueStrategy", "is not a strategy", strategy, hint)


def check_claims(manifest: JsonObject) -> Iterator[SpecError]:
    """guarantee ≤ deserved ≤ capability, resource by resource; what capability does not name is unlimited."""
    read: list[dict[str, Fraction]] = []
    for part in _PARTS:
        amounts: dict[str, Fraction] = {}
        for name, value in items_of(manifest, "spec", *part):
            where = f"spec.{'.'.join(part)}.{name}"
            exact, problem = read_quantity(value, where)
            if complaint := names.label_key_problem(name):
                yield SpecError(where, complaint)
            if problem is not None:
                yield problem
            elif exact is not None:
                amounts[name] = exact
        read.append(amounts)
    guarantee, deserved, capability = read
    spec = dict_of(manifest, "spec")
    for name, amount in guarantee.items():
        where, value = f"spec.guarantee.resource.{name}", dict_of(spec, "guarantee", "resource")[name]
        if name not in dict_of(spec, "deserved"):
            yield SpecError(where, "is not in spec.deserved: what is guaranteed must be deserved", value)
        elif name in deserved and amount > deserved[name]:
            yield SpecError(where, "must not be greater than spec.deserved", value)
        if name in capability and amount > capability[name]:
            yield SpecError(where, "must not be greater than spec.capability", value)
    for name, amount in deserved.items():
        if name in capability and amount > capability[name]:
            value = dict_of(spec, "deserved")[name]
            yield SpecError(f"spec.deserved.{name}", "must not be greater than spec.capability", value)


def check_hierarchy(manifest: JsonObject) -> Iterator[SpecError]:
    """hdrf's path and weights: both or neither, of one length, weights above nothing."""
    annotations = dict_of(manifest, "metadata", "annotations")
    path, weights = text_of(annotations, HIERARCHY), text_of(annotations, WEIGHTS)
    if bool(path) != bool(weights):
        missing = WEIGHTS if path else HIERARCHY
        yield SpecError(f"metadata.annotations.{missing}", "is missing beside its other half")
        return
    if not path:
        return
    if path.count("/") != weights.count("/"):
        yield SpecError(f"metadata.annotations.{WEIGHTS}", f"must have {path.count('/') + 1} parts as {path}", weights)
    for part in weights.split("/")[:64]:
        whole, _, fraction = part.partition(".")
        readable = (whole + fraction).isascii() and (whole + fraction).isdigit()
        if not readable or not (whole + fraction).strip("0"):
            yield SpecError(f"metadata.annotations.{WEIGHTS}", "must be numbers above 0", part)
