"""Does the picture of a flow show every step below all that it waits for, and say what holds it?"""

from msgspec.structs import replace

from flowbatch.workload.flow.picture import MOST_SHOWN, headline, lines, summary
from tests.flowworld import FlowWorld, a_step


def drawn(world):
    return [
        " ".join(part for part in (each.branch + each.mark, each.name, each.told) if part) for each in lines(world.flow)
    ]


def test_layers_from_top_to_bottom_with_what_each_step_waits_for():
    world = FlowWorld(
        a_step("load", outputs=[{"name": "rate"}]),
        a_step("left", "load"),
        a_step("right", "load", retry={"limit": 1, "backoffSeconds": 60}),
        a_step("odd", when=[{"from": "load.rate", "operator": "Gt", "values": ["1"]}]),
        a_step("merge", "left", "right"),
    )
    assert headline(world.flow) == "0 of 5 steps done, 0 running"
    world.settle()
    world.end("load", rate=0.5)
    world.fail("right")
    assert drawn(world) == [
        " ✓ load rate=0.5",
        "┌▶ left",
        "├▶ right attempt 1 of 2: job f-right failed",
        "└- odd load.rate is 0.5, not Gt 1",
        " · merge waits for left, right",
    ]
    assert summary(world.flow) == "✓load > ▶left,▶right,-odd > ·merge"
    assert headline(world.flow) == "2 of 5 steps done, 2 running"
    world.flow = replace(world.flow, spec=replace(world.flow.spec, suspend=True))
    assert drawn(world)[1] == "┌▶ left suspended"
    assert headline(world.flow) == "suspended after 2 of 5 steps; its jobs hold no room"
    world.flow = replace(world.flow, spec=replace(world.flow.spec, suspend=False))
    world.end("left")
    world.wait(60)
    world.end("right")
    world.end("merge")
    assert headline(world.flow) == "completed: 5 steps, 1 of them skipped"
    assert "2 attempts" in drawn(world)[2]


def test_a_wide_layer_shows_what_is_going_on_and_counts_the_rest():
    world = FlowWorld(a_step("a"), *(a_step(f"s{at}", "a") for at in range(1000)))
    world.settle()
    world.end("a")
    for at in range(990):
        world.phase(f"s{at}", "Completed")
    world.fail("s995")
    picture = lines(world.flow)
    assert len(picture) == 1 + MOST_SHOWN + 1
    shown = {line.name for line in picture}
    assert {"s995", "s994"} <= shown, "what is neither waiting nor completed is shown"
    assert (picture[-1].name, picture[-1].told) == ("and 984 more", "984 Completed")
    assert summary(world.flow) == "✓a > 1000 steps(✓990 ▶9 ✗1)"
    world.end(*(f"s{at}" for at in range(990, 1000) if at != 995))
    assert headline(world.flow) == "failed: step s995: job f-s995 failed"


def test_a_long_chain_shows_both_ends_of_what_is_quiet_and_all_that_is_going_on():
    world = FlowWorld(*(a_step(f"s{at}", *([f"s{at - 1}"] if at else [])) for at in range(300)))
    world.settle()
    for at in range(150):
        world.end(f"s{at}")
    assert [line.name for line in lines(world.flow)] == [
        *("s0", "s1", "s2", "and 146 more", "s149"),
        "s150",
        *("s151", "s152", "s153", "and 145 more", "s299"),
    ]
    assert summary(world.flow) == ("✓s0 > ✓s1 > ✓s2 > ✓s3 > 292 layers(✓146 ▶1 ·145) > ·s296 > ·s297 > ·s298 > ·s299")


def test_a_flow_that_nobody_has_looked_at_or_that_is_broken_can_be_drawn():
    assert drawn(FlowWorld(a_step("a"))) == [" · a"]
    assert summary(FlowWorld().flow) == "no steps"
    assert summary(FlowWorld(a_step("a", "a")).flow) == "1 steps wait for each other in a circle"
    assert len(lines(FlowWorld(a_step("a", "a")).flow)) == 1


def test_a_stuck_flow_says_on_what():
    world = FlowWorld(a_step("a"), templates={})
    world.settle()
    assert headline(world.flow) == 'TemplateMissing: step a: JobTemplate "a" does not exist'
