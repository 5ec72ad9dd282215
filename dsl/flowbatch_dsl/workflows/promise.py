"""What a step's call gives while a flow is built: the place of a value that is not there yet.

Type checkers see the value's own type, so `train(prep())` checks as plain Python does. Whatever would need the value
itself is refused, with the line and with what to write instead.
"""

from typing import Any, NoReturn

from flowbatch.errors import FlowbatchError
from flowbatch_dsl.origin import caller


class PromiseError(FlowbatchError, TypeError):
    """A promise was used as if it were a value already."""


class Promise:
    """The value "STEP.OUTPUT" of a run that has not begun. Pass it on to steps; nothing else can be done with it."""

    __slots__ = ("_flow", "_optional", "_source")

    def __init__(self, flow: object, source: str, *, optional: bool = False) -> None:
        self._flow = flow
        self._source = source
        self._optional = optional

    def __repr__(self) -> str:
        return f"<promise of {self._source}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # asked by debuggers, notebooks and copy, not by people
            raise AttributeError(name)
        refuse(self, f".{name}")

    def __bool__(self) -> bool:
        refuse(self, "if, and, or, not, bool()")

    def __len__(self) -> int:
        refuse(self, "len()")

    def __iter__(self) -> Any:
        refuse(self, "a loop, unpacking, list()")

    def __contains__(self, _item: object) -> bool:
        refuse(self, "in")

    def __getitem__(self, key: object) -> NoReturn:
        refuse(self, f"[{key!r}]")

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refused, as everything else is."""
        refuse(self, "a call")

    def __str__(self) -> str:
        refuse(self, "str(), print(), an f-string")

    def __format__(self, _how: str) -> str:
        refuse(self, "str(), print(), an f-string")

    def __hash__(self) -> int:
        refuse(self, "a set or a dict key")

    def __eq__(self, _other: object) -> bool:
        refuse(self, "==")

    def __ne__(self, _other: object) -> bool:
        refuse(self, "!=")

    def __enter__(self) -> NoReturn:
        refuse(self, "with")

    def __exit__(self, *_: object) -> None:
        pass

    def __await__(self) -> NoReturn:
        refuse(self, "await")


_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ARITHMETIC = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "matmul": "@",
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
    "divmod": "divmod()",
}
_NUMBERS = {
    "int": "int()",
    "float": "float()",
    "index": "range(), an index",
    "abs": "abs()",
    "neg": "-",
    "round": "round()",
}


def _refusing(sign: str) -> Any:
    def method(self: Promise, *_: object) -> NoReturn:
        refuse(self, sign)

    return method


for _word, _sign in {**_COMPARISONS, **_ARITHMETIC, **_NUMBERS}.items():
    setattr(Promise, f"__{_word}__", _refusing(_sign))
for _word, _sign in _ARITHMETIC.items():
    setattr(Promise, f"__r{_word}__", _refusing(_sign))


def refuse(promise: Promise, what: str) -> NoReturn:
    """Raises PromiseError: where it was tried, why it cannot be, and what can."""
    at = caller()
    place = f"{at.file}:{at.line}: " if at else ""
    step = step_of(promise)
    raise PromiseError(
        f"{place}{what} on the result of step {step}, which is a promise: in a @flow no step has run yet\n"
        "  to go over a list:   STEP.map(result)\n"
        "  to decide by it:     (when(result) < 0.5).then(STEP, ...)\n"
        "  to compute with it:  pass it to a @step that does"
    )


def source_of(promise: Promise) -> str:
    """ "STEP.OUTPUT" of a promise; "STEP" where there will be no value."""
    return promise._source  # noqa: SLF001  (public names would hide attributes that people try)


def step_of(promise: Promise) -> str:
    """The step that a promise is of."""
    return source_of(promise).partition(".")[0]


def has_value(promise: Promise) -> bool:
    """Whether there will be a value: a job without an output gives none, and can only be waited for."""
    return "." in source_of(promise)


def is_optional(promise: Promise) -> bool:
    """Whether the value may be None because its step was skipped."""
    return promise._optional  # noqa: SLF001


def flow_of(promise: Promise) -> object:
    """The flow that was being built when the promise was made."""
    return promise._flow  # noqa: SLF001
