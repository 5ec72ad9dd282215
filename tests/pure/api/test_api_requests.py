"""Does a pod ask for what Kubernetes thinks it asks for?"""

import msgspec
import pytest

from flowbatch.api.core import PodSpec
from flowbatch.api.requests import pod_requests, sum_amounts


def asks(*containers, init=(), **more):
    return pod_requests(msgspec.convert({"containers": containers, "initContainers": init, **more}, PodSpec))


def wants(cpu, /, *, always=False, **limits):
    restart = {"restartPolicy": "Always"} if always else {}
    return {"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": limits}, **restart}


def test_containers_add_up():
    assert asks(wants("1"), wants("500m")) == (("cpu", 1500),)


def test_a_limit_stands_in_for_a_missing_request_only():
    assert asks(wants("1", cpu="2", memory="1Ki")) == (("cpu", 1000), ("memory", 1024))


def test_of_init_containers_only_the_largest_counts():
    assert asks(wants("1"), init=(wants("3"), wants("2"))) == (("cpu", 3000),)
    assert asks(wants("1"), init=(wants("500m"),)) == (("cpu", 1000),)


def test_a_sidecar_runs_beside_the_containers_and_later_init_containers():
    assert asks(wants("1"), init=(wants("1", always=True),)) == (("cpu", 2000),)
    assert asks(wants("1"), init=(wants("1", always=True), wants("3"))) == (("cpu", 4000),)
    assert asks(wants("1"), init=(wants("3"), wants("1", always=True))) == (("cpu", 3000),)


def test_overhead_comes_on_top():
    assert asks(wants("1"), overhead={"cpu": "250m"}) == (("cpu", 1250),)


def test_what_the_pod_as_a_whole_asks_for_stands_in_for_the_sum():
    whole = {"requests": {"cpu": "4", "nvidia.com/gpu": 1}}
    assert asks(wants("1"), wants("1"), resources=whole) == (("cpu", 4000),)
    assert asks(wants("1"), resources={"limits": {"memory": "1Ki"}}) == (("cpu", 1000), ("memory", 1024))


def test_nothing_is_asked_for_by_nobody():
    assert asks({"name": "c"}) == ()
    assert asks(wants("0")) == ()


@pytest.mark.parametrize(
    ("many", "total"), [((), ()), (((("cpu", 1),), (("cpu", 2), ("memory", 3))), (("cpu", 3), ("memory", 3)))]
)
def test_sums_go_resource_by_resource(many, total):
    assert sum_amounts(many) == total
