"""One node's answer from the answers of all rows, for filters that work rows out together."""

from collections.abc import Iterable

from flowbatch.model.nodes import Node
from flowbatch.model.table import Bools


def first_refusal(refusals: Iterable[tuple[Bools, str]], node: Node) -> str | None:
    """The first reason that concerns `node`'s row, if any."""
    return next((reason for rows, reason in refusals if rows[node.row]), None)
