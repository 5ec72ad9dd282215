"""A flow while it is built: its function runs once, and each step that it calls leaves a node instead of running."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.flow.values import unexpanded
from flowbatch_dsl.origin import caller
from flowbatch_dsl.workflows.graph import refusal
from flowbatch_dsl.workflows.node import Node, When
from flowbatch_dsl.workflows.promise import Promise, flow_of, has_value, is_optional, source_of, step_of
from flowbatch_dsl.workflows.values import MARK, ValueRefused, encoded, has_mark, plain

#: Environment variables that carry arguments; a promise's name follows INPUT.
ARGUMENTS, INPUT, ITEM = "FLOWBATCH_ARGUMENTS", "FLOWBATCH_INPUT_", "FLOWBATCH_ITEM"
#: The name of a typed step's only output.
RESULT = "result"
#: Linux' longest environment variable is 128 KiB with its name.
MOST_BYTES = 120_000
#: Kubernetes' longest label, less room for the flow's name and an index.
MOST_CHARS = 40

_OPEN: "ContextVar[Builder | None]" = ContextVar("flowbatch_flow", default=None)


class Builder:
    """The nodes so far, and the conditions under which the next ones stand."""

    def __init__(self, flow: str) -> None:
        self.flow = flow
        self.nodes: list[Node] = []
        #: Further manifests that go along.
        self.objects: list[JsonObject] = []
        self._names: dict[str, int] = {}
        self._when: tuple[When, ...] = ()
        self._behind: tuple[Promise, ...] = ()

    def name(self, wanted: str) -> str:
        """`wanted` as a step's name, with `-x2` and so on from the second use on: `-2` is the third job of a map."""
        base = dashed(wanted)
        count = self._names[base] = self._names.get(base, 0) + 1
        return base if count == 1 else self.name(f"{base}-x{count}")

    def add(self, node: Node, promises: Sequence[Promise], output: str = RESULT) -> Promise:
        """Take in a step that needs `promises`; its own promise may be None if the step can be skipped."""
        when = (*node.when, *self._when)
        needed = (*promises, *self._behind)
        ends = ("Completed", "Skipped") if any(map(is_optional, needed)) else node.after_ends
        after = dict.fromkeys((*node.after, *map(step_of, self._behind)))
        whole = node.but(when=when, after_ends=ends, after=tuple(after))
        self.nodes.append(whole)
        return Promise(self, f"{node.name}.{output}" if output else node.name, optional=bool(when))

    @contextmanager
    def under(self, conditions: Sequence[When], subjects: Sequence[Promise]) -> Iterator[None]:
        """Steps that are added meanwhile run only if the conditions hold."""
        before = self._when, self._behind
        self._when, self._behind = (*self._when, *conditions), (*self._behind, *subjects)
        try:
            yield
        finally:
            self._when, self._behind = before

    def own(self, promise: Promise) -> Promise:
        """`promise`, which must be of this flow."""
        if flow_of(promise) is not self:
            refuse(self.flow, "spec.flows", f"{promise!r} belongs to another flow", "call its step in this one")
        return promise


def current() -> Builder | None:
    """The flow that is being built by the code that runs, if one is."""
    return _OPEN.get()


@contextmanager
def building(builder: Builder) -> Iterator[Builder]:
    """Calls of steps go to `builder` meanwhile."""
    token = _OPEN.set(builder)
    try:
        yield builder
    finally:
        _OPEN.reset(token)


class Arguments:
    """The arguments of one call as a pod gets them: literals, and values of other steps by environment variable."""

    def __init__(self, builder: Builder, step: str) -> None:
        self.literals: dict[str, Any] = {}
        self.inputs: dict[str, str] = {}
        self.promises: list[Promise] = []
        #: Steps that are waited for and give no value.
        self.after: list[str] = []
        self._builder = builder
        self._step = step

    def add(self, name: str, value: Any) -> None:
        """One argument: a promise, a value, or a list or dict with promises in it."""
        if isinstance(value, Promise) and has_value(value):
            self._input(f"{INPUT}{name}", value)
            return
        try:
            self.literals[name] = marked(
                value, lambda promise: self._input(f"{INPUT}{name}.{len(self.inputs)}", promise)
            )
            encoded(self.literals[name])
        except ValueRefused as problem:
            refuse(f'Step("{self._step}")', ARGUMENTS, f"the argument {name} {problem}")

    def _input(self, variable: str, promise: Promise) -> str:
        """The variable that will hold the value; "" where there will be none."""
        self._builder.own(promise)
        if not has_value(promise):
            self.after.append(step_of(promise))
            return ""
        self.promises.append(promise)
        self.inputs[variable] = source_of(promise)
        return variable

    def env(self) -> Mapping[str, str]:
        """The literals by the variable that carries them, and None for values that a skipped step may owe."""
        owed = [variable for variable, each in zip(self.inputs, self.promises, strict=False) if is_optional(each)]
        literals = {ARGUMENTS: unexpanded(encoded(self.literals, MOST_BYTES).decode())} if self.literals else {}
        return {**dict.fromkeys(owed, "null"), **literals}


def marked(value: Any, note: Any) -> Any:
    """`value` as JSON values, `note(promise)`, if it is not "", written where a promise is. Raises ValueRefused."""
    if isinstance(value, Promise):
        where = note(value)
        return {MARK: where} if where else None
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [marked(item, note) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value) and MARK not in value:
        return {key: marked(item, note) for key, item in value.items()}
    made = plain(value)
    if has_mark(made):
        raise ValueRefused(f'has the key "{MARK}", which stands for a promise')
    return made


def dashed(name: str) -> str:
    """A Python name as a DNS label."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MOST_CHARS].strip("-") or "step"


def refuse(subject: str, path: str, problem: str, hint: str = "") -> NoReturn:
    """Raises SpecErrors with the line of the user's file that is running."""
    raise refusal([(SpecError(path, problem, None, hint), subject, caller())], subject)
