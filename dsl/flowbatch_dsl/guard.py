"""A pod imports the file of its function; one that submits when it is imported would do so again, for ever."""

from collections.abc import Iterator
from contextlib import contextmanager

from flowbatch.errors import FlowbatchError

_IMPORTING: list[str] = []


@contextmanager
def importing(target: str) -> Iterator[None]:
    """Meanwhile nothing may be submitted or started."""
    _IMPORTING.append(target)
    try:
        yield
    finally:
        _IMPORTING.pop()


def check(verb: str) -> None:
    """Raises FlowbatchError if a step's file is being imported in its pod."""
    if _IMPORTING:
        raise FlowbatchError(
            f"the module of {_IMPORTING[-1]} {verb} while the step's pod imports it: put that under "
            'if __name__ == "__main__":'
        )
