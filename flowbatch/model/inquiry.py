"""A question to somebody outside about one gang, and what came of earlier ones.

An Inquiry is a plain value that holds all that the shell needs to put the question, so that a change of policy never
orphans one. Advice is what the engine remembers of the answers, for a little while: what is outside may change unseen.
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from flowbatch.model.ids import Amounts, GangId, Instant, NodeName, PodUid, QueueName, ShapeId


class Subject(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Equal pods of the gang, spoken for by one of them, and the nodes to be judged for them."""

    uid: PodUid
    nodes: tuple[NodeName, ...]
    #: How many of `nodes`, from the first on, they would be placed on; the others are alternatives.
    chosen: int = 0


class Inquiry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Whom to ask, in which words, about what."""

    kind: Literal["enqueue", "place"]
    url: str
    timeout_ms: int
    #: Go on without an answer where none can be had.
    ignorable: bool
    #: What to ask (predicate, prioritize, ...) -> the last part of the URL.
    verbs: tuple[tuple[str, str], ...]
    gang: GangId
    queue: QueueName
    subjects: tuple[Subject, ...] = ()
    #: Who would be where: uid, `namespace/name`, node.
    places: tuple[tuple[PodUid, str, NodeName], ...] = ()
    #: Left over on each node that is to be judged, beside this gang.
    free: tuple[tuple[NodeName, Amounts], ...] = ()

    def verb(self, what: str) -> str:
        """The word for `what`; empty where it is not asked."""
        return next((word for each, word in self.verbs if each == what), "")

    @property
    def text(self) -> str:
        """For people."""
        about = "may it have pods" if self.kind == "enqueue" else f"may it have its {len(self.places)} places"
        return f"extender {self.url}: {about}"


@dataclass(slots=True)
class Advice:
    """What was answered about one gang. Nothing of it is believed at or after `until`."""

    until: Instant
    #: Who says that it may pass the enqueue gate, by URL.
    admitted: dict[str, None] = field(default_factory=dict)
    #: Who says that it may have places, as far as its nodes are approved.
    agreed: dict[str, None] = field(default_factory=dict)
    #: By who says so, too; a refusal and a rank count whoever they are from.
    approved: dict[tuple[str, ShapeId], dict[NodeName, None]] = field(default_factory=dict)
    refused: dict[ShapeId, dict[NodeName, str]] = field(default_factory=dict)
    #: How good each node is, from 0 to 1.
    scores: dict[ShapeId, dict[NodeName, float]] = field(default_factory=dict)
    #: Questions asked, this one included.
    rounds: int = 0

    def first_refusal(self) -> str:
        """One of the reasons, for people."""
        return next((why for nodes in self.refused.values() for why in nodes.values()), "")

    def refused_nodes(self) -> int:
        """How many nodes were refused, for one shape or another."""
        return len({name: None for nodes in self.refused.values() for name in nodes})
