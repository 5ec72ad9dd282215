"""What is still to be placed of a gang: how many of which shape, and near whom."""

import numpy as np

from flowbatch.engine.domains import Asked, placed_rows
from flowbatch.engine.standing import Part
from flowbatch.model.gangs import Gang, Role
from flowbatch.model.shapes import Shape
from flowbatch.model.trial import Trial


def counts_of(order: list[Part], reserve: list[tuple[Role, int]]) -> dict[Shape, int]:
    """What must find a place, and what must find room, by shape."""
    counts: dict[Shape, int] = {}
    for part in order:
        if part.must:
            counts[part.shape] = counts.get(part.shape, 0) + part.must
    for role, count in reserve:
        if role.shape is not None:
            counts[role.shape] = counts.get(role.shape, 0) + count
    return counts


def compete(order: list[Part]) -> bool:
    """Parts of several shapes, which may take each other's nodes."""
    return len({part.shape.id: None for part in order}) > 1


def asked_near(gang: Gang, counts: dict[Shape, int], trial: Trial | None = None) -> Asked:
    """`counts` more members, near those that have their place, or will have it by this trial."""
    assert gang.reach is not None
    anchor = placed_rows(gang.tasks.values())
    if trial is not None:
        anchor = np.unique(np.concatenate([anchor, *trial.rows_of(gang)]))
    kept = [reservation.rows for reservation in gang.reservations]
    home = gang.fact.home if gang.fact else None
    return Asked(gang.reach, counts, anchor, np.unique(np.concatenate(kept)) if kept else anchor[:0], home)
