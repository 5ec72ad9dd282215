"""Selectors of devices: CEL expressions over `device`, each evaluated once for each device.

Kubernetes' own environment is larger; what selectors of devices use is here: `device.driver`, `device.attributes` and
`device.capacity` by domain, optional fields, `cel.bind`, the functions of strings, and Kubernetes' quantities and
semantic versions. CEL itself is Google's C++ implementation, loaded with the first selector.

A value of a type that only Kubernetes has travels as bytes, which no attribute is otherwise.
"""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, Final

import structlog

from flowbatch.api.quantity import QuantityError, exact_value
from flowbatch.api.resource import Device, DeviceAttribute, ResourceSlice

log = structlog.get_logger()

#: Longest expression that is read (resource.k8s.io: CELSelectorExpressionMaxLength).
CHARS_MAX: Final = 10 * 1024
_QUANTITY, _VERSION = b"q:", b"v:"
#: Domains that an expression looks into, and those of which it first asks whether they are there.
_LOOKS: Final = re.compile(r"""(?:attributes|capacity)\s*\[\s*(?:"([^"]+)"|'([^']+)')\s*\]""")
_ASKS: Final = re.compile(r"""(?:"([^"]+)"|'([^']+)')\s+in\s+device\.(?:attributes|capacity)""")
_SEMVER: Final = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)


class Selectors:
    """All selectors that anybody has mentioned. What does not compile passes nothing, and says why."""

    def __init__(self) -> None:
        self._programs: dict[str, Selector] = {}
        self._fresh = False
        #: By slice: the version that was looked at, and what each of its devices passes.
        self._known: dict[str, tuple[str, dict[tuple[str, str], bool]]] = {}

    def mention(self, text: str) -> str:
        """Somebody selects devices by this. Returns what is wrong with it, or nothing."""
        known = self._programs.get(text)
        if known is None:
            known = self._programs[text] = Selector(text)
            self._fresh = True
        return known.problem

    def fresh(self) -> bool:
        """Whether selectors have come since the last call: all slices are to be looked at again."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def passed(self, each: ResourceSlice, device: Device) -> tuple[str, ...]:
        """The selectors that a device passes, in the order in which they were first mentioned."""
        meta = each.metadata
        version, known = self._known.get(meta.name, ("", {}))
        if version != meta.resource_version:
            known = {}
            self._known[meta.name] = meta.resource_version, known
        found: list[str] = []
        value: dict[str, Any] | None = None
        for text, selector in self._programs.items():
            answer = known.get((device.name, text))
            if answer is None:
                value = device_value(each.spec.driver, device) if value is None else value
                answer = known[device.name, text] = selector.passes(value)
            if answer:
                found.append(text)
        return tuple(found)

    def forget(self, name: str) -> None:
        """The slice is gone."""
        self._known.pop(name, None)


class Selector:
    """One expression. `problem` says why it cannot be used."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._complained = False
        asked = {name for pair in _ASKS.findall(text) for name in pair if name}
        #: Domains that are empty where a device does not have them, as in Kubernetes.
        self._domains = [name for pair in _LOOKS.findall(text) for name in pair if name and name not in asked]
        self._program: Any = None
        self.problem = f"selector is longer than {CHARS_MAX} characters" if len(text) > CHARS_MAX else self._compile()

    def _compile(self) -> str:
        try:
            self._program = _environment().compile(self._text)
        except (RuntimeError, ValueError) as error:
            return f"selector does not compile: {_first_line(error)}"
        kind = self._program.return_type().name()
        return "" if kind in ("BOOL", "DYN") else f"selector is no condition but of type {kind}"

    def passes(self, device: Mapping[str, Any]) -> bool:
        """Whether it is true of a device; one that it cannot be asked about does not pass."""
        if self.problem:
            return False
        maps = {key: {name: {} for name in self._domains} | device[key] for key in ("attributes", "capacity")}
        value = self._program.eval(data={"device": {**device, **maps}})
        answer = value.value()
        if not isinstance(answer, bool):
            self._complain(device, str(answer))
        return answer is True

    def _complain(self, device: Mapping[str, Any], why: str) -> None:
        if not self._complained:
            self._complained = True
            log.warning("a selector of devices has no answer", selector=self._text, driver=device["driver"], why=why)


def device_value(driver: str, device: Device) -> dict[str, Any]:
    """A device as selectors see it: attributes and capacity by domain; those without one are the driver's own."""
    attributes: dict[str, dict[str, Any]] = {driver: {}}
    for name, attribute in device.attributes.items():
        domain, _, bare = name.rpartition("/")
        value = attribute_value(attribute)
        if value is not None:
            attributes.setdefault(domain or driver, {})[bare] = value
    capacity: dict[str, dict[str, Any]] = {driver: {}}
    for name, amount in device.capacity.items():
        domain, _, bare = name.rpartition("/")
        capacity.setdefault(domain or driver, {})[bare] = quantity(str(amount.value))
    return {"driver": driver, "attributes": attributes, "capacity": capacity, "allowMultipleAllocations": False}


def attribute_value(attribute: DeviceAttribute) -> str | int | bool | bytes | None:
    """An attribute as CEL has it; None for types that are not read here."""
    if attribute.version is not None:
        return _VERSION + attribute.version.encode()
    return next((each for each in (attribute.string, attribute.whole, attribute.truth) if each is not None), None)


# -- Kubernetes' own types


def quantity(text: str) -> bytes:
    """A quantity, equal amounts as equal bytes. Raises ValueError."""
    try:
        return _QUANTITY + str(exact_value(text)).encode()
    except QuantityError as error:
        raise ValueError(f"{text!r} {error}") from error


def semver(text: str) -> bytes:
    """A semantic version. Raises ValueError."""
    if _SEMVER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no semantic version")
    return _VERSION + text.encode()


def _is(read: Callable[[str], bytes], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _key(value: bytes | bytearray) -> tuple[Any, ...]:
    """What two values of one of these types are compared by; CEL hands them over as bytearrays. Raises ValueError."""
    return _read(bytes(value))


@lru_cache(maxsize=4096)
def _read(value: bytes) -> tuple[Any, ...]:
    text = value[2:].decode()
    if value.startswith(_QUANTITY):
        return (Fraction(text),)
    match = _SEMVER.fullmatch(text)
    if match is None or not value.startswith(_VERSION):
        raise ValueError("neither quantity nor version")
    major, minor, patch, before = match.groups()
    # A version is newer than all that come before its release; numbers come before words.
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (before or "").split(".") if part]
    return int(major), int(minor), int(patch), before is None, parts


def _compared(left: bytes, right: bytes) -> int:
    if left[:2] != right[:2]:
        raise ValueError("a quantity and a version cannot be compared")
    first, second = _key(left), _key(right)
    return (first > second) - (first < second)


def _sum(left: bytes, right: bytes | int, sign: int) -> bytes:
    more = Fraction(right) if isinstance(right, int) else _key(right)[0]
    return _QUANTITY + str(_key(left)[0] + sign * more).encode()


def _as_integer(value: bytes) -> int:
    amount: Fraction = _key(value)[0]
    if amount.denominator != 1 or abs(amount) >= 2**63:
        raise ValueError("no whole number")
    return int(amount)


class _Functions:
    """Declarations for CEL, made when they are first needed."""

    @cached_property
    def cel(self) -> Any:
        """The library, which nobody loads who selects no devices."""
        from cel_expr_python import cel

        return cel

    def all(self) -> list[Any]:
        """Everything that Kubernetes adds and selectors of devices use."""
        kind = self.cel.Type
        text, value, whole, truth, real = kind.STRING, kind.BYTES, kind.INT, kind.BOOL, kind.DOUBLE
        functions: list[tuple[str, Any, list[Any], bool, Callable[..., Any]]] = [
            ("quantity", value, [text], False, quantity),
            ("isQuantity", truth, [text], False, lambda each: _is(quantity, each)),
            ("semver", value, [text], False, semver),
            ("isSemver", truth, [text], False, lambda each: _is(semver, each)),
            ("compareTo", whole, [value, value], True, _compared),
            ("isGreaterThan", truth, [value, value], True, lambda left, right: _compared(left, right) > 0),
            ("isLessThan", truth, [value, value], True, lambda left, right: _compared(left, right) < 0),
            ("add", value, [value, value], True, lambda left, right: _sum(left, right, 1)),
            ("sub", value, [value, value], True, lambda left, right: _sum(left, right, -1)),
            ("sign", whole, [value], True, lambda each: _compared(each, quantity("0"))),
            ("isInteger", truth, [value], True, lambda each: _key(each)[0].denominator == 1),
            ("asInteger", whole, [value], True, _as_integer),
            ("asApproximateFloat", real, [value], True, lambda each: float(_key(each)[0])),
            ("major", whole, [value], True, lambda each: _key(each)[0]),
            ("minor", whole, [value], True, lambda each: _key(each)[1]),
            ("patch", whole, [value], True, lambda each: _key(each)[2]),
        ]
        declaration, overload = self.cel.FunctionDecl, self.cel.Overload
        return [
            declaration(
                name,
                [overload(f"k8s_{name}", return_type=result, parameters=takes, is_member=member, impl=does)],
            )
            for name, result, takes, member, does in functions
        ]


@lru_cache(maxsize=1)
def _environment() -> Any:
    """CEL as selectors of devices have it."""
    from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

    functions = _Functions()
    extensions = [ext_optional.ExtOptional(), ext_bindings.ExtBindings(), ext_strings.ExtStrings()]
    variables = {"device": functions.cel.Type.DYN}
    return functions.cel.NewEnv(variables=variables, extensions=extensions, functions=functions.all())


def _first_line(error: Exception) -> str:
    text = str(error).removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ")
    return text.partition("\n")[0].removeprefix("<input>:")
