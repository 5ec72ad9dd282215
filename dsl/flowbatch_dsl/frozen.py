"""Values that never change: what makes specs comparable, hashable and safe to share between notebook cells.

Lists become tuples and mappings become `Map` when a spec is built; `thaw` turns them back into plain JSON values.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

V = TypeVar("V")


class Map(dict[str, V]):
    """A mapping that can be hashed because it cannot change; compares equal to a dict with the same items."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # dict says None: it may change, a Map may not
        return hash(frozenset(self.items()))

    def _refuse(self, *_args: object, **_changes: object) -> NoReturn:
        raise TypeError("specs never change; make a changed copy with .but(...)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __copy__(self) -> "Map[V]":
        return self

    def __deepcopy__(self, _memo: object) -> "Map[V]":
        return self

    def __reduce__(self) -> tuple[type["Map[V]"], tuple[dict[str, V]]]:
        return (type(self), (dict(self),))


EMPTY: Map[Any] = Map()


def freeze(value: Any) -> Any:
    """`value` with every list a tuple and every mapping a `Map`, all the way down."""
    if isinstance(value, Mapping):
        return Map((key, freeze(item)) for key, item in value.items()) if value else EMPTY
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """`value` as plain JSON: dicts and lists, all of them new."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value


def sequence(value: Any, what: str) -> tuple[Any, ...]:
    """`value` as a tuple. Raises TypeError, saying what is expected, for the classic slip of a bare string."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{what} must be a list, not {type(value).__name__}: write [{value!r}]")
    return tuple(value)
