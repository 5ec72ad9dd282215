"""For every flow and every way it can go: are dependencies respected, is each step run once, and does it always end?

Crashes are everywhere: any reconcile may be cut off after any of its writes, and start again from what is stored.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowbatch.workload.flow.graph import compiled
from tests.flowworld import FlowWorld, a_step

ENDS = ("Completed", "Failed", "Skipped")


@st.composite
def flows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Steps in a random order of the list, whose edges go from lower to higher names."""
    count = draw(st.integers(1, 9))
    steps = []
    for at in range(count):
        targets = draw(st.lists(st.integers(0, at - 1), unique=True, max_size=3)) if at else []
        states = draw(st.lists(st.sampled_from(ENDS), unique=True, max_size=3))
        step = a_step(f"s{at}", outputs=[{"name": "v"}])
        if targets:
            step["dependsOn"] = {"targets": [f"s{target}" for target in targets], "states": states}
        if at and draw(st.integers(0, 4)) == 0:
            wanted = draw(st.sampled_from(["0", "1"]))
            source = draw(st.integers(0, at - 1))
            step["when"] = [{"from": f"s{source}.v", "operator": "In", "values": [wanted]}]
        if draw(st.integers(0, 3)) == 0:
            step["retry"] = {"limit": draw(st.integers(0, 2)), "backoffSeconds": 0}
        if draw(st.integers(0, 5)) == 0:
            step["forEach"] = {"items": list(range(draw(st.integers(0, 3)))), "maxParallel": draw(st.integers(1, 3))}
        steps.append(step)
    return draw(st.permutations(steps))


class Watched(FlowWorld):
    """Notes in which order steps began and what their sources had come to by then."""

    def __init__(self, *steps: Any) -> None:
        super().__init__(*steps, templates=None)
        self.graph = compiled(self.flow.spec)
        self.attempts: dict[tuple[str, str], int] = {}

    def _create(self, create: Any) -> None:
        meta = create.manifest["metadata"]
        step = meta["annotations"]["flowbatch.dev/flow-step"]
        changes = self.deciding
        assert changes is not None
        # What the reconcile that makes the job knows of the sources; it may not have been written yet.
        told = changes.status or self.flow.status
        now = {each.name: each.state for each in told.steps}
        at = self.graph.places[step]
        wanted = self.graph.steps[at].depends_on
        states = (wanted.states if wanted is not None else ()) or ("Completed",)
        for source in self.graph.sources[at]:
            assert now[self.graph.steps[source].name] in states, f"{step} began too early"
        key = (meta["name"], meta["annotations"]["flowbatch.dev/flow-attempt"])
        if meta["name"] not in self.jobs:
            self.attempts[key] = self.attempts.get(key, 0) + 1
        super()._create(create)

    deciding: Any = None

    def changes(self) -> Any:
        self.deciding = super().changes()
        return self.deciding


@settings(max_examples=150)
@given(steps=flows(), data=st.data())
def test_every_flow_ends_with_each_step_run_in_order_and_no_attempt_made_twice(steps: Any, data: st.DataObject) -> None:
    world = Watched(*steps)
    for _ in range(400):
        changes = world.turn(data.draw(st.sampled_from([None, None, None, 0, 1, 2])))
        running = [name for name, job in world.jobs.items() if not job.status.state.phase]
        if running:
            name = data.draw(st.sampled_from(running)).removeprefix("f-")
            phase = data.draw(st.sampled_from(["Completed", "Completed", "Failed"]))
            world.phase(name, phase, v=data.draw(st.integers(0, 1)))
        elif changes.empty and world.flow_phase in ("Succeed", "Failed"):
            break
    states = world.states
    assert world.flow_phase in ("Succeed", "Failed"), states
    assert set(states.values()) <= set(ENDS)
    assert set(world.attempts.values()) <= {1}, "an attempt was made twice"
    assert (world.flow_phase == "Failed") == ("Failed" in states.values())
    limits = {step.name: step.retry.limit if step.retry else 0 for step in world.graph.steps}
    for each in world.flow.status.steps:
        assert each.attempts <= limits[each.name] + 1
    assert world.turn().empty, "a flow that has ended is left alone"
