"""`python -m flowbatch_dsl.runner MODULE:NAME` or `--pickled`: one step of a flow, in its pod.

Arguments come by environment variable, as JSON; the result goes into the container's termination message. What went
wrong is the last thing in the log and, in one line, the termination message.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import FunctionType
from typing import Any

import msgspec

from flowbatch_dsl import guard
from flowbatch_dsl.workflows.building import ARGUMENTS, INPUT, ITEM, RESULT
from flowbatch_dsl.workflows.manifest import PATH
from flowbatch_dsl.workflows.pickling import FUNCTION_KEY, MOUNT, VERSION_KEY, this_python
from flowbatch_dsl.workflows.step import Step
from flowbatch_dsl.workflows.values import MARK, MAX_BYTES, ValueRefused, encoded, hints_of, plain, typed

#: Where the kubelet reads; nodes without mounts say where else.
TERMINATION, TERMINATION_VARIABLE = "/dev/termination-log", "FLOWBATCH_TERMINATION"


#: Parameters whose annotation is about each of many values.
SPREAD = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class StepRefused(Exception):
    """The step cannot even begin, or its result cannot be passed on."""


def main(target: str) -> int:
    """Run `target` and leave its result.

    Exit code 1: the function raised; 2: it could not be called, or its result cannot be passed on.
    """
    try:
        function = find(target, os.environ)
        result = run(function, os.environ)
    except StepRefused as problem:
        print(f"flowbatch: {problem}", file=sys.stderr)
        leave(str(problem).encode())
        return 2
    except Exception as problem:
        traceback.print_exc()
        leave(_in_one_line(problem).encode())
        return 1
    return 0 if leave(result) else 2


def find(target: str, environment: Mapping[str, str]) -> Callable[..., Any]:
    """The function that MODULE:NAME names. Raises StepRefused, saying where it was looked for."""
    if target == "--pickled":
        return unpickled(Path(MOUNT))
    module_name, _, name = target.partition(":")
    if place := environment.get(PATH):
        sys.path.append(place)
    try:
        with guard.importing(target):
            found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{module_name}.".startswith(f"{problem.name}."):
            raise
        raise StepRefused(
            f"there is no module {module_name} in {os.getcwd()}{f' or {place}' if place else ''}, nor on sys.path: "  # noqa: PTH109
            "the image, or the directory where the local cluster was started, must have it"
        ) from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Step):
        return found.__wrapped__
    if not isinstance(found, FunctionType):
        raise StepRefused(
            f"module {module_name} ({getattr(sys.modules[module_name], '__file__', '')}) has no step {name}"
        )
    return found


def unpickled(folder: Path) -> Callable[..., Any]:
    """The function that came along. Raises StepRefused for another Python than this one, or without cloudpickle."""
    made_by = (folder / VERSION_KEY).read_text()
    if made_by != this_python():
        raise StepRefused(f"the function was pickled by Python {made_by}, and this image has {this_python()}")
    try:
        import cloudpickle
    except ImportError:
        raise StepRefused('the image has no cloudpickle: pip install "flowbatch[notebook]"') from None
    function: Callable[..., Any] = cloudpickle.loads((folder / FUNCTION_KEY).read_bytes())
    return function


def run(function: Callable[..., Any], environment: Mapping[str, str]) -> bytes:
    """Call `function` with its arguments; its result as the JSON object that a step leaves. Raises what it raises."""
    hints = hints_of(function)
    call = signature(function).bind_partial()
    call.arguments.update(arguments(call.signature, environment, hints))
    result = function(*call.args, **call.kwargs)
    hint = hints.get("return", Any)
    try:
        value = plain(result)
        typed(value, hint)
        return encoded({RESULT: value}, MAX_BYTES)
    except ValueRefused as problem:
        raise StepRefused(f"what {function.__qualname__} returned {problem}") from None


def arguments(called: Signature, environment: Mapping[str, str], hints: Mapping[str, Any]) -> dict[str, Any]:
    """The call's arguments by name, each of the type that the function says. Raises StepRefused."""
    literals: dict[str, Any] = msgspec.json.decode(environment.get(ARGUMENTS) or "{}")
    given = {name: _filled(value, environment) for name, value in literals.items()}
    for place, name in enumerate(called.parameters):
        variable = ITEM if place == 0 and ITEM in environment else INPUT + name
        if name not in given and variable in environment:
            given[name] = msgspec.json.decode(environment[variable])
    return {
        name: given[name] if parameter.kind in SPREAD else _decoded(name, given[name], hints.get(name, Any))
        for name, parameter in called.parameters.items()
        if name in given
    }


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    """`value` with the values of other steps where their marks are."""
    if isinstance(value, dict):
        if value.keys() == {MARK}:
            return msgspec.json.decode(environment[value[MARK]])
        return {key: _filled(item, environment) for key, item in value.items()}
    return [_filled(item, environment) for item in value] if isinstance(value, list) else value


def _decoded(name: str, value: Any, hint: Any) -> Any:
    try:
        return typed(value, hint)
    except ValueRefused as problem:
        raise StepRefused(f"the argument {name} {problem}") from None


def leave(message: bytes) -> bool:
    """Write the termination message, cut to what a kubelet keeps. Never makes a new file: the kubelet makes it."""
    path = os.environ.get(TERMINATION_VARIABLE, TERMINATION)
    try:
        file = os.open(path, os.O_WRONLY | os.O_TRUNC)
    except OSError as problem:
        print(f"flowbatch: no termination message can be left in {path}: {problem.strerror}", file=sys.stderr)
        return False
    with open(file, "wb") as opened:
        opened.write(message[:MAX_BYTES])
    return True


def _in_one_line(problem: BaseException) -> str:
    last = traceback.extract_tb(problem.__traceback__)[-1:]
    place = "".join(f" ({frame.filename}:{frame.lineno})" for frame in last)
    return " ".join(f"{type(problem).__name__}: {problem}{place}".split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
