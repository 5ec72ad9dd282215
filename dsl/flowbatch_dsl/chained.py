"""What `>>` may stand between: jobs, nodes and graphs. One base for all of them, so that lists may mix them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from flowbatch_dsl.workflows.graph import Graph


class Chained(msgspec.Struct, frozen=True):
    """One side of `>>`. Neither side changes: the edges are in the Graph that it gives."""

    def __rshift__(self, others: "Links") -> "Graph":
        """`a >> b`, `a >> [b, c]`: the right side comes after the left one."""
        from flowbatch_dsl.workflows.graph import chain

        return chain(self, others)

    def __rrshift__(self, others: "Links") -> "Graph":
        """`[a, b] >> c`: c comes after both."""
        from flowbatch_dsl.workflows.graph import chain

        return chain(others, self)


#: What may stand on a side of `>>`; a list stands for all of its members side by side.
Links = Chained | Sequence[Chained]
