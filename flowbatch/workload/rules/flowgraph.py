"""What joins the steps of a JobFlow: every name exists, every value is given by somebody, and there is an order.

A step that reads another's output waits for it, whether it says so in `dependsOn` or not.
"""

import re
from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules import names
from flowbatch.workload.rules.flow import MOST_STEPS
from flowbatch.workload.rules.graph import find_cycle
from flowbatch.workload.rules.reading import dict_of, dicts_of, list_of, text_of, texts_of

#: A longer cycle is shown by its first steps, and so many names are compared to find the nearest.
_SHOWN = 6
_FEW = 100
_NUMBERED = re.compile(r"(.+)-(?:0|[1-9][0-9]{0,9})")


def check_flow_graph(manifest: JsonObject) -> Iterator[SpecError]:
    """The graph of steps."""
    steps = list(dicts_of(dict_of(manifest, "spec"), "flows"))
    if len(steps) > MOST_STEPS:
        return
    yield from _step_names(manifest, steps)
    places: dict[str, int] = {}
    for index, step in steps:
        places.setdefault(text_of(step, "name"), index)
    outputs = {index: {text_of(each, "name") for _, each in dicts_of(step, "outputs")} for index, step in steps}
    loops = {text_of(step, "name") for _, step in steps if step.get("forEach") is not None}
    waits: dict[int, list[int]] = {}
    for index, step in steps:
        found: dict[int, None] = {}
        yield from _targets(index, step, places, found)
        yield from _probed(index, step, loops)
        for path, reference in references(step):
            yield from _source(f"spec.flows[{index}].{path}", reference, index, places, outputs, found)
        waits[index] = list(found)
    yield from _cycle(waits, {index: text_of(step, "name") for index, step in steps})


def references(step: JsonObject) -> Iterator[tuple[str, str]]:
    """Every place in a step that reads an output, and what it says."""
    for index, condition in dicts_of(step, "when"):
        yield f"when[{index}].from", text_of(condition, "from")
    loop = step.get("forEach")
    if isinstance(loop, dict) and loop.get("items") is None and text_of(loop, "from"):
        yield "forEach.from", text_of(loop, "from")
    for index, value in dicts_of(step, "inputs"):
        yield f"inputs[{index}].from", text_of(value, "from")


def _step_names(manifest: JsonObject, steps: list[tuple[int, JsonObject]]) -> Iterator[SpecError]:
    flow = text_of(manifest, "metadata", "name") or f"{text_of(manifest, 'metadata', 'generateName')}xxxxx"
    if flow == "xxxxx":
        yield SpecError("metadata.name", "is missing")
    elif problem := names.subdomain_problem(flow):
        yield from names.named("metadata.name", flow, problem)
    loops = {text_of(step, "name"): len(list_of(step, "forEach", "items")) for _, step in steps if "forEach" in step}
    seen: dict[str, int] = {}
    for index, step in steps:
        name, path = text_of(step, "name"), f"spec.flows[{index}].name"
        if not name:
            yield SpecError(path, "is missing")
            continue
        yield from names.named(path, name, names.label_problem(name))
        if name in seen:
            yield SpecError(path, f"is the name of spec.flows[{seen[name]}] already", name)
        seen.setdefault(name, index)
        numbered = _NUMBERED.fullmatch(name)
        if numbered and numbered.group(1) in loops:
            yield SpecError(path, f"is what the jobs of step {numbered.group(1)} are called", name)
        longest = len(flow) + 1 + len(name) + (1 + len(str(max(0, loops[name] - 1))) if name in loops else 0)
        if longest > names.LABEL_CHARS:
            said = f"makes a job name of {longest} characters: at most {names.LABEL_CHARS}"
            yield SpecError(path, said, name, "shorten the flow's or the step's name")


def _targets(index: int, step: JsonObject, places: dict[str, int], found: dict[int, None]) -> Iterator[SpecError]:
    seen: set[str] = set()
    for at, name in texts_of(step, "dependsOn", "targets"):
        path = f"spec.flows[{index}].dependsOn.targets[{at}]"
        if name in seen:
            yield SpecError(path, "is named twice", name)
        elif name not in places:
            yield SpecError(path, "is not a step of this flow", name, did_you_mean(name[:100], list(places)[:_FEW]))
        elif places[name] == index:
            yield SpecError(path, "is the step itself, which would wait for ever", name)
        else:
            found[places[name]] = None
        seen.add(name)


def _probed(index: int, step: JsonObject, loops: set[str]) -> Iterator[SpecError]:
    """Probes ask the pods of one job; somebody must have one."""
    targets = [name for _, name in texts_of(step, "dependsOn", "targets")]
    if targets and loops.issuperset(targets) and any(dict_of(step, "dependsOn", "probe").values()):
        said = "asks the pods of one job, and all targets run over lists"
        yield SpecError(f"spec.flows[{index}].dependsOn.probe", said)


def _source(
    path: str, reference: str, index: int, places: dict[str, int], outputs: dict[int, set[str]], found: dict[int, None]
) -> Iterator[SpecError]:
    step, dot, output = reference.partition(".")
    if not (step and dot and output):
        yield SpecError(path, "must be STEP.OUTPUT", reference)
    elif step not in places:
        yield SpecError(path, "is of no step of this flow", reference, did_you_mean(step[:100], list(places)[:_FEW]))
    elif places[step] == index:
        yield SpecError(path, "is an output of the step itself", reference)
    elif output not in outputs[places[step]]:
        known = sorted(outputs[places[step]])[:_FEW]
        hint = did_you_mean(output[:100], known) if known else f"step {step} has no outputs"
        yield SpecError(path, "is no output of that step", reference, hint)
    else:
        found[places[step]] = None


def _cycle(waits: dict[int, list[int]], called: dict[int, str]) -> Iterator[SpecError]:
    cycle = find_cycle(waits)
    if not cycle:
        return
    ring = [called[index] for index in cycle]
    shown = " -> ".join([*ring[:_SHOWN], *(["..."] if len(ring) > _SHOWN else []), ring[0]])
    yield SpecError(
        f"spec.flows[{cycle[0]}].dependsOn",
        f"closes a cycle of {len(ring)} steps, none of which can start: {shown}",
    )
