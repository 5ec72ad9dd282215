"""Does a set of cpus come out as the kubelet's would? Cases of Volcano's cpumanager and policy tests, on a small node.

Two NUMA nodes of four cpus, each a socket of two cores of two threads: cpus 0-3 and 4-7.
"""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.model.cpus import aligned, fitting, layout_of, reach, taken
from flowbatch.model.cpusets import members, parsed, written
from tests.textcluster import numa

POLICIES = ("best-effort", "restricted", "single-numa-node")


def node(policy="best-effort", text="2x 4"):
    found = layout_of(numa("n", f"{policy} {text}"))
    assert found is not None
    return found


def given_to(policy, free, *counts, slack=0, text="2x 4"):
    cpus = aligned(node(policy, text), parsed(free), slack, counts)
    return None if cpus is None else written(cpus)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("0-3,8", 5), ("5", 1), (" 1 , 3-4 ", 3), ("0-8191", 8192)])
def test_a_set_is_read_as_linux_writes_it(text, count):
    assert parsed(text).bit_count() == count
    assert parsed(written(parsed(text))) == parsed(text)


@pytest.mark.parametrize("text", ["3-1", "a", "1,,2", "-1", "8192", "1-99999", "1.5", "²"])
def test_what_is_no_set_is_refused(text):
    with pytest.raises(ValueError, match="no set of cpus"):
        parsed(text)


@given(st.sets(st.integers(0, 200)))
def test_sets_survive_being_written(cpus):
    as_int = sum(1 << cpu for cpu in cpus)
    assert list(members(as_int)) == sorted(cpus)
    assert parsed(written(as_int)) == as_int


@pytest.mark.parametrize(
    ("policy", "free", "count", "expected"),
    [
        # Volcano: Test_GetTopologyHints and Test_Allocate, test-1 to test-6, by policy.
        ("best-effort", "0-7", 4, "0-3"),
        ("best-effort", "1-7", 4, "4-7"),
        ("best-effort", "0-7", 5, "0-4"),
        ("best-effort", "1-7", 5, "1,4-7"),
        ("best-effort", "0-7", 8, "0-7"),
        ("best-effort", "0-7", 9, None),
        ("best-effort", "2-5", 4, "2-5"),
        ("restricted", "0-7", 4, "0-3"),
        ("restricted", "0-7", 5, "0-4"),
        ("restricted", "2-5", 4, None),
        ("restricted", "0-7", 9, None),
        ("single-numa-node", "0-7", 4, "0-3"),
        ("single-numa-node", "1-7", 4, "4-7"),
        ("single-numa-node", "0-7", 5, None),
        ("single-numa-node", "2-5", 4, None),
        # Whole cores before halves, and halves of cores that are already broken up.
        ("single-numa-node", "0-3", 2, "0-1"),
        ("single-numa-node", "1-3", 2, "2-3"),
        ("single-numa-node", "1-3", 1, "1"),
        ("single-numa-node", "1-3", 3, "1-3"),
    ],
)
def test_a_container_gets_what_its_kubelet_would_give_it(policy, free, count, expected):
    assert given_to(policy, free, count) == expected


def test_volcano_binds_where_cpus_do_not_suffice_and_flowbatch_does_not():
    # There best-effort admits whatever is left, and assigns nothing; the kubelet then refuses the pod.
    assert given_to("best-effort", "0-2", 4) is None


def test_containers_are_aligned_one_by_one():
    assert given_to("single-numa-node", "0-7", 3, 3) == "0-2,4-6"
    assert given_to("single-numa-node", "0-7", 3, 1, 2) == "0-5"
    assert given_to("single-numa-node", "0-7", 3, 3, 2) is None
    assert given_to("restricted", "0-7", 3, 3, 2) is None
    assert given_to("best-effort", "0-7", 3, 3, 2) == "0-7"


def test_the_first_numa_node_of_equal_ones_is_taken():
    assert given_to("single-numa-node", "4-15", 3, text="4x 4") == "4-6"
    assert given_to("restricted", "0-15", 8, text="4x 4") == "0-7"
    assert given_to("restricted", "0-3,8-15", 8, text="4x 4") == "0-3,8-11"


def test_of_no_set_of_numa_nodes_the_slack_is_to_be_had():
    assert given_to("single-numa-node", "0-7", 3, slack=1) == "0-2"
    assert given_to("single-numa-node", "0-7", 4, slack=1) is None
    assert given_to("best-effort", "0-7", 4, slack=1) is not None
    assert given_to("best-effort", "0-7", 8, slack=1) is None


def test_sockets_of_several_numa_nodes_are_filled_numa_node_by_numa_node():
    wide = replace(node(text="4x 4"), sockets=(0xFF, 0xFF00))
    assert written(taken(wide, 0xFFFF, 8)) == "0-7"
    assert written(taken(wide, 0xFFFF & ~0b1, 4)) == "4-7"
    assert written(taken(wide, parsed("4-7,9-15"), 6)) == "4-7,10-11"


def test_what_is_reserved_is_taken_first_and_never_given():
    reserved = node("single-numa-node", "2x 4, reserved 2")
    assert written(reserved.reserved) == "0-1"
    assert fitting(reserved, reserved.all & ~reserved.reserved, 0, (4,)) == 1


@pytest.mark.parametrize("text", ["none 2x 4", "shared restricted 2x 4", "restricted 0x 4", "restricted 17x 1/1"])
def test_a_kubelet_that_does_not_align_has_no_layout(text):
    assert layout_of(numa("n", text)) is None


# -- against the hints of the topology manager, spelled out


def hinted(layout, free, count):
    """(preferred, NUMA nodes) of the best hint, by going through all masks as kubelet and Volcano do; or None."""
    nodes = range(len(layout.numa))
    masks = [each for size in range(1, len(layout.numa) + 1) for each in combinations(nodes, size)]
    least = len(layout.numa)
    for mask in masks:
        if sum(layout.numa[at].bit_count() for at in mask) >= count:
            least = min(least, len(mask))
    hints = [mask for mask in masks if sum((free & layout.numa[at]).bit_count() for at in mask) >= count]
    if layout.policy == "single-numa-node":
        hints = [mask for mask in hints if len(mask) == 1 and least == 1]
    if layout.policy != "best-effort":
        hints = [mask for mask in hints if len(mask) == least]
    # Preferred ones first, then narrow ones, then the mask that is the smaller number.
    return min(hints, key=lambda mask: (len(mask) != least, len(mask), sum(1 << at for at in mask)), default=None)


@given(
    st.sampled_from(POLICIES),
    st.sampled_from(["1x 8", "2x 4", "4x 4", "3x 5/1", "8x 2"]),
    st.integers(0, 2**16 - 1),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_the_kubelets_hints_say_the_same(policy, text, free, counts):
    layout = node(policy, text)
    free &= layout.all
    left, expected = free, True
    for count in counts:
        nodes = hinted(layout, left, count)
        if nodes is None:
            expected = False
            break
        part = aligned(layout, left, 0, (count,))
        assert part is not None
        assert part.bit_count() == count
        assert all(layout.numa[at] & part for at in nodes) or len(nodes) > 1
        assert not part & ~sum(layout.numa[at] for at in nodes)
        left &= ~part
    found = aligned(layout, free, 0, counts)
    assert (found is not None) == expected
    assert not expected or found == free & ~left


@given(
    st.sampled_from(POLICIES),
    st.integers(0, 2**16 - 1),
    st.integers(0, 3),
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
)
def test_how_many_fit_is_what_fits_one_after_the_other(policy, free, slack, counts):
    layout, left, found = node(policy, "4x 4"), free, 0
    assert reach(layout, free, slack, tuple(counts)) == layout.span(aligned(layout, free, slack, counts) or 0)
    while (chosen := aligned(layout, left, slack, counts)) is not None:
        left, found = left & ~chosen, found + 1
    assert fitting(layout, free, slack, tuple(counts)) == found
