"""What a container asks for: readable quantities, nothing negative, requests within limits, whole devices."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import QuantityError, exact_value
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules.names import label_key_problem
from flowbatch.workload.rules.reading import dict_of, items_of

_DIGIT = re.compile(r"\+?\.?[0-9]")
#: Kubernetes keeps amounts in 64 bits; what is far beyond is a slip of the keyboard.
MOST = 2**127
#: Resources without a domain that Kubernetes knows in containers.
STANDARD = ("cpu", "memory", "ephemeral-storage")


def check_resources(container: JsonObject, path: str) -> Iterator[SpecError]:
    """requests and limits of one container, at `path`."""
    read: dict[str, dict[str, Fraction]] = {}
    for part in ("requests", "limits"):
        read[part] = {}
        for name, value in items_of(container, "resources", part):
            where = f"{path}.resources.{part}.{name}"
            yield from _known(name, where)
            exact, problem = read_quantity(value, where)
            if problem is not None:
                yield problem
            elif exact is not None:
                read[part][name] = exact
                yield from _whole(name, exact, value, where)
    yield from _within(container, read["requests"], read["limits"], f"{path}.resources")


def read_quantity(value: Any, where: str) -> tuple[Fraction | None, SpecError | None]:
    """The exact value, or what is wrong with it; nothing of either for a value of the wrong type."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None, None
    try:
        exact = exact_value(value)
    except QuantityError as problem:
        return None, SpecError(where, str(problem), value)
    if abs(exact) >= MOST:
        return None, SpecError(where, "is larger than any amount")
    if exact < 0 or (isinstance(value, str) and value.startswith("-")):
        return None, SpecError(where, "must not be negative", value)
    if isinstance(value, str) and not _DIGIT.match(value):
        # Kubernetes reads ".", "+" and "Gi" as 0; nobody means that.
        return None, SpecError(where, "has no digits", value)
    return exact, None


def _known(name: str, where: str) -> Iterator[SpecError]:
    if name in STANDARD or name.startswith("hugepages-"):
        return
    if "/" not in name:
        yield SpecError(where, "is not a resource of containers", None, did_you_mean(name[:100], STANDARD))
    elif problem := label_key_problem(name):
        yield SpecError(where, problem)


def _whole(name: str, exact: Fraction, value: Any, where: str) -> Iterator[SpecError]:
    if "/" in name and exact.denominator != 1:
        yield SpecError(where, "must be a whole number: devices are not shared", value)


def _within(
    container: JsonObject, requests: dict[str, Fraction], limits: dict[str, Fraction], path: str
) -> Iterator[SpecError]:
    written = dict_of(container, "resources", "requests")
    for name, asked in requests.items():
        extended = "/" in name or name.startswith("hugepages-")
        limit = limits.get(name)
        if limit is not None and asked > limit:
            yield SpecError(f"{path}.requests.{name}", "must not be greater than its limit", written[name])
        elif extended and limit is not None and asked != limit:
            yield SpecError(f"{path}.requests.{name}", "must equal its limit: it is not overcommitted", written[name])
        elif extended and limit is None and name not in dict_of(container, "resources", "limits"):
            yield SpecError(f"{path}.limits.{name}", "is missing: devices need a limit equal to the request")
