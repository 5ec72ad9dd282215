"""An HTTP extender: somebody outside who is asked about gangs before their bindings go out (Volcano: extender plugin).

Volcano calls it in the middle of a decision, once for each pod and node. Here nothing waits inside a decision: a gang
is placed, its room is held, and the extender is asked about those places and a few alternatives at once. It may refuse
nodes or prefer others; then the gang is placed again, elsewhere, and only what is new is asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import NodeName, PodUid, ShapeId
from flowbatch.model.inquiry import Advice, Inquiry, Subject
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.view import ClusterView

#: Further nodes that are judged for each shape, where the extender ranks nodes.
ALTERNATIVES = 16
#: What is asked about a gang with places, and what about one at the enqueue gate.
PLACE_VERBS = ("predicate", "prioritize", "jobReady", "queueOverused")
GATE_VERBS = ("jobEnqueueable",)


@dataclass(frozen=True, kw_only=True)
class Extender:
    """A Confirmation: any answer but yes gives the room back."""

    url: str
    timeout_ms: int = 1_000
    #: Where it cannot be reached or talks nonsense, go on without it.
    ignorable: bool = False
    #: Only pods that request one of these are its business; all, if none is named.
    resources: tuple[str, ...] = ()
    verbs: tuple[tuple[str, str], ...] = ()

    def question(self, gang: Gang, placed: Sequence[tuple[Task, Node]], view: ClusterView) -> Inquiry | None:
        """About the nodes it has not approved yet; None where it has nothing to say."""
        verbs = self._verbs(PLACE_VERBS)
        mine = [(task, node) for task, node in placed if self._concerned(task.shape, view)]
        if not verbs or not mine:
            return None
        advice = view.advice.get(gang.id)
        subjects = self._subjects(mine, advice, view)
        if not subjects and advice is not None and self.url in advice.agreed:
            return None
        names = {name: None for subject in subjects for name in subject.nodes}
        return self._inquiry(
            "place",
            verbs,
            gang,
            subjects=subjects,
            places=tuple((task.uid, f"{task.fact.namespace}/{task.fact.name}", node.name) for task, node in mine),
            free=tuple((name, _free(view.nodes[name], view)) for name in names),
        )

    def gate_question(self, gang: Gang, view: ClusterView) -> Inquiry | None:
        """Before a gang may have pods."""
        verbs = self._verbs(GATE_VERBS)
        advice = view.advice.get(gang.id)
        if not verbs or (advice is not None and self.url in advice.admitted) or not self._concerned_with(gang, view):
            return None
        return self._inquiry("enqueue", verbs, gang)

    def _inquiry(self, kind: str, verbs: tuple[tuple[str, str], ...], gang: Gang, **about: object) -> Inquiry:
        queue = gang.queue.name if gang.queue else ""
        return Inquiry(kind, self.url, self.timeout_ms, self.ignorable, verbs, gang.id, queue, **about)  # type: ignore[arg-type]  # kind and about are ours

    def _verbs(self, among: Sequence[str]) -> tuple[tuple[str, str], ...]:
        return tuple((what, word) for what, word in self.verbs if what in among)

    def _concerned(self, shape: Shape, view: ClusterView) -> bool:
        names = view.axes.names
        return not self.resources or any(names[axis] in self.resources for axis, _ in shape.request)

    def _concerned_with(self, gang: Gang, view: ClusterView) -> bool:
        """It has pods, declared tasks or a stated minimum of that kind."""
        if not self.resources:
            return True
        stated = (gang.fact.min_resources or ()) if gang.fact else ()
        shapes = [task.shape for task in gang.tasks.values()]
        shapes += [role.shape for role in gang.roles.values() if role.shape is not None]
        return any(name in self.resources for name, _ in stated) or any(self._concerned(each, view) for each in shapes)

    def _subjects(
        self, mine: Sequence[tuple[Task, Node]], advice: Advice | None, view: ClusterView
    ) -> tuple[Subject, ...]:
        """One for each shape that would be on nodes not approved yet."""
        if not self._verbs(("predicate", "prioritize")):
            return ()
        nodes_of: dict[ShapeId, tuple[PodUid, Shape, dict[NodeName, None]]] = {}
        for task, node in mine:
            _, _, nodes = nodes_of.setdefault(task.shape.id, (task.fact.uid, task.shape, {}))
            nodes[node.name] = None
        subjects: list[Subject] = []
        for uid, shape, chosen in nodes_of.values():
            known = advice.approved.get((self.url, shape.id), {}) if advice is not None else {}
            new = [name for name in chosen if name not in known]
            if new:
                others = self._alternatives(shape, {**chosen, **known}, advice, view)
                subjects.append(Subject(uid, (*new, *others), len(new)))
        return tuple(subjects)

    def _alternatives(
        self, shape: Shape, taken: dict[NodeName, None], advice: Advice | None, view: ClusterView
    ) -> list[NodeName]:
        """A few other nodes with room, the emptiest first: only worth asking about where it ranks nodes."""
        if not self._verbs(("prioritize",)):
            return []
        refused = advice.refused.get(shape.id, {}) if advice is not None else {}
        copies = view.table.copies(shape.request, view.table.open_rows())
        order = np.argsort(-copies, kind="stable")[: ALTERNATIVES + len(taken) + len(refused)]
        rows = {int(row): None for row in order if copies[row] > 0}
        names = [node.name for node in view.nodes.values() if int(node.row) in rows and node.fact is not None]
        return [name for name in names if name not in taken and name not in refused][:ALTERNATIVES]


def _free(node: Node, view: ClusterView) -> tuple[tuple[str, int], ...]:
    names = view.axes.names
    return tuple((name, view.table.free_at(axis, node.row)) for axis, name in enumerate(names))


@dataclass(frozen=True, kw_only=True)
class Unasked:
    """A VictimFilter: whom an extender would have to be asked about is spared, because nobody asks.

    Victims are weighed inside one decision, thousands at a time; a veto that takes a request cannot be part of it.
    """

    url: str
    resources: tuple[str, ...] = ()

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Every victim, for gangs that are the extender's business."""
        names = view.axes.names
        shapes = [task.shape for task in beneficiary.pending.values()]
        mine = not self.resources or any(names[axis] in self.resources for each in shapes for axis, _ in each.request)
        return f"extender {self.url} would have to be asked" if mine else None
